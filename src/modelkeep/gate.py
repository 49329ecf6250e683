"""A gate: many threads may be inside; whoever closes it waits until they have left."""

from __future__ import annotations

import threading
from types import TracebackType

from modelkeep.errors import UsageError


class Gate:
    """Counts the threads inside a `with` block and keeps newcomers out once it is closed."""

    def __init__(self, closed_message: str, *, hint: str) -> None:
        self._refusal = closed_message, hint
        # Re-entrant, because a signal handler may run in the middle of the methods below.
        self._changed = threading.Condition()
        self._inside: list[int] = []
        self._open = True

    def __enter__(self) -> None:
        with self._changed:
            if not self._open:
                message, hint = self._refusal
                raise UsageError(message, hint=hint)
            self._inside.append(threading.get_ident())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside.remove(threading.get_ident())
            self._changed.notify_all()

    def close(self) -> None:
        """Keeps newcomers out and waits until nobody is inside.

        Raises:
            UsageError: this thread is inside itself, for example in a signal handler.
        """
        with self._changed:
            if threading.get_ident() in self._inside:
                raise UsageError(
                    "cannot close while this very thread is running the model",
                    hint="close after `run` has returned",
                )
            self._open = False
            self._changed.wait_for(lambda: not self._inside)
