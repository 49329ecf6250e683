"""What a publisher remembers of a repository, outside of its folder: which one it is, and how far it was.

Whoever may write the folder could put an older copy of it there, or a repository of their own that lists the
publisher's public keys, and have the publisher sign what builds on that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modelkeep import canonical
from modelkeep.device.state_place import state_folder
from modelkeep.errors import RollbackError, StorageError, TamperedError
from modelkeep.record import Record
from modelkeep.storage import is_read_only, make_folder, read_small, words_for, write_file

FORMAT, VERSION = "modelkeep/repository-notes", 1
_LARGEST = 4096
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """A repository as it was seen.

    Attributes:
        first_root: SHA-256 of its first root, 32 bytes.
        timestamp: version of its timestamp.
    """

    first_root: bytes
    timestamp: int

    @staticmethod
    def of(first_root: bytes, timestamp: int) -> Seen:
        """Returns what is seen of a repository with this first root, as bytes."""
        return Seen(hashlib.sha256(first_root).digest(), timestamp)


class PublisherNotes:
    """The notes on the repository in one folder.

    Attributes:
        path: where they are.
    """

    def __init__(self, folder: Path) -> None:
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
        self.path = state_folder() / "repositories" / f"{name}.json"

    def check(self, seen: Seen) -> None:
        """Refuses another repository than the one that was there, and an older copy of it.

        Raises:
            TamperedError: it is another one.
            RollbackError: it is older.
            StorageError, MalformedError: the notes cannot be read.
        """
        known = self._read()
        if known is None:
            return
        hint = f"bring it back; or, if this is meant, remove {self.path}"
        if seen.first_root != known.first_root:
            raise TamperedError("another repository is there than the last time", hint=hint)
        if seen.timestamp < known.timestamp:
            raise RollbackError(
                f"an older copy of the repository is there: timestamp {seen.timestamp}, and "
                f"{known.timestamp} was seen here",
                hint=hint,
            )

    def write(self, seen: Seen) -> None:
        """Remembers how far a repository is.

        Raises:
            StorageError: the notes cannot be written; on a disk that nobody can write there are none.
        """
        members = {
            "format": FORMAT,
            "version": VERSION,
            "first_root": seen.first_root.hex(),
            "timestamp": seen.timestamp,
        }
        try:
            with words_for(self.path.parent):
                make_folder(self.path.parent)
            write_file(self.path, canonical.encode(members), force=True, mode=0o600)
        except StorageError as error:
            if not is_read_only(error):
                raise

    def _read(self) -> Seen | None:
        if not self.path.exists():
            return None
        data = read_small(self.path, _LARGEST, "notes on a repository")
        with Record(canonical.decode(data, str(self.path)), str(self.path)) as record:
            record.check_format(FORMAT, VERSION)
            return Seen(record.hexadecimal("first_root", _DIGEST_BYTES), record.integer("timestamp"))
