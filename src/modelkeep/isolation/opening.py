"""Opens a model in a process of its own. Its plaintext never is in this one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelkeep.errors import RuntimeCrashedError
from modelkeep.isolation.channel import close_quietly
from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.process import Process
from modelkeep.isolation.protocol import Opening, SealedFile, error_from
from modelkeep.isolation.runner import ProcessRunner
from modelkeep.memory import MemoryReport
from modelkeep.payload.stream import Progress


def open_process(
    opening: Opening,
    files: Iterable[SealedFile],
    key: memoryview,
    *,
    timeout: float | None,
    open_timeout: float | None,
    progress: Progress,
) -> tuple[ProcessRunner, Hardening, MemoryReport]:
    """Starts a process, hands it sealed files and their key, and waits until the model is ready.

    Args:
        opening: what is to be opened.
        files: its files; each is used before the next one is asked for.
        key: the 32 bytes that their streams have in common.
        timeout: longest time for a run, in seconds.
        open_timeout: longest time until ready, in seconds.
        progress: told the bytes that are decrypted.

    Returns:
        What runs the model, what the process has given up, and how it holds the weights.

    Raises:
        RuntimeCrashedError: the process ended.
        RuntimeTimeoutError: it took too long and was ended.
        KeepError: what decrypting and loading raise.
    """
    message = opening.message()
    process = Process()
    try:
        process.allow(open_timeout)
        done = _hardening(_expect(process, "hardened", progress))
        process.send(message)
        for file in files:
            process.send(file.message(), file.extent.descriptor)
        process.send_secret(key)
        locked, unlocked, huge, *more = _expect(process, "ready", progress)
        done += _hardening(more)
        held = MemoryReport(int(locked), int(unlocked), bool(huge))
        return ProcessRunner(process, timeout), done, held
    except BaseException:
        process.end()
        raise


def _expect(process: Process, word: str, progress: Progress) -> list[Any]:
    while True:
        message, descriptor = process.receive()
        close_quietly(descriptor)
        match message:
            case ["progress", int(count)]:
                progress(count)
            case [said, *rest] if said == word:
                return rest
            case _:
                raise error_from(message)


def _hardening(parts: list[Any]) -> Hardening:
    match parts:
        case [list(in_force), list(missing)]:
            return Hardening(tuple(map(str, in_force)), tuple(map(str, missing)))
        case _:
            raise RuntimeCrashedError("the isolated process does not say how it is hardened")
