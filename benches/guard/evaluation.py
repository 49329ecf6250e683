"""One data set, one seed: trains, learns a profile, attacks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax import Array

from benches.guard import attacks, minimal, trial, twin
from benches.guard.adaptive import adaptive
from benches.guard.attacks import Attack, Task
from benches.guard.data import Data
from benches.guard.faults import faults
from benches.guard.judge import Judge
from benches.guard.network import Labels, Network, Parameters, Values
from benches.guard.outcome import NOTHING, Cell, Outcome, Share
from benches.guard.watch import STAGES, Readings, Watched
from modelkeep.guard.profile import GuardProfile

RATES = (0.01, 0.05)
MOST_FAULTY = 400
ATTACKED = 100
_CHECKED = 100

Say = Callable[[str], None]
# A profile for each rate; None where there are too few samples.
Profiles = list[GuardProfile | None]


class Evaluation:
    """What is measured on one data set with one seed."""

    def __init__(self, data: Data, seed: int, say: Say, attacked: int = ATTACKED) -> None:
        self._data, self._seed, self._say, self._attacked = data, seed, say, attacked
        self._random = np.random.default_rng(seed)
        say("training")
        self._network = Network.train(*data.part("train"), data.kind, seed)
        say("learning what is usual")
        self._watched = Watched.learn(data, self._network)
        self._profiles: Profiles = [self._watched.profile(rate) for rate in RATES]

    def run(self, *, everything: bool) -> Outcome:
        """Returns what was measured; what takes longest, only if `everything` is asked for."""
        samples, labels = self._data.part("test")
        outcome = Outcome(Share.of(self._right(self._network, samples, labels)))
        self._say("clean samples")
        readings = self._read(self._watched, samples)
        outcome.clean = [self._alarms(readings, profile, *STAGES) for profile in self._profiles]
        self._check_twin(samples, readings)
        self._faults(outcome, samples[:MOST_FAULTY], labels[:MOST_FAULTY])
        task = self._task(self._network, samples, labels)
        self._attacks(outcome, task)
        hardened = self._hardened(outcome, samples, labels) if everything else None
        self._adaptive(outcome, task, hardened, everything=everything)
        return outcome

    def _faults(self, outcome: Outcome, samples: Values, labels: Labels) -> None:
        for name, fault in faults(self._data).items():
            self._say(name)
            changed = fault(samples, self._random).astype(np.float32)
            left = Share.of(self._right(self._network, changed, labels))
            readings = self._read(self._watched, changed)
            outcome.faults[name] = [
                (left,),
                self._caught(readings, "signal"),
                self._caught(readings, *STAGES),
            ]

    def _attacks(self, outcome: Outcome, task: Task) -> None:
        for name, (attack, snap) in _attacks(self._data).items():
            self._say(name)
            tried = Task(task.network, task.data, task.start, task.labels, snap)
            changed = attack(tried, self._random)
            won = task.wrong(changed)
            row: list[Cell] = [(Share.of(won),)]
            groups = [("signal",), ("model",), STAGES, ("squeeze",)]
            readings = self._read(self._watched, changed[won]) if won.any() else None
            row += [
                (NOTHING,) * len(RATES) if readings is None else self._caught(readings, *each)
                for each in groups
            ]
            outcome.attacks[name] = row

    def _adaptive(
        self, outcome: Outcome, task: Task, hardened: tuple[Watched, Task] | None, *, everything: bool
    ) -> None:
        reaches, nothing = self._data.reaches, [(NOTHING,)] * 3
        judges = [self._judge(self._watched, *STAGES), None, None]
        if hardened is not None:
            judges[1] = self._judge(hardened[0], *STAGES)
        if everything and task.start.ndim > 2:
            judges[2] = self._judge(self._watched, *STAGES, "squeeze")
        for reach in reaches:
            self._say(f"adaptive {reach}")
            own = self._get_through(self._watched, judges[0], task, reach)
            other = (
                nothing if hardened is None else self._get_through(hardened[0], judges[1], hardened[1], reach)
            )
            last = (
                self._get_through(self._watched, judges[2], task, reach) if reach == reaches[-2] else nothing
            )
            outcome.adaptive[reach] = [*own, other[0], other[2], last[2]]

    def _get_through(self, watched: Watched, judge: Judge | None, task: Task, reach: str) -> list[Cell]:
        """Returns how often a result is wrong without guard, and accepted if the attack ignores it or not."""
        if judge is None:
            return [(NOTHING,)] * 3
        share = float(Fraction(reach))
        plain = attacks.pgd(share)(task, self._random)
        through = _accepted(watched, judge, task, plain)
        every = through.copy()
        for attempt in adaptive(task, share, judge, self._random):
            every |= _accepted(watched, judge, task, attempt)
        return [(Share.of(each),) for each in (task.wrong(plain), through, every)]

    def _judge(self, watched: Watched, *stages: str) -> Judge | None:
        profile = watched.profile(RATES[-1])
        # Two levels apart is near: an attack moves most values by a level or two.
        near = twin.NEAR if self._data.levels is None else 2 / self._data.levels
        return None if profile is None else Judge(profile, stages, near)

    def _hardened(self, outcome: Outcome, samples: Values, labels: Labels) -> tuple[Watched, Task]:
        self._say("training with attacks")
        share = float(Fraction(self._data.reaches[1]))
        network = Network.train(
            *self._data.part("train"), self._data.kind, self._seed, _hardening(self._data, share)
        )
        outcome.hardened = Share.of(self._right(network, samples, labels))
        return Watched.learn(self._data, network), self._task(network, samples, labels)

    def _task(self, network: Network, samples: Values, labels: Labels) -> Task:
        chosen = np.flatnonzero(self._right(network, samples, labels))[: self._attacked]
        return Task(network, self._data, samples[chosen], labels[chosen], snap=True)

    def _check_twin(self, samples: Values, readings: Readings) -> None:
        profile = self._profiles[-1]
        if profile is None:
            return
        stages = tuple(stage.name for stage in profile.stages)
        part = Readings(readings.rules, readings.scores[:_CHECKED])
        Judge(profile, stages).check(self._network.parameters, samples[:_CHECKED], part)

    def _read(self, watched: Watched, samples: Values) -> Readings:
        profile = self._profiles[-1]
        if profile is None:
            raise ValueError("too few samples for any threshold")
        return watched.read(samples, profile)

    def _caught(self, readings: Readings, *stages: str) -> Cell:
        return tuple(self._alarms(readings, profile, *stages) for profile in self._profiles)

    def _alarms(self, readings: Readings, profile: GuardProfile | None, *stages: str) -> Share:
        known = {rule[0] for rule in readings.rules}
        if profile is None or not known & set(stages):
            return NOTHING
        return Share.of(readings.alarms(profile, *stages))

    def _right(self, network: Network, samples: Values, labels: Labels) -> attacks.Verdicts:
        return np.asarray(network.logits(samples).argmax(axis=1) == labels)


def _accepted(watched: Watched, judge: Judge, task: Task, samples: Values) -> attacks.Verdicts:
    found = task.wrong(samples)
    if found.any():
        found[found] = ~watched.read(samples[found], judge.profile).alarms(judge.profile, *judge.stages)
    return found


def _attacks(data: Data) -> dict[str, tuple[Attack, bool]]:
    """Returns attacks by name, and whether their results lie on the levels of the data."""
    has_levels = data.levels is not None
    found: dict[str, tuple[Attack, bool]] = {}

    def add(name: str, attack: Attack, *, both: bool) -> None:
        if both or not has_levels:
            found[name] = attack, False
        if has_levels:
            found[f"{name}, snapped"] = attack, True

    middle, last = data.reaches[-2:]
    add(f"FGSM {middle}", attacks.fgsm(float(Fraction(middle))), both=False)
    for reach in data.reaches:
        add(f"PGD {reach}", attacks.pgd(float(Fraction(reach))), both=reach == last)
    add("DeepFool", minimal.deepfool, both=True)
    add("C&W margin 0", minimal.carlini_wagner(0), both=True)
    add("C&W margin 1", minimal.carlini_wagner(1), both=False)
    add("C&W margin 5", minimal.carlini_wagner(5), both=False)
    if data.samples.ndim > 2:
        add(f"Square {middle}", trial.square(float(Fraction(middle))), both=False)
        add("patch 5 %", attacks.patch, both=False)
    return found


def _hardening(data: Data, share: float, steps: int = 4) -> Callable[[Parameters, Array, Array], Array]:
    """Returns what makes each minibatch harder: a short projected gradient descent."""
    reach = share * jnp.asarray(data.high - data.low)

    def harden(parameters: Parameters, samples: Array, labels: Array) -> Array:
        low, high = jnp.maximum(samples - reach, data.low), jnp.minimum(samples + reach, data.high)
        found = samples
        for _ in range(steps):
            found = attacks.moved(parameters, found, labels, reach / 2, low, high)
        return found

    return harden
