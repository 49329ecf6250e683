"""Steps that are done, in a file beside the report: an interrupted report goes on where it was.

The file holds the key of the report on its first line, then one line of JSON for each step. A line
that an interruption has torn is dropped. Source for the lock: flock(2).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from modelkeep.errors import StorageError
from modelkeep.storage import lock_now, words_for, write_at

_LARGEST = 64 * 2**20

Result = dict[str, Any]
# Takes the name of a step and the work; returns the result.
Step = Callable[[str, Callable[[], Result]], Result]


class State:
    """Results by name of the step. They count only for the same model, profile, samples and settings.

    While it is open, nobody else opens the same file: of two reports into one place, one is refused.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Opens or makes the file; None keeps results in memory alone.

        Raises:
            StorageError: it cannot be written, or another report is being written there.
        """
        self._path = None if path is None else Path(path)
        self._results: dict[str, Result] = {}
        self._end = 0
        self._descriptor = -1 if self._path is None else _locked(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        if self._path is None:
            return
        # What holds no step is of no use to anybody; a state that was not looked at may be.
        if not os.fstat(self._descriptor).st_size or (self._end and not self._results):
            self.remove()
        os.close(self._descriptor)

    def begin(self, key: str) -> None:
        """Takes up what an earlier run left, if it was about the same `key`.

        Raises:
            StorageError: cannot be written.
        """
        if self._path is None:
            return
        with words_for(self._path):
            content = os.pread(self._descriptor, _LARGEST, 0)
            self._results, self._end = _read(content, key)
            os.ftruncate(self._descriptor, self._end)
            if not self._end:
                self._append({"key": key})

    def do(self, name: str, work: Callable[[], Result]) -> Result:
        """Returns the result of a step, from the file or from doing it now.

        Raises:
            StorageError: cannot be written.
        """
        if name not in self._results:
            result = work()
            if self._path is not None:
                with words_for(self._path):
                    self._append({"step": name, "result": result})
            self._results[name] = result
        return self._results[name]

    def remove(self) -> None:
        """Removes the file, once the report is written; what is left over does no harm."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        write_at(self._descriptor, memoryview(line), self._end)
        self._end += len(line)


def _locked(path: Path) -> int:
    with words_for(path):
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                lock_now(descriptor, _held(path))
            except BaseException:
                os.close(descriptor)
                raise
            # Between opening and locking, the report that had it may have removed it.
            if _is(path, descriptor):
                return descriptor
            os.close(descriptor)


def _held(path: Path) -> StorageError:
    return StorageError(
        f"{path}: another report is being written there",
        hint="wait until it is done, or choose another output",
    )


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(content: bytes, key: str) -> tuple[dict[str, Result], int]:
    """Returns the results for a key and where the last whole line ends; nothing and 0 for other content."""
    results: dict[str, Result] = {}
    lines = content.splitlines(keepends=True)
    if not lines or _parsed(lines[0]) != {"key": key}:
        return results, 0
    end = len(lines[0])
    for line in lines[1:]:
        match _parsed(line):
            case {"step": str(name), "result": dict(result)}:
                results[name] = result
                end += len(line)
            case _:
                break
    return results, end


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
