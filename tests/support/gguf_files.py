"""GGUF files that hold metadata alone."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any


def gguf_file(facts: Mapping[str, Any], *, version: int = 3) -> bytes:
    """Returns a file without tensors; integers are written as uint32, and lists hold text or integers."""
    body = b"".join(_text(name) + _value(value) for name, value in facts.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(facts)) + body


def language_model(**more: Any) -> bytes:
    """Returns a file that says as much as a small language model."""
    facts = {
        "general.architecture": "llama",
        "llama.context_length": 8,
        "llama.rope": 0.5,
        "tokenizer.ggml.tokens": ["a", "bcd", "é"],
        "tokenizer.ggml.scores": [1, 2, 3],
    }
    return gguf_file(facts | more)


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, list):
        return struct.pack("<I", 9) + _array(value)
    return struct.pack("<II", 4, value)


def _array(values: list[Any]) -> bytes:
    if all(isinstance(value, str) for value in values):
        return struct.pack("<IQ", 8, len(values)) + b"".join(map(_text, values))
    return struct.pack(f"<IQ{len(values)}I", 4, len(values), *values)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data
