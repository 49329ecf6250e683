"""How fast bytes may come and have to: not faster than allowed, not slower than makes sense, not for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass

from modelkeep.errors import NetworkError, UsageError

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What a download may cost.

    Attributes:
        size: largest file, in bytes; checked before the first byte of it is taken.
        bandwidth: bytes a second at most, or None.
        slowest: bytes a second at least, over every `window` seconds of waiting for the server.
        window: see `slowest`.
        silence: seconds to wait for a connection, for an answer to begin, and between two pieces of one.
        deadline: seconds for all of it, pauses and further attempts included.
        attempts: connections in a row that fail within one MiB.
        pause: seconds before the second attempt; each further pause is twice as long, up to a minute.
        redirects: how many times a server may point elsewhere.
    """

    size: int = 2**40
    bandwidth: int | None = None
    slowest: int = 1024
    window: float = 60.0
    silence: float = 30.0
    deadline: float = 24 * HOUR
    attempts: int = 5
    pause: float = 1.0
    redirects: int = 5

    def __post_init__(self) -> None:
        """Refuses what nothing could keep.

        Raises:
            UsageError: a number below 0, or a bandwidth of 0.
        """
        numbers = (self.size, self.slowest, self.window, self.silence, self.deadline, self.pause)
        if min(numbers) < 0 or (self.bandwidth is not None and self.bandwidth <= 0):
            raise UsageError("limits of downloads are no negative numbers", hint="and a bandwidth is above 0")


class Patience:
    """Ends waiting at a moment: a server that sends single bytes would else be waited for at each of them."""

    def __init__(self, limits: DownloadLimits) -> None:
        self._end = time.monotonic() + limits.deadline
        self._until = self._end

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._end

    def allow(self, seconds: float | None) -> None:
        """Lets everything from now on take so long, or None: until the deadline."""
        self._until = self._end if seconds is None else min(self._end, time.monotonic() + seconds)

    def left(self, timeout: float | None) -> float:
        """Returns how long to wait for what would be waited for `timeout` seconds; may be 0."""
        left = max(0.0, self._until - time.monotonic())
        return left if timeout is None else min(left, timeout)


class Pace:
    """Watches over the bytes of one download."""

    def __init__(self, limits: DownloadLimits) -> None:
        self._limits = limits
        self._waited, self._received = 0.0, 0
        self._ready = time.monotonic()

    def received(self, count: int, waited: float) -> None:
        """Notes that `count` bytes took `waited` seconds to come; time spent elsewhere is nobody's fault.

        Raises:
            NetworkError: they come too slowly.
        """
        self._waited += waited
        self._received += count
        if self._waited < self._limits.window:
            return
        rate = self._received / self._waited
        self._waited, self._received = 0.0, 0
        if rate < self._limits.slowest:
            raise NetworkError(
                f"the server sends {rate:.0f} bytes a second, less than {self._limits.slowest}"
            )

    def hold_back(self, count: int) -> None:
        """Sleeps so long that `count` bytes more stay within the bandwidth."""
        if self._limits.bandwidth is None:
            return
        now = time.monotonic()
        self._ready = max(self._ready, now) + count / self._limits.bandwidth
        time.sleep(max(0.0, self._ready - now))
