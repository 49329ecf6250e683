"""What the guard finds, for those who may know; and the little that everybody may."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.finding import Finding
from modelkeep.guard.causes import Cause

# Said to callers: which rule and how far would tell them how to get past it.
UNUSUAL = Finding("unusual", "*", "inputs like those the model was made for", "something else")


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """What one rule makes of a call, mostly an alarm. It holds scores: keep it from whoever sends the inputs.

    Attributes:
        stage: ``signal``, ``model``, or ``client`` for a sequence of requests.
        rule: stable code, for example ``surprise``; ``form`` for what cannot be read at all.
        subject: name of the input or output.
        action: what the profile says to do: ``reject`` or ``flag``.
        score: the score of the strangest sample.
        threshold: what it should have stayed below.
        detail: what is wrong, in words.
        samples: which samples of a batch are above the threshold, counted from 0, the strangest first, at
            most 16; of no alarm, the strangest.
        causes: features that are out, of the strangest sample; of the signal stage's alarms alone.
    """

    stage: str
    rule: str
    subject: str
    action: str
    score: float
    threshold: float
    detail: str
    samples: tuple[int, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether the score is above the threshold; one that is no number is."""
        return not self.score <= self.threshold

    def __str__(self) -> str:
        samples = f", samples {', '.join(map(str, self.samples))}" if any(self.samples) else ""
        return (
            f"{self.subject}: {self.stage}/{self.rule}: {self.detail}: "
            f"score {self.score:.4g} above {self.threshold:.4g} ({self.action}{samples})"
        )
