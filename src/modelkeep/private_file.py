"""Reading files that hold secrets: regular, ours alone, small, and into a buffer that is wiped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import KeyStoreError
from modelkeep.memory import wiped
from modelkeep.storage import words_for

LARGEST_KEY_FILE = 65_536


@contextmanager
def read_private(path: str) -> Iterator[memoryview]:
    """Yields the content of a key file and wipes it afterwards.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: not a regular file, too large, or others may read or change it.
    """
    with words_for(path):
        # Without O_NONBLOCK, a pipe put in the file's place would hold the opener for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with wiped(_check(path, os.fstat(descriptor))) as buffer:
            with words_for(path):
                filled = os.readv(descriptor, [buffer])
            with memoryview(buffer)[:filled] as view:
                yield view
    finally:
        os.close(descriptor)


def _check(path: str, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise KeyStoreError(f"{path}: not a regular file")
    if status.st_mode & 0o077:
        raise KeyStoreError(f"{path}: others may read or change this key", hint=f"run: chmod 600 {path}")
    if status.st_size > LARGEST_KEY_FILE:
        raise KeyStoreError(f"{path}: too large for a key file")
    return status.st_size
