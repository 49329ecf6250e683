"""From file to file through an archive; every byte that is not content is checked.

Source: spec/bundle-v1.md, "Archive form".
"""

from __future__ import annotations

from typing import NamedTuple

from modelkeep.container import names, tar
from modelkeep.container.order import BUNDLE, Form, Order
from modelkeep.container.tape import Tape
from modelkeep.errors import MalformedError


class Entry(NamedTuple):
    """A file of an archive.

    Attributes:
        name: its name.
        size: length of its content in bytes.
    """

    name: str
    size: int


class Walk:
    """Goes from header to header; whoever walks takes each content from the tape in between."""

    def __init__(self, tape: Tape, form: Form = BUNDLE) -> None:
        self._tape = tape
        self._order = Order(form)

    def next(self) -> Entry | None:
        """Returns the file whose content is next on the tape; None at the end, which was checked.

        Raises:
            MalformedError: not an archive of this form.
            OSError: the read failed.
        """
        block = self._tape.take(tar.BLOCK)
        if block == tar.END[: tar.BLOCK]:
            self._end()
            return None
        if block[156:157] == b"x":
            block = self._behind_padding(block)
        name, size = tar.parse_name(block), tar.parse_size(block)
        if name is None or size is None or tar.header(name, size) != block:
            raise MalformedError("bundle: not a modelkeep bundle, or damaged: bad archive header")
        self._order.check(name, size)
        if _is_payload(name) and self._tape.position % tar.ALIGNMENT:
            raise MalformedError(f"bundle: {name} is not aligned")
        return Entry(name, size)

    def leave(self, entry: Entry) -> None:
        """Checks what lies behind the content of `entry`, up to the next header.

        Raises:
            MalformedError: something else than zeros.
            OSError: the read failed.
        """
        if any(self._tape.take(tar.round_up(entry.size) - entry.size)):
            raise MalformedError("bundle: bytes hidden behind a file")

    def _behind_padding(self, block: bytes) -> bytes:
        padding = tar.pad_before(self._tape.position - tar.BLOCK)
        if not padding or block + self._tape.take(len(padding) - tar.BLOCK) != padding:
            raise MalformedError("bundle: bad padding")
        block = self._tape.take(tar.BLOCK)
        if not _is_payload(tar.parse_name(block) or ""):
            raise MalformedError("bundle: padding in front of something else than payload")
        return block

    def _end(self) -> None:
        rest = len(tar.END) - tar.BLOCK
        if self._tape.take(rest) != bytes(rest) or not self._tape.ends():
            raise MalformedError("bundle: the archive does not end as it must")
        self._order.finish()


def _is_payload(name: str) -> bool:
    return name.startswith(f"{names.PAYLOAD}/")
