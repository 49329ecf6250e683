"""What one client asks, one request after the other: quotas, and requests made out of earlier ones.

An attack that can only try changes a part of its last input and asks again. Whatever it leaves
alone repeats to the last bit, which nothing does that comes out of a sensor: noise is in every part.
So a camera that stands still or turns is no alarm, however alike its frames are.
"""

from __future__ import annotations

import hmac
import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard.counters import Counters
from modelkeep.guard.findings import GuardFinding
from modelkeep.memory.randomness import random_bytes

_LOG = logging.getLogger("modelkeep.guard")

Parts = NDArray[np.uint64]

MOST_PARTS = 64
_SMALLEST_PART = 16  # elements; shorter ones repeat by chance
_FEWEST_PARTS = 8
_MOST_INPUTS = 64  # of one request; names are the client's choice
_FLAT = np.uint64(0)  # black borders and clipped skies repeat in any stream


@dataclass(slots=True)
class _Client:
    """What is remembered of a client: no inputs, only keyed digests of their parts."""

    allowance: float
    seen: float
    earlier: deque[Mapping[str, Parts]]
    derived: deque[bool]


class ClientGuard:
    """Watches the sequence of requests of each client. For request and response, not for video.

    It is meant to stand beside `Guard`, where requests arrive, and needs no profile. Client
    ids must come from authentication: who can choose a new one for each request is not seen.

    Attributes:
        counters: what happened so far, for telemetry.
    """

    def __init__(
        self,
        *,
        quota: int = 1000,
        window: float = 3600.0,
        remembered: int = 50,
        share: float = 0.25,
        derived: int = 3,
        clients: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Memory is at most about 0.5 kB for each remembered request of each client and input.

        Args:
            quota: requests that a client has at once; what it used comes back evenly over `window`.
            window: seconds.
            remembered: earlier requests that a new one is compared with.
            share: a request is derived when it repeats at least this share of an earlier one, not all.
            derived: derived requests among those remembered that are an alarm.
            clients: how many are remembered; the one that was silent longest is forgotten first.
            clock: returns seconds, never going back.

        Raises:
            UsageError: a setting that makes no sense.
        """
        if min(quota, remembered, derived, clients) < 1 or not window > 0 or not 0 < share <= 1:
            raise UsageError("settings of a client guard must be positive, and share at most 1")
        self.counters = Counters()
        self._quota, self._rate = quota, quota / window
        self._remembered, self._share, self._most_derived = remembered, share, derived
        self._most_clients, self._clock = clients, clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock = threading.Lock()
        # Digests tell nothing about inputs to whoever does not have this.
        self._key = random_bytes(32)

    def __len__(self) -> int:
        """Returns how many clients are remembered."""
        return len(self._clients)

    def check(self, client: str, inputs: Mapping[str, object]) -> tuple[GuardFinding, ...]:
        """Returns the alarms that a request gives: of rule ``quota``, of rule ``derived``, or both.

        Inputs that are not arrays of numbers, and short ones, count for the quota alone.

        Args:
            client: who asks.
            inputs: arrays by input name.
        """
        names = itertools.islice(inputs, _MOST_INPUTS)
        parts = {name: found for name in names if (found := self._parts(inputs[name])) is not None}
        with self._lock:
            known = self._client(client)
            findings = [*self._spend(known), *self._compare(known, parts)]
        for finding in findings:
            _LOG.warning("client %.80r: %s", client, finding)
        self.counters.record("client", [], findings)
        return tuple(findings)

    def _client(self, name: str) -> _Client:
        now = self._clock()
        known = self._clients.pop(name, None) or self._stranger(now)
        known.allowance = min(float(self._quota), known.allowance + (now - known.seen) * self._rate)
        known.seen = now
        self._clients[name] = known
        if len(self._clients) > self._most_clients:
            self._clients.popitem(last=False)
        return known

    def _stranger(self, now: float) -> _Client:
        return _Client(
            float(self._quota), now, deque(maxlen=self._remembered), deque(maxlen=self._remembered)
        )

    def _spend(self, client: _Client) -> list[GuardFinding]:
        if client.allowance >= 1:
            client.allowance -= 1
            return []
        missing = 1 - client.allowance
        return [GuardFinding("client", "quota", "*", "reject", missing, 0.0, "more requests than allowed")]

    def _compare(self, client: _Client, request: Mapping[str, Parts]) -> list[GuardFinding]:
        share, subject = self._closest(client, request)
        client.earlier.append(request)
        client.derived.append(share >= self._share)
        count = sum(client.derived)
        if share < self._share or count < self._most_derived:
            return []
        detail = f"{count} requests made out of earlier ones"
        return [GuardFinding("client", "derived", subject, "reject", share, self._share, detail)]

    def _closest(self, client: _Client, request: Mapping[str, Parts]) -> tuple[float, str]:
        """Returns which share of an input repeats an earlier one, and the input's name."""
        shares = [
            (_repeated(parts, earlier[name]), name)
            for name, parts in request.items()
            for earlier in client.earlier
            if name in earlier
        ]
        return max(shares, default=(0.0, "*"))

    def _parts(self, value: object) -> Parts | None:
        """Returns a digest of each part of an array, in order, or None where it has too few."""
        if type(value) is not np.ndarray or value.dtype.kind not in "biuf":
            return None
        count = min(MOST_PARTS, value.size // _SMALLEST_PART)
        if count < _FEWEST_PARTS:
            return None
        return np.array([self._digest(part) for part in np.array_split(value.ravel(), count)], np.uint64)

    def _digest(self, part: NDArray[np.generic]) -> np.uint64:
        # Most parts show at their ends that they are not flat.
        if part[0] == part[-1] and (part == part[0]).all():
            return _FLAT
        digest = hmac.digest(self._key, part.data, "sha256")
        return np.uint64(int.from_bytes(digest[:8], "big") | 1)


def _repeated(new: Parts, earlier: Parts) -> float:
    """Returns which share of the parts that are not flat repeats; 0 where all or too few do."""
    if new.shape != earlier.shape or (new == earlier).all():
        return 0.0
    textured = new != _FLAT
    if textured.sum() < _FEWEST_PARTS:
        return 0.0
    return float((new == earlier)[textured].mean())
