"""Opens a model in a process of its own. Its plaintext never is in this one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelkeep.errors import RuntimeCrashedError
from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.inspection import filtered
from modelkeep.isolation.process import Process, Start
from modelkeep.isolation.protocol import Opening, SealedFile, error_from
from modelkeep.isolation.remarks import printable
from modelkeep.isolation.runner import ProcessRunner
from modelkeep.isolation.settings import ProcessIsolation
from modelkeep.memory import MemoryReport
from modelkeep.payload.stream import Progress


def open_process(
    opening: Opening,
    files: Iterable[SealedFile],
    key: memoryview,
    *,
    settings: ProcessIsolation,
    progress: Progress,
) -> tuple[ProcessRunner, Hardening, MemoryReport]:
    """Starts a process, hands it sealed files and their key, and waits until the model is ready.

    Args:
        opening: what is to be opened.
        files: its files; each is used before the next one is asked for.
        key: the 32 bytes that their streams have in common.
        settings: what the caller decides about the process.
        progress: told the bytes that are decrypted.

    Returns:
        What runs the model, what the process has given up, and how it holds the weights.

    Raises:
        RuntimeCrashedError: the process ended.
        RuntimeTimeoutError: it took too long and was ended.
        KeepError: what decrypting and loading raise.
    """
    message = opening.message()
    process = Process(Start(opening.format, opening.runtime, settings.fresh, settings.open_timeout))
    try:
        done = _hardening(_expect(process, "hardened", _no_more))
        process.send(message)
        total = 0
        for file in files:
            process.send(file.message(), file.extent.descriptor)
            total += file.extent.size
        process.send_secret(key)
        ready = _expect(process, "ready", _Told(progress, total))
        outputs, held, more = _readiness(ready)
        done += more
        if not done.missing and not filtered(process.pid, process.parent):
            raise _nonsense()
        return ProcessRunner(process, settings, outputs), done, held
    except BaseException:
        process.end()
        raise


class _Told:
    """Passes on what the process says it has decrypted, as far as that is possible."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._left = total

    def __call__(self, count: int) -> None:
        self._left -= count
        if count <= 0 or self._left < 0:
            raise _nonsense()
        self._progress(count)


def _no_more(_count: int) -> None:
    raise _nonsense()


def _expect(process: Process, word: str, progress: Progress) -> list[Any]:
    while True:
        match process.receive():
            case ["progress", int(count)]:
                progress(count)
            case [said, *rest] if said == word:
                return rest
            case message:
                raise error_from(message)


def _readiness(parts: list[Any]) -> tuple[tuple[str, ...] | None, MemoryReport, Hardening]:
    match parts:
        case [int(locked), int(unlocked), bool(huge), list() | None as outputs, *more]:
            if outputs is not None and not all(isinstance(name, str) for name in outputs):
                raise _nonsense()
            names = None if outputs is None else tuple(outputs)
            return names, MemoryReport(locked, unlocked, huge), _hardening(more)
        case _:
            raise _nonsense()


def _hardening(parts: list[Any]) -> Hardening:
    match parts:
        case [list(in_force), list(missing)]:
            return Hardening(_words(in_force), _words(missing))
        case _:
            raise _nonsense()


def _words(texts: list[Any]) -> tuple[str, ...]:
    return tuple(printable(str(text)) for text in texts)


def _nonsense() -> RuntimeCrashedError:
    return RuntimeCrashedError("the isolated process talks nonsense", hint="open the model again")
