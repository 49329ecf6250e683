"""An archive that arrives as a stream: each file once, in its order, and nothing from behind."""

from __future__ import annotations

from modelkeep.container.order import BUNDLE, Form
from modelkeep.container.tape import Readable, StreamTape
from modelkeep.container.walk import Entry, Walk


class ArrivingArchive:
    """An archive of which one file at a time is there.

    Attributes:
        entry: the file that is there, or None at the end, which was checked then.
    """

    def __init__(self, stream: Readable, form: Form = BUNDLE) -> None:
        """Waits for the first header.

        Raises:
            MalformedError: not an archive of this form.
            StorageError: the stream is broken.
        """
        self._tape = StreamTape(stream)
        self._walk = Walk(self._tape, form)
        self._left = 0
        self.entry: Entry | None = None
        self._advance()

    def read(self) -> bytes:
        """Returns the content of the file that is there, whose size the caller found small enough.

        Raises:
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        content = self._tape.take(self._left)
        self._took(len(content))
        return content

    def fill(self, view: memoryview) -> None:
        """Fills `view` with what comes next of the file that is there; it has that many bytes left.

        Raises:
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        self._tape.fill(view)
        self._took(len(view))

    def skip(self, size: int) -> None:
        """Passes over what comes next of the file that is there; it has that many bytes left.

        Raises:
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        if size:
            self._tape.skip(size)
            self._took(size)

    def _took(self, size: int) -> None:
        self._left -= size
        if self._left == 0 and self.entry is not None:
            self._walk.leave(self.entry)
            self._advance()

    def _advance(self) -> None:
        self.entry = self._walk.next()
        self._left = self.entry.size if self.entry else 0
