"""Steps that are done, in a file beside the report: an interrupted report goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelkeep.errors import StorageError
from modelkeep.storage import read_small, write_file

_LARGEST = 64 * 2**20
_SAVE_EVERY = 10

Result = dict[str, Any]


class Steps:
    """Results by name of the step. They count only for the same model, profile, samples and settings."""

    def __init__(self, path: str | os.PathLike[str] | None, key: str) -> None:
        """Reads what an earlier run left, if it was about the same `key`; None keeps nothing."""
        self._path, self._key = None if path is None else Path(path), key
        self._results: dict[str, Result] = {} if self._path is None else _read(self._path, key)
        self._unsaved = 0

    def do(self, name: str, work: Callable[[], Result]) -> Result:
        """Returns the result of a step, from the file or from doing it now."""
        if name not in self._results:
            self._results[name] = work()
            self._unsaved += 1
            if self._unsaved >= _SAVE_EVERY:
                self.save()
        return self._results[name]

    def save(self) -> None:
        """Writes what is done.

        Raises:
            StorageError: cannot be written.
        """
        if self._path is not None and self._unsaved:
            state = {"key": self._key, "results": self._results}
            write_file(self._path, json.dumps(state, allow_nan=False).encode(), force=True)
        self._unsaved = 0


def _read(path: Path, key: str) -> dict[str, Result]:
    # What cannot be used is measured again.
    try:
        state = json.loads(read_small(path, _LARGEST, "the state of a report"))
    except (StorageError, ValueError, RecursionError):
        return {}
    if not isinstance(state, dict) or state.get("key") != key or not isinstance(state.get("results"), dict):
        return {}
    return dict(state["results"])
