"""What the process of a model writes to its standard error: libraries' remarks, or an intruder's.

It is a pipe, not the terminal, and its end in the process never waits: what does not fit is lost there.
"""

from __future__ import annotations

import logging
import os

_LOG = logging.getLogger("modelkeep.isolation")
_LONGEST = 2**16
_LONGEST_LINE = 500
_AT_ONCE = 2**16


class Remarks:
    """The reading end of the pipe; what comes is logged, at most 64 KiB over the life of the process."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._left = _LONGEST

    def started(self) -> None:
        """Closes this process's copy of the other end."""
        os.close(self.writing)

    def log(self, level: int = logging.INFO) -> None:
        """Logs what has come by now, without waiting and without characters that could steer a terminal."""
        if self._left <= 0 or self._reading < 0:
            return
        try:
            text = os.read(self._reading, min(self._left, _AT_ONCE))
        except BlockingIOError:
            return
        self._left -= len(text)
        for line in text.decode(errors="replace").splitlines():
            if words := printable(line):
                _LOG.log(level, "the isolated process says: %s", words)

    def close(self) -> None:
        """Closes the pipe; again does nothing."""
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


def printable(text: str, longest: int = _LONGEST_LINE) -> str:
    """Returns a text without characters that steer terminals, line breaks among them, and not too long."""
    return "".join(each if each.isprintable() else "?" for each in text[:longest]).strip()
