"""The granter's own folder: journal, index, and what is still to be done; for one granter at a time."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelkeep.errors import KeyStoreError, StorageError, UnavailableError
from modelkeep.granter.index import Index
from modelkeep.granter.journal import Journal
from modelkeep.storage import lock_now, make_folder, words_for

_JOURNAL, _INDEX, _OUTBOX = "journal.jsonl", "index.sqlite", "outbox.json"


@dataclass(frozen=True, slots=True)
class State:
    """The open folder.

    Attributes:
        journal: everything that was decided.
        index: what is looked up.
        outbox: where a batch is written down before it is done.
    """

    journal: Journal
    index: Index
    outbox: Path


def journal_path(folder: Path) -> Path:
    """Returns where the journal of a granter is."""
    return folder / _JOURNAL


@contextmanager
def open_state(folder: Path) -> Iterator[State]:
    """Opens the folder of a granter for the length of a `with` block; made where there is none.

    Raises:
        UnavailableError: another granter works with it.
        KeyStoreError: others may read or change it.
        StorageError: it cannot be used.
    """
    with words_for(folder):
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_private(folder, descriptor)
        _lock(folder, descriptor)
        with (
            Journal(journal_path(folder)) as journal,
            closing(Index(folder / _INDEX)) as index,
            _in_words(folder),
        ):
            yield State(journal, index, folder / _OUTBOX)
    finally:
        os.close(descriptor)


def _check_private(folder: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyStoreError(
            f"{folder}: others may read or change what this granter goes by", hint=f"run: chmod 700 {folder}"
        )


def _lock(folder: Path, descriptor: int) -> None:
    held = UnavailableError(
        f"{folder}: another granter works with it", hint="one granter at a time; let it end"
    )
    with words_for(folder):
        lock_now(descriptor, held)


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"{folder / _INDEX}: {error}", hint="remove the index; it is made anew from the journal"
        ) from error
