"""The thread that starts processes. They end when it does, which is when this process does."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from modelkeep.errors import UnavailableError
from modelkeep.isolation.channel import Channel
from modelkeep.isolation.remarks import Remarks
from modelkeep.isolation.surroundings import environment

Result = TypeVar("Result")


class Starter:
    """Calls functions in one thread that outlives those who ask.

    The kernel ties a process to the thread that started it, and the threads of callers come and go.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def call(self, function: Callable[[], Result]) -> Result:
        """Returns what the function returns, or raises what it raises."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="modelkeep-starter", daemon=True)
                self._thread.start()
        answer: Future[Result] = Future()
        self._work.put((function, answer))
        return answer.result()

    def _serve(self) -> None:
        while True:
            function, answer = self._work.get()
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)
            del function, answer

    def _forget(self) -> None:
        self._work = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = None


STARTER = Starter()


def connected(
    begin: Callable[[int, int], Result], seconds: float | None = None
) -> tuple[Channel, Remarks, Result]:
    """Returns a channel to a process that `begin` begins, what it remarks, and what `begin` returns.

    Args:
        begin: is given the descriptors of the process's end of the channel and of its standard error.
        seconds: how long that, and what follows on the channel, may take; None for ever.
    """
    channel, other = Channel.pair()
    channel.allow(seconds)
    remarks = Remarks()
    try:
        begun = begin(other.descriptor, remarks.writing)
    except BaseException:
        channel.close()
        remarks.close()
        raise
    finally:
        other.close()
        remarks.started()
    return channel, remarks, begun


def start(module: str, channel: int, errors: int) -> subprocess.Popen[bytes]:
    """Starts a process, in the thread of `STARTER`, that has nothing of this one but two descriptors.

    Args:
        module: what it runs; its arguments are the first descriptor and the id of this process.
        channel: descriptor of its end of a channel.
        errors: descriptor that becomes its standard error.

    Raises:
        UnavailableError: it does not start.
    """
    command = [sys.executable, "-P", "-m", module, str(channel), str(os.getpid())]
    return STARTER.call(lambda: _start(command, channel, errors))


def _start(command: list[str], channel: int, errors: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=environment(),
            cwd="/",
            pass_fds=[channel],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # no terminal: what is typed there is not for it, nor by it
        )
    except OSError as error:
        raise UnavailableError(f"cannot start an isolated process: {error.strerror}") from error
