"""A gate before something that is in use and must end: whoever closes it waits until they have left."""

from __future__ import annotations

import threading
import weakref

from modelkeep.errors import UsageError


class Gate:
    """Knows the threads inside, and keeps newcomers out once it is closed.

        with gate.visit():
            gate.check()
            ...

    Every visit holds a lock of its own, which the interpreter lets go of in one step: an interrupt at any
    moment, the keyboard's among them, leaves nobody inside who is not.
    """

    def __init__(self, closed_message: str, *, hint: str) -> None:
        self._refusal = closed_message, hint
        # Locks disappear with their visits.
        self._visits: dict[weakref.ref[threading.Lock], int] = {}
        self._open = True

    def visit(self) -> threading.Lock:
        """Returns what a visit is made in; `check` follows as the first thing inside."""
        lock = threading.Lock()
        self._visits[weakref.ref(lock, self._visits.pop)] = threading.get_ident()
        return lock

    def check(self) -> None:
        """Says whether the gate is open to a visit that has begun.

        Raises:
            UsageError: it was closed before.
        """
        if not self._open:
            message, hint = self._refusal
            raise UsageError(message, hint=hint)

    def close(self) -> None:
        """Keeps newcomers out and waits until nobody is inside; interrupted, it can be called again.

        Raises:
            UsageError: this thread is inside itself, for example in a signal handler.
        """
        own = threading.get_ident()
        for reference, visitor in list(self._visits.items()):
            lock = reference()
            if visitor == own and lock is not None and lock.locked():
                raise UsageError(
                    "cannot close while this very thread is running the model",
                    hint="close after `run` has returned",
                )
        # From here on, whoever begins a visit finds the gate closed; whoever has begun is among these.
        self._open = False
        for reference in list(self._visits):
            lock = reference()
            if lock is not None:
                with lock:
                    pass
