"""A network with a guard, asked about many samples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benches.guard.data import Data
from benches.guard.network import Network
from modelkeep.errors import UsageError
from modelkeep.guard import rules
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.layout import Layout
from modelkeep.guard.measurement import distances
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile, Joint
from modelkeep.guard.sample import Measurement, measure

Values = NDArray[np.float32]
Verdicts = NDArray[np.bool_]


@dataclass(frozen=True)
class Watched:
    """A network with what is usual for it.

    Attributes:
        network: the network.
        plan: what the guard looks at.
        calibration: clean scores, from which a profile for any rate follows.
    """

    network: Network
    plan: Plan
    calibration: Calibration

    @staticmethod
    def learn(data: Data, network: Network) -> Watched:
        """Learns what is usual from the parts of the data that are for it."""
        first = network.hidden(data.part(1)[0][:50])
        scale = 2.0 ** np.ceil(np.log2(np.abs(first).max()) + 3)
        channels = data.samples.shape[-1] if "C" in data.axes else 1
        layout = Layout("x", data.axes, channels, data.low, data.high)
        plan = Plan((layout,), ("y", "logits", "h", float(scale)))
        fit = Fit(plan)
        fit.add(_measure(plan, network, data.part(1)[0]))
        calibration = Calibration(fit.freeze())
        calibration.add(_measure(plan, network, data.part(2)[0]))
        return Watched(network, plan, calibration)

    def profile(self, alpha: float) -> GuardProfile | None:
        """Returns a profile for a rate of all stages together, or None with too few samples."""
        try:
            return self.calibration.finish(bytes(32), alpha=alpha / 2, delta=0.05)
        except UsageError:
            return None

    def alarms(self, samples: Values, profile: GuardProfile) -> dict[str, Verdicts]:
        """Returns by stage which samples are alarms."""
        strangeness = self.strangeness(samples, profile)
        return {stage: values > 0 for stage, values in strangeness.items()}

    def strangeness(self, samples: Values, profile: GuardProfile) -> dict[str, NDArray[np.float64]]:
        """Returns by stage how far the worst score of each sample lies above its threshold."""
        measured = _measure(self.plan, self.network, samples)
        scores = _scores(measured, profile)
        return {
            stage.name: np.max(
                [scores[rule] - threshold for (rule, _), threshold in stage.thresholds.items()], axis=0
            )
            for stage in profile.stages
        }


def _measure(plan: Plan, network: Network, samples: Values) -> Measurement:
    outputs = {"y": network.logits(samples), "h": network.hidden(samples)}
    return measure(plan, {"x": np.ascontiguousarray(samples)}, outputs)


def _scores(measured: Measurement, profile: GuardProfile) -> dict[str, NDArray[np.float64]]:
    usual, outputs = profile.inputs[0], measured.outputs
    if outputs is None or profile.outputs is None:
        raise ValueError("a network without outputs")
    joint = usual.joint or Joint(np.zeros(0), np.zeros((0, 0)))
    return {
        "envelope": rules.envelope(measured.inputs["x"], usual)[0],
        "joint": rules.joint(measured.inputs["x"], joint),
        "confidence": outputs.confidence,
        "energy": outputs.energy,
        "distance": distances(outputs, profile.outputs),
    }
