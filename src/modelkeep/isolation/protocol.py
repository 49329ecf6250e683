"""What a session and its process say to each other.

    session                                 process
                                            ["hardened", [in force], [missing]]
    ["open", settings]
    ["file", ...] + descriptor, per file
    the key, 32 bytes
                                            ["progress", bytes], any number
                                            ["ready", locked, unlocked, huge, outputs, [in force], [missing]]
    ["run", places, forms, size of the area of inputs] (+ descriptor, where it is new)
                                            ["room", bytes], where the outputs need more
    ["area", size] + descriptor
                                            ["outputs", places, forms]

Places say where arrays lie in an area, and forms what values are made of them; see `values`.
Instead of each of its messages, the process may say ``["error", kind, message, hint]``. It never sends a
descriptor: all shared memory is the session's.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelkeep import errors
from modelkeep.errors import KeepError, RuntimeCrashedError, UnavailableError, UsageError
from modelkeep.isolation.remarks import printable
from modelkeep.manifest import LeafAlgorithm, Suite
from modelkeep.payload.sealed_stream import SealedStream
from modelkeep.payload.segments import Extent

KEY = 32
_LONGEST_TEXT = 1000
# What the process may raise in the session; its contracts are checked there.
_KINDS: Mapping[str, type[KeepError]] = {
    kind.__name__: kind
    for kind in (
        errors.TamperedError,
        errors.MalformedError,
        errors.UnsupportedVersionError,
        errors.UnavailableError,
        errors.StorageError,
        errors.RuntimeMissingError,
        errors.UsageError,
    )
}


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file of the model, before it is decrypted.

    Attributes:
        path: its path inside the model.
        stream: how to decrypt it.
        extent: where its bytes are; the descriptor goes with the message.
    """

    path: str
    stream: SealedStream
    extent: Extent

    def message(self) -> list[object]:
        """Returns the message that announces the file."""
        sealed, leaves = self.stream, self.stream.leaves
        return [
            "file",
            self.path,
            self.extent.offset,
            self.extent.size,
            sealed.suite.value,
            sealed.associated.hex(),
            sealed.leaf_algorithm.value,
            None if leaves is None else leaves.hex(),
        ]

    @classmethod
    def from_message(cls, message: list[Any], descriptor: int) -> SealedFile:
        """Returns the file that a message of the session announces."""
        path, offset, size, suite, associated, algorithm, leaves = message[1:]
        sealed = SealedStream(
            Suite(suite),
            bytes.fromhex(associated),
            LeafAlgorithm(algorithm),
            None if leaves is None else bytes.fromhex(leaves),
        )
        return cls(path, sealed, Extent(descriptor, offset, size))


@dataclass(frozen=True, slots=True)
class Opening:
    """What is to be opened.

    Attributes:
        format: format of the model.
        entry: path of its main file.
        function: which of its functions is run, or None.
        runtime: name of the adapter, or None.
        options: settings of the runtime: plain data.
        secret: hold key and weights in secret memory.
        memory_limit: bytes that may be allocated, or None.
        files: number of files that follow.
    """

    format: str
    entry: str
    function: str | None
    runtime: str | None
    options: Mapping[str, object]
    secret: bool
    memory_limit: int | None
    files: int

    def message(self) -> list[object]:
        """Returns the message for it.

        Raises:
            UsageError: an option is not plain data.
        """
        # Unlike JSON, literals keep tuples, which runtimes tell from lists.
        options = repr(dict(self.options))
        if not _is_literal(options, self.options):
            raise UsageError(
                "options of an isolated model must be plain data: numbers, text, lists, tuples, dicts",
                hint="objects of the runtime cannot be handed to another process",
            )
        rest = (self.secret, self.memory_limit, self.files)
        return ["open", self.format, self.entry, self.function, self.runtime, options, *rest]

    @classmethod
    def from_message(cls, message: list[Any]) -> Opening:
        """Returns what a message of the session asks for."""
        model_format, entry, function, runtime, options, *rest = message[1:]
        return cls(model_format, entry, function, runtime, ast.literal_eval(options), *rest)


def _is_literal(text: str, value: object) -> bool:
    try:
        return bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def error_message(error: Exception) -> list[object]:
    """Returns the message that makes the session raise what happened in the process."""
    if isinstance(error, KeepError):
        kind = next(
            each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS or each is KeepError
        )
        return ["error", kind, str(error)[:_LONGEST_TEXT], error.hint]
    if isinstance(error, MemoryError):
        return ["error", "UnavailableError", "not enough memory in the isolated process", None]
    return ["error", "UnavailableError", f"the isolated process failed: {type(error).__name__}", None]


def error_from(message: list[Any]) -> KeepError:
    """Returns the error that a message of the process stands for; a RuntimeCrashedError if it is no such."""
    match message:
        case ["error", str(kind), str(text), None | str() as hint] if len(text) <= _LONGEST_TEXT:
            words = hint and printable(hint, _LONGEST_TEXT)
            return _KINDS.get(kind, UnavailableError)(printable(text, _LONGEST_TEXT), hint=words)
        case _:
            return RuntimeCrashedError("the isolated process talks nonsense", hint="open the model again")
