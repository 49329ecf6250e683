"""The time, as far as somebody stands behind it: a clock with floors.

Devices without a battery start in the past, and whoever holds a device sets its clock. What has to have
begun and what may have ended are therefore judged by different times: a time that a publisher wrote
makes things end, and never begin. Source: spec/trust-v1.md, "Time".
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from modelkeep.errors import RefusedError

# No clock that shows less can be right: this version was not written then.
BUILT_AT = 1_795_651_200
# The end of the year 9999, beyond which calendars cannot show a time.
LATEST_TIME = 253_402_300_799
TOLERANCE = 86_400

Reading = Callable[[], float]

_CLOCK_ERROR = 5  # TIME_ERROR of sys/timex.h: not synchronised
_TIMEX_BYTES = 1024  # more than struct timex takes anywhere


class Now(NamedTuple):
    """The present time, in seconds since 1970-01-01 UTC.

    Attributes:
        begins: what has to have begun is judged by it; no signed time of a publisher is in it.
        ends: what may have ended is judged by it.
    """

    begins: int
    ends: int


def nobody_vouches() -> bool:
    """Returns False: nobody says that the clock is right."""
    return False


@functools.cache
def _adjtimex() -> Callable[[object], int]:
    import ctypes

    return ctypes.CDLL(None).adjtimex


def is_synchronised() -> bool:
    """Returns whether the kernel says that its clock is held to a time server.

    Source: adjtimex(2). False wherever that cannot be asked.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        state = int(_adjtimex()(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return False
    return 0 <= state < _CLOCK_ERROR


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock, and what is known of the time besides.

    Attributes:
        reading: what the clock shows, in seconds since 1970-01-01 UTC.
        floor: a moment that has certainly passed, as the device remembers it.
        witnessed: the newest moment that an authority of time signed for what is looked at; 0 for none.
        is_vouched: whether somebody keeps the clock right.
        built: the moment before which the clock cannot be right.
    """

    reading: Reading = time.time
    floor: int = 0
    witnessed: int = 0
    is_vouched: Callable[[], bool] = is_synchronised
    built: int = BUILT_AT

    @staticmethod
    def of(source: Clock | Reading) -> Clock:
        """Returns a clock as it is, and a function as a clock that is taken at its word."""
        if isinstance(source, Clock):
            return source
        return Clock() if source is time.time else Clock(source, is_vouched=nobody_vouches, built=0)

    def no_earlier_than(self, moment: int) -> Clock:
        """Returns the same clock with a floor of at least `moment`."""
        return replace(self, floor=max(self.floor, moment))

    def witnessing(self, moment: int | None) -> Clock:
        """Returns the same clock, to which an authority of time has said `moment` besides."""
        return self if moment is None else replace(self, witnessed=max(self.witnessed, moment))

    def believed(self, moment: int | None) -> int | None:
        """Returns a moment that an online key signed, but none beyond a clock that somebody keeps right.

        Whoever steals that key would else move the time of every device.
        """
        return min(moment, self.for_begins()) if moment is not None and self.is_vouched() else moment

    @property
    def plausible(self) -> bool:
        """Whether the clock shows a time that can be."""
        return self.reading() >= max(self.floor, self.built)

    def for_begins(self) -> int:
        """Returns the time by which something has to have begun: never a time that a publisher wrote."""
        return max(int(self.reading()), self.floor, self.witnessed, self.built)

    def for_ends(self, *signed_times: int) -> int:
        """Returns the time by which something may have ended.

        Args:
            signed_times: moments that a trusted publisher signed, so that they have been reached.
        """
        return max(self.for_begins(), *signed_times) if signed_times else self.for_begins()

    def now(self, *signed_times: int) -> Now:
        """Returns both."""
        return Now(self.for_begins(), self.for_ends(*signed_times))

    def persistable(self, *expiries: int) -> int:
        """Returns the time that a device may remember: never beyond what its roots can mend.

        Args:
            expiries: last seconds of the documents in force that roots signed; without one, nothing
                is remembered that the floor does not say.
        """
        if not expiries:
            return self.floor
        known = max(int(self.reading()) if self.plausible else 0, self.witnessed)
        return max(self.floor, min(known, *expiries))

    def check_sealed_at(self, sealed_at: int) -> None:
        """Refuses a time of sealing that lies ahead, where somebody stands behind the present time.

        Raises:
            RefusedError: it cannot be true.
        """
        if self.witnessed and sealed_at > self.witnessed + TOLERANCE:
            raise RefusedError("sealed later than the time that was signed for it")
        if self.is_vouched() and sealed_at > self.for_begins() + TOLERANCE:
            raise RefusedError(
                "sealed in the future", hint="the publisher's clock was ahead: ask for a new release"
            )
