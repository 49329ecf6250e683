"""What a private key is for: a mark before its PEM text, so that a key for one purpose refuses the others.

The mark is a line of text before the PEM block, where other tools skip it. It guards against mistakes, and
against being talked into them; whoever edits the file can remove it. A key without a mark, made by another
tool, is for whatever it is first used for.
"""

from __future__ import annotations

import re
from enum import Enum

from modelkeep.errors import UsageError

_MARK = b"modelkeep purpose: "
_PEM_BEGIN = re.compile(rb"-----BEGIN ")


class Purpose(Enum):
    """What a private key is for."""

    OPEN = "open"
    BUNDLE = "bundle"
    PLAIN = "plain"
    APPROVE = "approve"
    ROOT = "root"
    OPERATOR = "operator"
    CHANNEL = "channel"

    @property
    def mark(self) -> bytes:
        """The line that stands before the PEM block."""
        return _MARK + self.value.encode() + b"\n"


_WORDS = {
    Purpose.OPEN: "opens models",
    Purpose.BUNDLE: "signs bundles",
    Purpose.PLAIN: "signs plain files",
    Purpose.APPROVE: "approves PCR values",
    Purpose.ROOT: "signs trust files",
    Purpose.OPERATOR: "signs rosters",
    Purpose.CHANNEL: "signs what a repository of releases says",
}
_HOW = {
    Purpose.OPEN: "file:KEY.pem",
    Purpose.BUNDLE: "--kind signing KEY.pem",
    Purpose.PLAIN: "--kind plain KEY.pem",
    Purpose.APPROVE: "--kind approving KEY.pem",
    Purpose.ROOT: "--kind root KEY.pem",
    Purpose.OPERATOR: "--kind operator KEY.pem",
    Purpose.CHANNEL: "--kind channel KEY.pem",
}


def is_marked(content: bytes | memoryview) -> bool:
    """Returns whether modelkeep made this private key, for whatever purpose."""
    return any(line.startswith(_MARK) for line in _front(content).split(b"\n"))


def check_purpose(name: str, content: memoryview, purpose: Purpose) -> None:
    """Refuses a key that is marked for another purpose.

    Args:
        name: what to call the key in messages.
        content: its PEM text; only what stands in front of the key is copied.
        purpose: what it is to be used for.

    Raises:
        UsageError: it is for something else.
    """
    for line in _front(content).split(b"\n"):
        if line.startswith(_MARK) and line.strip() != purpose.mark.strip():
            raise UsageError(
                f"{name}: this key {_said(line)}, and is not for anything else",
                hint=f"use a key of its own that {_WORDS[purpose]}: `modelkeep keys create {_HOW[purpose]}`",
            )


def _front(content: bytes | memoryview) -> bytes:
    begin = _PEM_BEGIN.search(content)
    return bytes(content[: begin.start()]) if begin else b""


def _said(line: bytes) -> str:
    marked = line.removeprefix(_MARK).strip()[:32].decode("ascii", "backslashreplace")
    try:
        return _WORDS[Purpose(marked)]
    except ValueError:
        return f"is for purpose {marked!r}"
