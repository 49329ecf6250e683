"""The sidecar ``name.keep.grants``: grants added after sealing, one canonical JSON per line.

Appended to and synced under a lock. A last line without a line end is what a crash leaves of an
append: readers ignore it and the next append cuts it off. Source: spec/grant-v1.md, "Where grants are".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.errors import MalformedError, UnavailableError, UnsupportedVersionError
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import LARGEST_GRANT, Grant, parse_all
from modelkeep.storage import open_regular, opened, sync_folder, wait_for_lock, words_for, write_at

LONGEST_LINE = LARGEST_GRANT + 1
_BATCH_BYTES = 2**20
# How every grant begins, and so what is torn off of the first one.
_START = b'{"header":"'


def read(
    path: str | os.PathLike[str], *, required: bool = False, glance: Glance | None = None
) -> Iterator[Grant]:
    """Yields the grants in file order, one line in memory at a time.

    A missing file has none, unless it is `required`. Grants that `glance` passes over are left out.

    Raises:
        StorageError: cannot be read.
        MalformedError: a complete line is not a grant; the message says which.
        UnsupportedVersionError: after all others, if a line was written by a newer modelkeep.
    """
    try:
        lines = _lines(path, required)
        yield from parse_all(lines if glance is None else filter(glance.may_fit, lines))
    except MalformedError as error:
        raise type(error)(f"{os.fspath(path)}: {error}", hint=error.hint) from None


def append(path: str | os.PathLike[str], grants: Iterable[Grant]) -> None:
    """Adds all of `grants`, or none of them; see `append_encoded`."""
    append_encoded(path, (grant.to_bytes() for grant in grants))


def append_encoded(
    path: str | os.PathLike[str], grants: Iterable[bytes], *, expected_start: int | None = None
) -> int:
    """Adds all of the encoded `grants`, or none of them, and makes them durable; returns the new size.

    Several processes may append at once; each waits for its turn. Who depends on the order tells
    with `expected_start` how many bytes of whole lines the file must have before.

    Raises:
        StorageError: cannot be written; the file is as it was.
        MalformedError: the file is not a sidecar.
        UnavailableError: somebody else has added grants; the file is as it was.
    """
    is_new = not os.path.lexists(path)
    with words_for(path), _locked(path) as descriptor:
        _refuse_other_files(descriptor, os.fspath(path))
        start = _cut_torn_tail(descriptor, os.fspath(path))
        if expected_start not in (None, start):
            raise _somebody_else(path)
        try:
            end = _write(descriptor, start, grants)
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, start)
            if is_new and start == 0:
                # A file that grants nothing looks like something that was done.
                Path(path).unlink()
            raise
        if start == 0 and end:
            sync_folder(Path(path).parent)
    return end


def _somebody_else(path: str | os.PathLike[str]) -> UnavailableError:
    return UnavailableError(
        f"{os.fspath(path)}: somebody else is adding grants to it",
        hint="let the other command end, then run this one again; it goes on where that stopped",
    )


def _lines(path: str | os.PathLike[str], required: bool) -> Iterator[bytes]:
    with words_for(path):
        if not required and not Path(path).exists():
            return
        with opened(path) as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if line.endswith(b"\n"):
                    yield line[:-1]
                elif len(line) == LONGEST_LINE:
                    raise MalformedError(f"{os.fspath(path)}: line {number}: too long for a grant")


@contextmanager
def _locked(path: str | os.PathLike[str]) -> Iterator[int]:
    while True:
        # Never through a link: it could lead to any file that this user may write.
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        try:
            wait_for_lock(descriptor, path)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: str | os.PathLike[str]) -> bool:
    # Whoever could not write a new file has removed it again.
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _refuse_other_files(descriptor: int, path: str) -> None:
    """Refuses whatever does not begin as a file of grants: what is appended to loses its torn last line."""
    line, end, _rest = os.pread(descriptor, LONGEST_LINE, 0).partition(b"\n")
    if not end and _START.startswith(line[: len(_START)]):
        return
    try:
        Grant.from_bytes(line)
    except UnsupportedVersionError:
        return
    except MalformedError:
        raise MalformedError(
            f"{path}: not a file of grants, so nothing is appended to it", hint="choose another output"
        ) from None


def _cut_torn_tail(descriptor: int, path: str) -> int:
    """Returns the file's length after cutting off an unterminated last line."""
    size = os.fstat(descriptor).st_size
    tail_start = max(0, size - LONGEST_LINE)
    tail = os.pread(descriptor, LONGEST_LINE, tail_start)
    end = tail_start + tail.rfind(b"\n") + 1
    if end == tail_start > 0:
        raise MalformedError(f"{path}: not a file of grants: its last line is too long")
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def encoded(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yields the complete lines of a file of grants as they are; a missing file has none.

    Raises:
        StorageError: cannot be read.
        MalformedError: a line is too long for a grant.
    """
    return _lines(path, required=False)


def _write(descriptor: int, offset: int, grants: Iterable[bytes]) -> int:
    batch = bytearray()
    for grant in grants:
        batch += grant + b"\n"
        if len(batch) >= _BATCH_BYTES:
            write_at(descriptor, memoryview(bytes(batch)), offset)
            offset += len(batch)
            batch.clear()
    write_at(descriptor, memoryview(bytes(batch)), offset)
    return offset + len(batch)
