"""What a GGUF file says about the prompts it takes, and of how many files it is the first.

Source: the GGUF specification of ggml.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modelkeep.contract import DEFAULT_MAXIMUM_BYTES, Contract, TensorContract
from modelkeep.errors import MalformedError

MAGIC = b"GGUF"
PROMPT, LENGTH = "prompt", "max_tokens"
_VERSIONS = (2, 3)
_TEXT, _ARRAY = 8, 9
_NUMBERS: Mapping[int, struct.Struct] = MappingProxyType(
    {
        number: struct.Struct(f"<{kind}")
        for number, kind in {
            **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"},
            **{10: "Q", 11: "q", 12: "d"},
        }.items()
    }
)
_COUNT, _KIND = struct.Struct("<Q"), struct.Struct("<I")
_LONGEST_NAME = 65_535
_TOKENS = "tokenizer.ggml.tokens"
_PARTS = "split.count"


def read_contract(view: memoryview) -> Contract:
    """Returns what the language model in `view` accepts: a prompt, and how many tokens to answer at most.

    A prompt is no longer than the model's context filled with its longest token, and no answer longer than
    the context.

    Raises:
        MalformedError: not a GGUF file, or one that is cut off.
    """
    facts = read_facts(view)
    context = facts.get(f"{facts.get('general.architecture')}.context_length")
    if not isinstance(context, int) or context < 1:
        raise MalformedError("GGUF: does not say how long its context is")
    longest = facts.get(_TOKENS)
    size = context * longest if isinstance(longest, int) and longest else DEFAULT_MAXIMUM_BYTES
    return Contract(
        (
            TensorContract(PROMPT, "string", None, maximum_bytes=min(size, DEFAULT_MAXIMUM_BYTES)),
            TensorContract(LENGTH, "int64", None, minimum=1, maximum=context, maximum_bytes=8, optional=True),
        )
    )


def read_parts(view: memoryview) -> int:
    """Returns over how many files the model is spread; 1 for a model of one file.

    Raises:
        MalformedError: not a GGUF file, or one that is cut off.
    """
    parts = read_facts(view).get(_PARTS, 1)
    return parts if isinstance(parts, int) else 1


def read_facts(view: memoryview) -> dict[str, int | float | str]:
    """Returns what the file says of its model, by key; of an array of text, the length of its longest.

    Raises:
        MalformedError: not a GGUF file, or one that is cut off.
    """
    if bytes(view[:4]) != MAGIC:
        raise MalformedError("not a GGUF model: its identifier is missing")
    cursor = _Cursor(view, 4)
    if cursor.number(_KIND) not in _VERSIONS:
        raise MalformedError("GGUF: of a version that nobody reads here")
    cursor.number(_COUNT)
    facts = {}
    for _ in range(cursor.number(_COUNT)):
        name = cursor.text(_LONGEST_NAME)
        if name in facts:
            raise MalformedError(f"GGUF: key {name!r} is given more than once")
        facts[name] = cursor.value(cursor.number(_KIND))
    return facts


class _Cursor:
    def __init__(self, view: memoryview, position: int) -> None:
        self._view, self._position = view, position

    def number(self, kind: struct.Struct) -> Any:
        place = self._skip(kind.size)
        return kind.unpack_from(self._view, place)[0]

    def text(self, longest: int | None = None) -> str:
        length = self.number(_COUNT)
        if longest is not None and length > longest:
            raise MalformedError("GGUF: a key is too long")
        start = self._skip(length)
        return str(self._view[start : start + length], "utf-8", "replace")

    def value(self, kind: int) -> int | float | str:
        if kind in _NUMBERS:
            number: int | float = self.number(_NUMBERS[kind])
            return number
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            return self._array(self.number(_KIND), self.number(_COUNT))
        raise MalformedError(f"GGUF: a value of kind {kind}, which does not exist")

    def _array(self, kind: int, count: int) -> int:
        if kind in _NUMBERS:
            self._skip(_NUMBERS[kind].size * count)
            return 0
        if kind != _TEXT:
            raise MalformedError("GGUF: an array of what no array holds")
        longest = 0
        for _ in range(count):
            length = self.number(_COUNT)
            self._skip(length)
            longest = max(longest, length)
        return longest

    def _skip(self, length: int) -> int:
        start = self._position
        if length > len(self._view) - start:
            raise MalformedError("GGUF: the file is cut off")
        self._position = start + length
        return start
