"""How many inputs it takes until a stream of them is noticed to have changed."""

from __future__ import annotations

from typing import Any

from modelkeep.guard import GuardProfile
from modelkeep.guard.change import Change
from modelkeep.guard.reader import Reader
from modelkeep.guard_report.subject import Sample

# Inputs between two false alarms, as `StreamGuard` has it by default.
APART = 1e7


class Watch:
    """Watches samples one after the other, as `StreamGuard` would.

    Attributes:
        frames: samples that were seen.
        alarm: after how many of them the alarm came, or None.
    """

    def __init__(self, profile: GuardProfile) -> None:
        self._reader, self._change = Reader(profile.inputs), Change(profile.sequence, profile.inputs)
        self.frames = 0
        self.alarm: int | None = None

    def add(self, sample: Sample) -> None:
        """Adds the inputs of one call; what cannot be read is an alarm of other rules."""
        signal = self._reader.read(sample)
        if signal.faults:
            return
        for frame in signal.frames():
            self.frames += 1
            if self.alarm is None and self._change.add(frame) >= APART:
                self.alarm = self.frames

    def to_json(self) -> dict[str, Any]:
        """Returns what was seen as a JSON value."""
        return {"alarm": self.alarm, "frames": self.frames}
