"""The guard profile: what inputs of one model usually look like, as pure data.

Learned from clean samples, bound to the model, carried encrypted and signed inside the bundle.
Source: spec/guard-v1.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelkeep import canonical
from modelkeep.errors import UsageError
from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.sequence import SequenceProfile
from modelkeep.guard.squeezing import SQUEEZERS
from modelkeep.guard.summary import SUITE
from modelkeep.guard.tails import Tails
from modelkeep.storage import write_file

FORMAT = "modelkeep/guard"
VERSION = 1
LARGEST_PROFILE = 8 * 2**20
STAGES = ("signal", "model", "squeeze")
ACTIONS = ("reject", "flag", "off")
RULES = {
    "signal": ("surprise",),
    "model": ("margin", "confidence", "energy", "distance"),
    "squeeze": tuple(SQUEEZERS),
}
# Of clean scores, these shares do not exceed a level; telemetry counts what lies between them.
LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99)
EVERY_INPUT = "*"  # the signal stage has one threshold for all inputs
SCORE_KINDS = ("logits", "probabilities")


@dataclass(frozen=True, slots=True)
class Joint:
    """What is usual for a vector as a whole: small |whitening (x - mean)|.

    Attributes:
        mean: [size].
        whitening: lower triangular [size, size].
    """

    mean: Numbers
    whitening: Numbers


@dataclass(frozen=True, slots=True)
class InputProfile:
    """What is usual for one input.

    Attributes:
        layout: how the input is read.
        tails: of every feature, and behind them of `joint`, where there is one.
        joint: features together, or None where there are too many.
    """

    layout: Layout
    tails: Tails
    joint: Joint | None


@dataclass(frozen=True, slots=True)
class OutputProfile:
    """What the model-aware stage looks at.

    Attributes:
        scores: name of the output with one score for each class, [batch, classes].
        kind: one of `SCORE_KINDS`.
        embedding: name of an output with the features that the last layer sees, or None.
        scale: power of two that embeddings are divided by.
        means: [classes, size] mean embedding by predicted class; not used without `embedding`.
        whitening: lower triangular [size, size].
    """

    scores: str
    kind: str
    embedding: str | None
    scale: float
    means: Numbers
    whitening: Numbers


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the guard.

    Attributes:
        name: one of `STAGES`.
        action: one of `ACTIONS`.
        thresholds: (rule, output, or `EVERY_INPUT`) -> score above which it is an alarm.
        levels: of the same, the quantiles `LEVELS` of clean scores.
    """

    name: str
    action: str
    thresholds: Mapping[tuple[str, str], float]
    levels: Mapping[tuple[str, str], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class GuardProfile:
    """What is usual for the inputs of one model, and what to do about others.

    Attributes:
        model: digest of the model: see `model_digest`; 32 bytes.
        fitted: samples that the envelope was made from.
        calibrated: samples that the thresholds were set with.
        alpha: highest rate of false alarms of each stage.
        delta: chance that a stage's rate is higher all the same.
        inputs: in the order of the model.
        outputs: what the model-aware stage looks at, or None without that stage.
        outer: surprise up to which a site may move what is usual, or None where none may; see `site`.
        sequence: what is usual for frames of a stream.
        stages: in the order in which they run.
    """

    model: bytes
    fitted: int
    calibrated: int
    alpha: float
    delta: float
    inputs: tuple[InputProfile, ...]
    outputs: OutputProfile | None
    sequence: SequenceProfile
    stages: tuple[Stage, ...]
    outer: float | None = None

    def __repr__(self) -> str:
        stages = ", ".join(stage.name for stage in self.stages)
        samples = f"{self.fitted} + {self.calibrated} samples"
        return (
            f"<GuardProfile of {len(self.inputs)} inputs from {samples}: {stages} at {self.alpha:.3%} each>"
        )

    @property
    def total_alpha(self) -> float:
        """Highest rate of false alarms of all stages together, by the union bound."""
        return min(1.0, self.alpha * len(self.stages))

    def with_actions(self, **actions: str) -> GuardProfile:
        """Returns a profile with other actions, for example `signal="flag"`.

        Raises:
            UsageError: no such stage in this profile, or no such action.
        """
        names = [stage.name for stage in self.stages]
        for name, action in actions.items():
            if name not in names or action not in ACTIONS:
                raise UsageError(
                    f"no stage {name!r} with action {action!r}",
                    hint=f"stages: {', '.join(names)}; actions: {', '.join(ACTIONS)}",
                )
        stages = (replace(stage, action=actions.get(stage.name, stage.action)) for stage in self.stages)
        return replace(self, stages=tuple(stages))

    def to_json(self) -> dict[str, Any]:
        """Returns the profile as a JSON value without floats."""
        from modelkeep.guard.profile_json import to_json

        return to_json(self)

    def to_bytes(self) -> bytes:
        """Returns the canonical encoding, the same for the same profile everywhere."""
        return canonical.encode(self.to_json())

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes the profile to a file.

        Raises:
            StorageError: cannot be written.
            UsageError: it exists and `force` is not set.
        """
        write_file(path, self.to_bytes() + b"\n", force=force)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> GuardProfile:
        """Reads a profile from a file.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a profile.
            UnsupportedVersionError: made by a newer modelkeep.
        """
        from modelkeep.guard.profile_json import read_profile

        return read_profile(path)


__all__ = ["SUITE", "GuardProfile", "InputProfile", "Joint", "OutputProfile", "Stage"]
