"""What a batch of decisions comes to, written down before any of it is done: done again after a crash.

The file holds the lines of the journal, what is put into the folder of answers, which requests are answered
with that, and which questions. Doing all of it twice comes to the same as doing it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelkeep import canonical
from modelkeep.granter.journal import Place
from modelkeep.granter.journal_entry import DIGEST_BYTES
from modelkeep.record import Record
from modelkeep.storage import read_small, sync_folder, words_for, write_file

_LARGEST = 256 * 2**20
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Outbox:
    """A batch.

    Attributes:
        start: the place in the journal that its lines follow.
        lines: those lines.
        answers: file names and texts; an empty text removes the file.
        requests: names of the requests that are answered, and which file each was.
        questions: nonces that were answered, in hexadecimal.
    """

    start: Place
    lines: str
    answers: Mapping[str, str]
    requests: Mapping[str, str]
    questions: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes it down, durably.

        Raises:
            StorageError: it cannot be written; nothing of the batch is done.
        """
        start = {"number": self.start.number, "digest": self.start.digest.hex(), "offset": self.start.offset}
        members = {
            "start": start,
            "lines": self.lines,
            "answers": dict(self.answers),
            "requests": dict(self.requests),
            "questions": list(self.questions),
        }
        write_file(path, canonical.encode(members), force=True, mode=0o600)

    @staticmethod
    def read(path: Path) -> Outbox | None:
        """Returns what an earlier run has left to be done, if it left something.

        Raises:
            StorageError: cannot be read.
            MalformedError: it was changed.
        """
        with words_for(path):
            if not path.exists():
                return None
        with Record(canonical.decode(read_small(path, _LARGEST, "an outbox"), "outbox"), "outbox") as record:
            with record.object("start") as start:
                digest = start.hexadecimal("digest", DIGEST_BYTES)
                place = Place(start.integer("number"), digest, start.integer("offset"))
            return Outbox(
                start=place,
                lines=record.text("lines", longest=_LARGEST),
                answers=record.anything("answers"),
                requests=record.anything("requests"),
                questions=tuple(record.items("questions", longest=_MOST)),
            )

    @staticmethod
    def clear(path: Path) -> None:
        """Notes that everything was done."""
        with words_for(path):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
