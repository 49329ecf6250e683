"""The counter that goes with one key: at an NV index that follows from the public key.

Nothing on the disk says where the counter is, or that there is one, so nothing on the disk can be
changed to lead away from it. Source: spec/install-v1.md, "Counters".
"""

from __future__ import annotations

import hashlib

from modelkeep.keys.tpm2.counter import FIRST_INDEX, LAST_INDEX, MonotonicCounter

_PAIRS = (LAST_INDEX - FIRST_INDEX + 1) // 2


class KeyCounter:
    """See `modelkeep.device.counter.StateCounter`.

    Args:
        public: the key's public point, uncompressed.
        tcti: how the TPM is reached.
    """

    def __init__(self, public: bytes, tcti: str) -> None:
        index = index_of(public)
        self._counter = MonotonicCounter(index, tcti)
        self._trial = MonotonicCounter(index + 1, tcti)

    def value(self) -> int | None:
        """See `StateCounter.value`."""
        return self._counter.find()

    def upcoming(self) -> int:
        """See `StateCounter.upcoming`."""
        value = self.value()
        return self._first() if value is None else value + 1

    def advance(self) -> int:
        """See `StateCounter.advance`."""
        return self._counter.create() if self.value() is None else self._counter.increment()

    def delete(self) -> None:
        """Removes the counter, for when its key goes; the key's device state is worth nothing after."""
        if self.value() is not None:
            self._counter.delete()

    def _first(self) -> int:
        # A TPM does not say where its next counter starts: one above all that it ever had. So the
        # trial counter, which lives for a moment, tells. One left behind by a crash goes first.
        if self._trial.find() is not None:
            self._trial.delete()
        value = self._trial.create()
        self._trial.delete()
        return value + 1


def index_of(public: bytes) -> int:
    """Returns the even NV index of a key's counter; its trial counter has the next one."""
    place = int.from_bytes(hashlib.sha256(public).digest()[:8], "big") % _PAIRS
    return FIRST_INDEX + 2 * place
