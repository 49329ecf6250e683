"""Files: errors with words, and replacing a file so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from modelkeep.errors import StorageError, UsageError
from modelkeep.partial import Partial

_PIECE = 2**16


@contextlib.contextmanager
def words_for(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an OSError of the block into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"{os.fspath(path)}: {reason}", hint=_hint(error)) from error


def read_small(path: str | os.PathLike[str], largest: int, what: str) -> bytes:
    """Returns the content of a small regular file.

    Raises:
        StorageError: cannot be read, or holds more than `largest` bytes.
    """
    data = bytearray()
    with words_for(path), Path(path).open("rb") as file:
        # Piece by piece: asked for all at once, Python allocates what it is asked for.
        while piece := file.read(min(_PIECE, largest + 1 - len(data))):
            data += piece
    if len(data) > largest:
        raise StorageError(f"{os.fspath(path)}: too large for {what} (more than {largest} bytes)")
    return bytes(data)


class Replacement:
    """A new file that takes the place of `target` only when it is complete.

    Written under a temporary name in the same folder; `commit` syncs and renames it, leaving
    the block without `commit` removes it. An existing target is left intact unless `force`.
    """

    def __init__(self, target: str | os.PathLike[str], *, force: bool = False, mode: int = 0o644) -> None:
        self.target = Path(target)
        self._force = force
        refuse_overwrite(self.target, force=force)
        with words_for(self.target):
            self._new = Partial(self.target, mode=mode)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._new.descriptor

    def __enter__(self) -> Replacement:
        return self

    def __exit__(self, *_details: object) -> None:
        self._new.discard()

    def commit(self) -> None:
        """Makes the new file durable under its final name.

        Raises:
            StorageError: the disk is full or refuses; the old file is intact.
            UsageError: somebody else created the target meanwhile.
        """
        with words_for(self.target):
            os.fsync(self.descriptor)
            self._take_name()
            sync_folder(self.target.parent)

    def _take_name(self) -> None:
        if self._force:
            self._new.path.replace(self.target)
            return
        try:
            # A link fails when the target exists, a rename would overwrite it.
            self.target.hardlink_to(self._new.path)
        except FileExistsError:
            raise _exists(self.target) from None
        except OSError:
            # Some file systems have no hard links; check and rename is the best they offer.
            refuse_overwrite(self.target, force=False)
            self._new.path.replace(self.target)


def write_file(
    target: str | os.PathLike[str],
    data: bytes | bytearray | memoryview,
    *,
    force: bool = False,
    mode: int = 0o644,
) -> None:
    """Writes a whole small file through `Replacement`.

    Raises:
        StorageError: cannot be written; nothing was changed.
        UsageError: it exists and `force` is not set.
    """
    with Replacement(target, force=force, mode=mode) as new, words_for(target):
        write_at(new.descriptor, memoryview(data), 0)
        new.commit()


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Writes all of `data` at `offset`.

    Raises:
        OSError: the write failed.
    """
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Makes a rename within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_overwrite(target: Path, *, force: bool) -> None:
    """Raises UsageError when `target` exists and may not be replaced."""
    if not force and os.path.lexists(target):
        raise _exists(target)
    # Renaming over /dev/null would replace the device by a file.
    if os.path.exists(target) and not os.path.isfile(target):  # noqa: PTH110, PTH113 (these never raise)
        raise UsageError(f"{target}: not a regular file", hint="choose another name")


def is_read_only(error: StorageError) -> bool:
    """Returns whether a failure came of a disk that nobody can write."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS


def _exists(target: Path) -> UsageError:
    return UsageError(f"{target}: exists already", hint="choose another name or pass --force")


def _hint(error: OSError) -> str | None:
    hints = {
        "ENOSPC": "free some space and try again; nothing was replaced",
        "EROFS": "choose a place that can be written to",
        "EACCES": "check the permissions of the file and its folder",
        "ENOENT": "check the path",
        "EDQUOT": "free some space and try again; nothing was replaced",
    }
    return hints.get(errno.errorcode.get(error.errno or 0, ""))
