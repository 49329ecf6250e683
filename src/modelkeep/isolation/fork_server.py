"""A process with a runtime and no model, from the outside; and its copies, one for each model."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from modelkeep.errors import MalformedError, RuntimeTimeoutError
from modelkeep.isolation.channel import ChannelClosedError, close_quietly
from modelkeep.isolation.starter import connected, start

_MODULE = "modelkeep.isolation.forking"
# How long a process that does not answer any more is waited for.
_GRACE = 5.0
_KILLED = -int(signal.SIGKILL)


class ForkServer:
    """Belongs to this process, and ends with it.

    Attributes:
        made: whether it has made a copy.
    """

    def __init__(self) -> None:
        """Starts the process, and does not wait until it has.

        Raises:
            UnavailableError: it does not start.
        """
        self.made = False
        self._lock = threading.Lock()
        self._number = 0
        self._copies: weakref.WeakSet[Copy] = weakref.WeakSet()
        self._channel, self._remarks, self._process = connected(partial(start, _MODULE))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether there are copies that have not ended."""
        return any(copy.returncode is None for copy in self._copies)

    def load(self, model_format: str, runtime: str | None) -> None:
        """Has it import what loads such models, and does not wait until it has."""
        with self._exchange(time.monotonic() + _GRACE):
            self._channel.send(["import", model_format, runtime])

    def copy(self, session: int, remarks: int, until: float | None) -> Copy | None:
        """Returns a new copy, or None where none can be made.

        Args:
            session: descriptor that becomes the copy's end of the channel to its session.
            remarks: descriptor that becomes its standard error.
            until: when to stop waiting for it, by the monotonic clock; None waits for ever.

        Raises:
            RuntimeTimeoutError: it took longer.
        """
        with self._exchange(until):
            self._number += 1
            # One message, so that one that is given up in the middle leaves nothing half said.
            self._channel.send(["copy", self._number], session, remarks)
            pid = self._answer("copied")
            return None if pid is None else self._made(pid)
        return None

    def reaped(self, pid: int) -> int | None:
        """Returns the exit code of a copy that has ended, or None where it cannot be found out."""
        with suppress(RuntimeTimeoutError), self._exchange(time.monotonic() + _GRACE):
            self._number += 1
            self._channel.send(["reap", self._number, pid])
            code: int | None = self._answer("reaped")
            return code
        return None

    def end(self) -> None:
        """Ends it, and so all of its copies; again does nothing."""
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._remarks.close()

    def abandon(self) -> None:
        """Lets go of it in a forked copy of this process, to which it does not belong."""
        self._channel.close()
        self._remarks.close()
        self._process.returncode = 0
        for copy in self._copies:
            copy.abandon()

    @contextmanager
    def _exchange(self, until: float | None) -> Iterator[None]:
        """One caller at a time, for so long; where the process is gone, nothing comes of it."""
        if not self._lock.acquire(timeout=-1 if until is None else _left(until)):
            raise _too_late()
        try:
            self._channel.allow(None if until is None else _left(until))
            yield
        except TimeoutError:
            raise _too_late() from None
        except (ChannelClosedError, MalformedError):
            return
        finally:
            self._lock.release()

    def _made(self, pid: int) -> Copy:
        # Nobody but this object has it waited for, so that the id is still its own.
        copy = Copy(self, pid, os.pidfd_open(pid))
        self._copies.add(copy)
        self.made = True
        return copy

    def _answer(self, word: str) -> Any:
        # Answers to what was given up, because it took too long or was interrupted, are passed over.
        while True:
            message = self._channel.receive()
            self._remarks.log()
            match message:
                case [said, int(number), answer] if said == word and number == self._number:
                    return answer


class Copy:
    """A process that a fork server made; in use like `subprocess.Popen`.

    Attributes:
        pid: its process id.
        server_pid: that of the process that it is a copy of.
        returncode: its exit code, negative for a signal; None while it has not been waited for.
    """

    def __init__(self, server: ForkServer, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.server_pid = server.pid
        self.returncode: int | None = None
        self._server = server
        self._descriptor = descriptor
        self._let_go = weakref.finalize(self, _let_go, descriptor)

    def kill(self) -> None:
        """Ends it; where it has ended, does nothing."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Waits until its memory is back with the kernel; returns its exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        if self.returncode is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(_MODULE, timeout or 0)
            code = self._server.reaped(self.pid)
            self.returncode = _KILLED if code is None else code
            self._let_go.detach()
            close_quietly(self._descriptor)
        return self.returncode

    def abandon(self) -> None:
        """See `Process.abandon`."""
        self.returncode = 0
        self._let_go.detach()
        close_quietly(self._descriptor)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _let_go(descriptor: int) -> None:
    with suppress(OSError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    close_quietly(descriptor)


def _too_late() -> RuntimeTimeoutError:
    return RuntimeTimeoutError(
        "the isolated process was not there in time", hint="open it again, with a longer open_timeout"
    )
