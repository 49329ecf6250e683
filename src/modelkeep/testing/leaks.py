"""Listening for secrets: in logs, in output, in the texts of objects and in chains of errors."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import traceback
from collections.abc import Iterable, Iterator


class Overheard:
    """What was said while `listening`."""

    def __init__(self) -> None:
        self._heard: dict[str, list[str]] = {}

    def add(self, where: str, text: str) -> None:
        """Keeps `text`."""
        self._heard.setdefault(where, []).append(text)

    def note(self, *things: object) -> None:
        """Keeps how each of `things` shows itself; of an error also its causes, hint and attributes."""
        for thing in things:
            self.add(f"the text of {type(thing).__name__}", f"{thing!r} {thing}")
            if isinstance(thing, BaseException):
                self.add(
                    f"the traceback of {type(thing).__name__}", "".join(traceback.format_exception(thing))
                )
                self.add(f"the attributes of {type(thing).__name__}", repr(vars(thing)))

    def leaks_of(self, secrets: Iterable[bytes]) -> list[str]:
        """Returns where one of `secrets` shows up: as it is, in hexadecimal, in base64 or as Python text."""
        forms = [form for secret in secrets for form in _forms(secret)]
        return [
            where
            for where, texts in self._heard.items()
            if any(form in text for form in forms for text in texts)
        ]


@contextlib.contextmanager
def listening() -> Iterator[Overheard]:
    """Yields what is logged at any level, printed, and noted, while the block runs."""
    overheard = Overheard()
    handler = _Handler(overheard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            yield overheard
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        overheard.add("standard output", output.getvalue())
        overheard.add("standard error", errors.getvalue())


class _Handler(logging.Handler):
    def __init__(self, overheard: Overheard) -> None:
        super().__init__(logging.NOTSET)
        self._overheard = overheard

    def emit(self, record: logging.LogRecord) -> None:
        self._overheard.add(f"the log of {record.name}", f"{record.getMessage()} {record.args!r}")


def _forms(secret: bytes) -> set[str]:
    encodings = (base64.b64encode, base64.urlsafe_b64encode)
    encoded = {encode(secret).decode().rstrip("=") for encode in encodings}
    return {secret.decode("latin-1"), secret.hex(), secret.hex().upper(), repr(secret)[2:-1], *encoded}
