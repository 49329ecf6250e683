"""A JSON object read member by member: what is missing, of the wrong kind or left over is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from modelkeep.errors import MalformedError, UnsupportedVersionError

_Value = TypeVar("_Value")

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


class Record:
    """Takes typed members out of a parsed JSON object.

    Used as a context manager: leaving the block refuses members that nobody took, except
    `ext`, where other tools may keep what they like.
    """

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{what}: expected a JSON object")
        self._members = dict(value)
        self._what = what

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()

    def finish(self) -> None:
        """Refuses what is left.

        Raises:
            MalformedError: a member that this version does not know.
        """
        extension = self._members.pop("ext", {})
        if not isinstance(extension, dict):
            raise self.fault("ext", "must be an object")
        if self._members:
            raise self.fault(min(self._members), "is not known to this version")

    def fault(self, name: str, problem: str) -> MalformedError:
        """Returns the error that says what is wrong with member `name`."""
        return MalformedError(f"{self._what}: member {name!r} {problem}")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def check_format(self, name: str, version: int) -> None:
        """Takes `format` and `version` of a document, which must be these.

        Raises:
            MalformedError: another document.
            UnsupportedVersionError: another version of it.
        """
        if self.text("format") != name:
            raise self.fault("format", f"must be {name!r}")
        if self.integer("version") != version:
            raise UnsupportedVersionError(
                f"{self._what}: of a version that this one does not know", hint="update modelkeep"
            )

    def text(self, name: str, *, longest: int = 1024) -> str:
        """Takes a string of at most `longest` characters."""
        value = self._take(name, str)
        if len(value) > longest:
            raise self.fault(name, f"is longer than {longest} characters")
        return str(value)

    def integer(self, name: str, *, lowest: int = 0, highest: int = 2**53 - 1) -> int:
        """Takes an integer within [lowest, highest]."""
        value = self._take(name, int)
        if isinstance(value, bool) or not lowest <= value <= highest:
            raise self.fault(name, f"must be an integer from {lowest} to {highest}")
        return int(value)

    def boolean(self, name: str) -> bool:
        """Takes true or false."""
        return bool(self._take(name, bool))

    def switch(self, name: str) -> bool:
        """Takes a switch that is off unless it is there: one text for one meaning."""
        if name not in self:
            return False
        if not self.boolean(name):
            raise self.fault(name, "is left out where it is false")
        return True

    def hexadecimal(self, name: str, length: int) -> bytes:
        """Takes `length` bytes written as lower-case hexadecimal."""
        text = self._take(name, str)
        if len(text) != 2 * length or not _HEX.fullmatch(text):
            raise self.fault(name, f"must be {2 * length} lower-case hexadecimal digits")
        return bytes.fromhex(text)

    def base64(self, name: str, *, longest: int) -> bytes:
        """Takes at most `longest` bytes written as padded base64 (RFC 4648 section 4)."""
        text = self._take(name, str)
        try:
            data = base64.b64decode(text)
        except ValueError:
            raise self.fault(name, "is not base64") from None
        # One text per value, so that a changed text is a changed value, and none with other characters.
        if base64.b64encode(data).decode() != text:
            raise self.fault(name, "is not canonical base64")
        if len(data) > longest:
            raise self.fault(name, f"holds more than {longest} bytes")
        return data

    def choice(self, name: str, choices: Mapping[str, Any]) -> Any:
        """Takes a string and returns what it stands for in `choices`."""
        text = self.text(name)
        if text not in choices:
            raise self.fault(name, f"is {text!r}, which this version does not know")
        return choices[text]

    def items(self, name: str, *, longest: int) -> list[Any]:
        """Takes an array of at most `longest` items."""
        value = self._take(name, list)
        if len(value) > longest:
            raise self.fault(name, f"has more than {longest} items")
        return list(value)

    def object(self, name: str) -> Record:
        """Takes a nested object as a record of its own."""
        return Record(self._take(name, dict), f"{self._what}: {name}")

    def nullable(self, name: str, take: Callable[[str], _Value]) -> _Value | None:
        """Takes a member that may be null; anything else by `take`, a method of this record."""
        if name in self._members and self._members[name] is None:
            del self._members[name]
            return None
        return take(name)

    def anything(self, name: str) -> Any:
        """Takes a member of any kind; for the few places where null has a meaning."""
        if name not in self._members:
            raise self.fault(name, "is missing")
        return self._members.pop(name)

    def _take(self, name: str, kind: type) -> Any:
        value = self.anything(name)
        if not isinstance(value, kind):
            raise self.fault(name, f"must be of type {kind.__name__}")
        return value
