"""The process of an isolated model, from the outside: start it, talk to it, end it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from modelkeep.errors import MalformedError, RuntimeCrashedError, RuntimeTimeoutError
from modelkeep.isolation import starter
from modelkeep.isolation.channel import ChannelClosedError
from modelkeep.isolation.fork_server import Copy
from modelkeep.isolation.preparation import PREPARATION

_CHILD = "modelkeep.isolation.child"
# How long a process that closed its channel may take to end by itself.
_GRACE = 5.0

Result = TypeVar("Result")
Child = subprocess.Popen[bytes] | Copy


@dataclass(frozen=True, slots=True)
class Start:
    """How a process is started.

    Attributes:
        format: of the model that it is for.
        runtime: name of the adapter, or None.
        fresh: start it anew instead of copying one that has the runtime imported.
        seconds: how long that, and what follows, may take; None for ever.
    """

    format: str
    runtime: str | None
    fresh: bool
    seconds: float | None


class Process:
    """A process that ends with `end`, with this object, or with the process that this one is.

    Attributes:
        parent: id of the process that started it, whose filters it inherited.
    """

    def __init__(self, start: Start) -> None:
        """Starts the process, or has it copied from one that is ready.

        Raises:
            UnavailableError: it does not start.
            RuntimeTimeoutError: it took too long.
        """
        self._channel, self._remarks, begun = starter.connected(partial(_begin, start), start.seconds)
        self._child, self.parent = begun
        _LIVE.add(self)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def allow(self, seconds: float | None) -> None:
        """Gives everything from now on this long in all; None for ever."""
        self._channel.allow(seconds)

    def send(self, message: list[object], *descriptors: int) -> None:
        """Sends a message.

        Raises:
            RuntimeCrashedError: the process is gone.
            RuntimeTimeoutError: it did not take the message in time, and was ended.
        """
        self._exchange(lambda: self._channel.send(message, *descriptors))

    def send_secret(self, secret: memoryview) -> None:
        """Sends a key.

        Raises:
            RuntimeCrashedError, RuntimeTimeoutError: see `send`.
        """
        self._exchange(lambda: self._channel.send_secret(secret))

    def receive(self) -> list[Any]:
        """Returns the next message.

        Raises:
            RuntimeCrashedError: the process is gone, or talks nonsense, and was ended.
            RuntimeTimeoutError: it said nothing in time, and was ended.
        """
        message = self._exchange(self._channel.receive)
        self._remarks.log()
        return message

    def end(self) -> None:
        """Kills the process and waits until its memory is back with the kernel; again does nothing."""
        self._channel.close()
        self._child.kill()
        self._child.wait()
        self._remarks.log()
        self._remarks.close()

    def abandon(self) -> None:
        """Lets go of the process in a forked copy of its parent, which cannot end it."""
        self._channel.close()
        self._remarks.close()
        # It is not this process's child: there is nothing to wait for, and nothing to warn of.
        self._child.returncode = 0

    def _exchange(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except TimeoutError:
            self.end()
            raise RuntimeTimeoutError(
                "the isolated model took too long and was ended", hint="open it again, with a longer timeout"
            ) from None
        except ChannelClosedError:
            raise self._crash() from None
        except BaseException as error:
            # Whatever interrupted the exchange: the answer that is under way would be taken for another's.
            self.end()
            if isinstance(error, MalformedError):
                raise RuntimeCrashedError(str(error), hint="open the model again") from None
            raise

    def _crash(self) -> RuntimeCrashedError:
        try:
            code = self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self._remarks.log(logging.WARNING)
        self.end()
        return RuntimeCrashedError(
            f"the process of the isolated model {_reason(code)}", hint="open the model again"
        )


def _begin(start: Start, session: int, remarks: int) -> tuple[Child, int]:
    """Returns the process, and the id of the one whose filters it has on top of its own."""
    if not start.fresh:
        until = None if start.seconds is None else time.monotonic() + start.seconds
        copy = PREPARATION.copy(start.format, start.runtime, session, remarks, until)
        if copy is not None:
            return copy, copy.server_pid
    return starter.start(_CHILD, session, remarks), os.getpid()


def _reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed, perhaps because the machine ran out of memory"
    if code < 0:
        return f"crashed: {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"
    return f"ended (exit code {code})"


def _abandon_in_child() -> None:
    # A copy of the channel here would keep the model alive after its session is gone.
    for process in list(_LIVE):
        process.abandon()


_LIVE: weakref.WeakSet[Process] = weakref.WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_child)
