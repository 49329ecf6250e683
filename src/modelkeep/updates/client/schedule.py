"""When a device asks again: spread over the fleet, less often where it was told or where nobody answers."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from modelkeep.errors import UsageError
from modelkeep.updates.client.turn import place_of
from modelkeep.updates.interval import LONGEST, SHORTEST

HOUR = 3600.0

_LONGEST_ASKED = 24 * HOUR
_FIRST_PAUSE = 60.0
_SPREAD = 0.5
_WHOLE = 2.0**64
_HOUR = r"(?:[01]\d|2[0-3]):[0-5]\d"
_WINDOW = re.compile(f"{_HOUR}-{_HOUR}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a device waits between two looks.

    Attributes:
        device: SHA-256 of its public key, 32 bytes: no two devices wait for the same time.
        interval: seconds, where the repository names none.
    """

    device: bytes
    interval: float = HOUR

    def pause(self, look: int, failures: int, *, named: float | None, asked: float | None) -> float:
        """Returns the seconds until the next look.

        Args:
            look: how many there were: the time is another one each time.
            failures: how many have failed in a row.
            named: the interval that the repository names, or None.
            asked: for how long a server wants to be left alone, or None.
        """
        usual = min(LONGEST, max(SHORTEST, self.interval if named is None else named))
        if failures:
            usual = min(usual, _FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
        spread = place_of(look.to_bytes(8, "big"), self.device) / _WHOLE
        # Around the interval, and not before a server wants to be asked. Nobody signs that, so that somebody
        # in between for a moment could else silence a device for as long as he likes.
        pause = usual * (1 + _SPREAD * (spread - 0.5))
        return pause if asked is None else max(pause, min(asked, _LONGEST_ASKED) * (1 + _SPREAD * spread))


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of a day during which releases may be fetched, in local time; over midnight as well.

    Attributes:
        begin: its first minute.
        end: the first minute after it.
    """

    begin: datetime.time
    end: datetime.time

    @staticmethod
    def parse(text: str) -> Window:
        """Reads ``22:00-06:00``.

        Raises:
            UsageError: it is none.
        """
        first, _, past = text.partition("-")
        if not _WINDOW.fullmatch(text) or first == past:
            raise UsageError(f"not a window of hours: {text!r:.50}", hint="write 22:00-06:00")
        return Window(datetime.time.fromisoformat(first), datetime.time.fromisoformat(past))

    def is_open(self, moment: datetime.time) -> bool:
        """Returns whether a moment of the day lies in it."""
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end
