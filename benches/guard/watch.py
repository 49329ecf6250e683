"""A network with a guard, asked about many samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.guard.data import Data
from benches.guard.network import Network, Values
from modelkeep.errors import UsageError
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.guard import Guard
from modelkeep.guard.layout import Layout
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sample import Measurement, measure

DELTA = 0.05
# Those that are there without asking; the rate of false alarms is shared between them.
STAGES = ("signal", "model")

Verdicts = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Readings:
    """What a guard makes of samples.

    Attributes:
        rules: stage, rule and input or output, one for each column.
        scores: [samples, rules].
    """

    rules: tuple[tuple[str, str, str], ...]
    scores: NDArray[np.float64]

    def alarms(self, profile: GuardProfile, *names: str) -> Verdicts:
        """Returns which samples are alarms of any of the stages named."""
        thresholds = {
            (stage.name, *rule): threshold
            for stage in profile.stages
            for rule, threshold in stage.thresholds.items()
        }
        columns = [place for place, rule in enumerate(self.rules) if rule[0] in names]
        # The signal stage has one threshold for all inputs.
        keys = [(stage, rule, "*" if stage == "signal" else of) for stage, rule, of in self.rules]
        above = [~(self.scores[:, column] <= thresholds[keys[column]]) for column in columns]
        return np.any(above, axis=0) if above else np.zeros(len(self.scores), bool)


@dataclass(frozen=True)
class Watched:
    """A network with what is usual for it.

    Attributes:
        network: the network.
        layout: how the guard reads its input.
        calibration: clean scores, from which a profile for any rate follows.
    """

    network: Network
    layout: Layout
    calibration: Calibration

    @staticmethod
    def learn(data: Data, network: Network) -> Watched:
        """Learns what is usual from the parts of the data that are for it."""
        low, high = _ends(data)
        first = data.part("fit")[0][:50]
        planned = Plan.make(
            {"x": first},
            _run(network, {"x": first}),
            layouts={"x": data.axes},
            embedding="h",
            squeezers=data.squeezers,
        )
        layout = replace(planned.inputs[0], low=low, high=high)
        plan = replace(planned, inputs=(layout,))
        fit = Fit(plan)
        fit.add(_measured(plan, network, data.part("fit")[0]))
        calibration = Calibration(fit.freeze())
        calibration.add(_measured(plan, network, data.part("calibrate")[0]))
        return Watched(network, layout, calibration)

    def profile(self, alpha: float) -> GuardProfile | None:
        """Returns a profile for a rate of the stages of `STAGES` together, or None with too few samples."""
        try:
            return self.calibration.finish(bytes(32), alpha=alpha / len(STAGES), delta=DELTA)
        except UsageError:
            return None

    def read(self, samples: Values, profile: GuardProfile) -> Readings:
        """Returns what the guard itself makes of samples, given to it one by one."""
        guard = Guard(profile)
        outputs = _run(self.network, {"x": samples})
        rules: dict[tuple[str, str, str], None] = {}
        rows = []
        for place in range(len(samples)):
            own = slice(place, place + 1)
            given = {name: values[own] for name, values in outputs.items()}
            sample = {"x": np.ascontiguousarray(samples[own])}
            found = guard.readings(sample, given, lambda inputs: _run(self.network, inputs))
            rules |= dict.fromkeys((each.stage, each.rule, each.subject) for each in found)
            rows.append([each.score for each in found])
        return Readings(tuple(rules), np.array(rows).reshape(len(samples), -1))


def _ends(data: Data) -> tuple[float, float]:
    # The features of a vector have no range in common, and the guard asks for none.
    return (0.0, 1.0) if data.low.ndim else (float(data.low), float(data.high))


def _measured(plan: Plan, network: Network, samples: Values) -> Measurement:
    inputs = {"x": np.ascontiguousarray(samples)}
    return measure(plan, inputs, _run(network, inputs), lambda changed: _run(network, changed))


def _run(network: Network, inputs: Arrays) -> dict[str, NDArray[Any]]:
    logits, embeddings = network.outputs(inputs["x"])
    return {"y": logits, "h": embeddings}
