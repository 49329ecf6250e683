"""The process of an isolated model, from the outside: start it, talk to it, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from typing import Any

from modelkeep.errors import MalformedError, RuntimeCrashedError, RuntimeTimeoutError, UnavailableError
from modelkeep.isolation.channel import Channel, ChannelClosedError, close_quietly

_CHILD = "modelkeep.isolation.child"
# How long a process that closed its channel may take to end by itself.
_GRACE = 5.0


class Process:
    """A child process that ends with `end`, with this object, or with the process that started it."""

    def __init__(self) -> None:
        """Starts the process.

        Raises:
            UnavailableError: it does not start.
        """
        self._channel, other = Channel.pair()
        try:
            self._child = _start(other)
        except BaseException:
            self._channel.close()
            raise
        finally:
            other.close()
        self._deadline: float | None = None
        _LIVE.add(self)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def allow(self, seconds: float | None) -> None:
        """Gives everything from now on this long in all; None for ever."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def send(self, message: list[object], descriptor: int | None = None) -> None:
        """Sends a message.

        Raises:
            RuntimeCrashedError: the process is gone.
            RuntimeTimeoutError: it did not take the message in time, and was ended.
        """
        self._exchange(lambda: self._channel.send(message, descriptor))

    def send_secret(self, secret: memoryview) -> None:
        """Sends a key.

        Raises:
            RuntimeCrashedError, RuntimeTimeoutError: see `send`.
        """
        self._exchange(lambda: self._channel.send_secret(secret))

    def receive(self) -> tuple[list[Any], int | None]:
        """Returns the next message and its descriptor, which the caller closes.

        Raises:
            RuntimeCrashedError: the process is gone, or talks nonsense, and was ended.
            RuntimeTimeoutError: it said nothing in time, and was ended.
        """
        message: tuple[list[Any], int | None] = self._exchange(self._channel.receive)
        return message

    def end(self) -> None:
        """Kills the process and waits until its memory is back with the kernel; again does nothing."""
        self._channel.close()
        self._child.kill()
        self._child.wait()

    def abandon(self) -> None:
        """Lets go of the process in a forked copy of its parent, which cannot end it."""
        self._channel.close()
        # It is not this process's child: there is nothing to wait for, and nothing to warn of.
        self._child.returncode = 0

    def _exchange(self, action: Any) -> Any:
        try:
            self._channel.wait_at_most(self._seconds_left())
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

    def _seconds_left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _crash(self) -> RuntimeCrashedError:
        try:
            code = self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self.end()
        return RuntimeCrashedError(
            f"the process of the isolated model {_reason(code)}", hint="open the model again"
        )


def _start(other: Channel) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # The same modules as here, but never those of the working directory.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-P", "-m", _CHILD, str(other.descriptor)]
    try:
        return subprocess.Popen(
            command,
            env=environment,
            pass_fds=[other.descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except OSError as error:
        raise UnavailableError(f"cannot start an isolated process: {error.strerror}") from error


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

__all__ = ["Process", "close_quietly"]
