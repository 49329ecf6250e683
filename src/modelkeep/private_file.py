"""Reading files that hold secrets: regular, ours alone, small, and into a buffer that is wiped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import KeyStoreError
from modelkeep.file_kind import public_kind
from modelkeep.memory import wiped
from modelkeep.storage import words_for

LARGEST_KEY_FILE = 65_536
_ROOT = 0
_HEAD = 256


@contextmanager
def read_private(path: str) -> Iterator[memoryview]:
    """Yields the content of a key file and wipes it afterwards.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: not a regular file, too large, or others may read or change it.
    """
    with words_for(path):
        # Without O_NONBLOCK, a pipe put in the file's place would hold the opener for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with wiped(_check(path, descriptor)) as buffer:
            with words_for(path):
                filled = os.readv(descriptor, [buffer])
            with memoryview(buffer)[:filled] as view:
                yield view
    finally:
        os.close(descriptor)


def check_owner(path: str, descriptor: int) -> None:
    """Refuses a file that another user owns: its owner can change it, and knows what is in it.

    Raises:
        KeyStoreError: it is neither this user's nor root's.
    """
    owner = os.fstat(descriptor).st_uid
    if owner not in (_ROOT, os.geteuid()):
        raise KeyStoreError(
            f"{path}: belongs to another user (number {owner})",
            hint=f"make it this user's own: chown {os.geteuid()} {path}",
        )


def check_private(path: str, descriptor: int) -> None:
    """Refuses a file that others may read or change.

    Orchestrators mount secrets read-only and readable for the group of the service: there nothing can be
    changed, neither the file nor its mode, and that is accepted.

    Raises:
        KeyStoreError: the owner or the mode is not that of a secret.
    """
    check_owner(path, descriptor)
    loose = os.fstat(descriptor).st_mode & 0o077
    if loose == 0 or (loose == stat.S_IRGRP and _is_mounted_read_only(descriptor)):
        return
    if (kind := _public_kind(descriptor)) is not None:
        raise KeyStoreError(
            f"{path}: {kind}, not a private key", hint="pass the private key that belongs to it"
        )
    if _is_mounted_read_only(descriptor):
        raise KeyStoreError(
            f"{path}: more than this user and its group may read this key",
            hint="mount it with mode 0400, or 0440 and the group of the service",
        )
    raise KeyStoreError(f"{path}: others may read or change this key", hint=f"run: chmod 600 {path}")


def _check(path: str, descriptor: int) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise KeyStoreError(f"{path}: not a regular file")
    check_private(path, descriptor)
    if status.st_size > LARGEST_KEY_FILE:
        raise KeyStoreError(f"{path}: too large for a key file")
    return status.st_size


def _public_kind(descriptor: int) -> str | None:
    # Swapped by mistake: whoever follows "chmod 600" would lock readers out of a public key.
    with wiped(_HEAD) as buffer:
        size = os.preadv(descriptor, [buffer], 0)
        with memoryview(buffer)[:size] as view:
            return public_kind(view)


def _is_mounted_read_only(descriptor: int) -> bool:
    return bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)
