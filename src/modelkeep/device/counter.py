"""Hardware that counts: what keeps an old device state from coming back with its old disk."""

from __future__ import annotations

from typing import Protocol


class StateCounter(Protocol):
    """A number that only grows, whatever is written to the disk; each key has its own."""

    def value(self) -> int | None:
        """Returns the present number; None before the first `advance`.

        Raises:
            KeyStoreError: the hardware cannot be used.
        """

    def upcoming(self) -> int:
        """Returns what `advance` will return, unless somebody else counts meanwhile.

        Raises:
            KeyStoreError: the hardware cannot be used, or has no room for a counter.
        """

    def advance(self) -> int:
        """Counts, for ever, and returns the new number, which this counter never had before.

        Raises:
            KeyStoreError: the hardware cannot be used, or has no room for a counter.
        """
