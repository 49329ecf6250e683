"""The thread that starts processes. They end when it does, which is when this process does."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

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
