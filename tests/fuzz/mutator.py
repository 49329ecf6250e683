"""Turns good documents into bad ones that are good enough to get past the first check."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from modelkeep import canonical
from modelkeep.errors import MalformedError

ODD_VALUES: Sequence[object] = (
    *(None, True, False, "", "x", [], {}, [[]], {"": {}}, "\ud800", "\x00", "é" * 2000),
    *(0, 1, -1, 2**31, 2**32, 2**53 - 1, 2**53, 2**64, 10**40, 0.5, float("inf")),
    *("0" * 64, "../x", "A" * 2**14, "=" * 4),
)
ODD_BYTES = (
    *(b"\0", b"\xff" * 8, b"{", b"]", b'"', b",", b"1e9", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"\x80" * 10 + b"\1", b"\xff" * 9 + b"\1", b"[" * 3000, b"9" * 400, bytes(512)),
)


class Mutator:
    """A seeded source of mutants of some good documents."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._random = random.Random(seed)
        self._changes: tuple[Callable[[bytes], bytes], ...] = (
            self._change_bytes,
            self._change_bytes,
            self._splice,
            self._change_json,
            self._change_json,
            self._change_base64,
        )

    def mutant(self) -> bytes:
        """Returns the next one, one to three changes away from a good document."""
        data = self._random.choice(self._corpus)
        for _ in range(self._random.randint(1, 3)):
            data = self._random.choice(self._changes)(data)
        return data

    def _change_bytes(self, data: bytes) -> bytes:
        start = self._random.randint(0, len(data))
        end = min(len(data), start + self._random.choice((0, 1, 1, 4, 16, 512)))
        middle = self._random.choice(
            (b"", data[start:end] * 2, self._random.randbytes(end - start), self._random.choice(ODD_BYTES))
        )
        return data[:start] + middle + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._corpus)
        return data[: self._random.randint(0, len(data))] + other[self._random.randint(0, len(other)) :]

    def _change_json(self, data: bytes) -> bytes:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return self._change_bytes(data)
        return _encode(self._change_value(value))

    def _change_value(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            name = self._random.choice(sorted(value))
            if self._random.random() < 0.15:
                return {key: item for key, item in value.items() if key != name}
            return value | {self._random.choice((name, name, name, "ext")): self._change_value(value[name])}
        if isinstance(value, list) and value and self._random.random() < 0.9:
            place = self._random.randrange(len(value))
            return [
                *value[:place],
                self._change_value(value[place]),
                *value[place + self._random.randint(0, 1) :],
            ]
        return self._random.choice(ODD_VALUES)

    def _change_base64(self, data: bytes) -> bytes:
        """Goes into a document within a document: a grant's header, a signed statement."""
        try:
            outer = json.loads(data)
            holder = outer.get("dsseEnvelope", outer)
            name = "payload" if holder is not outer else "header"
            inner = base64.b64decode(holder[name])
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return self._change_json(data)
        changed = base64.b64encode(self._change_json(inner)).decode()
        return _encode(
            outer | ({name: changed} if holder is outer else {"dsseEnvelope": holder | {name: changed}})
        )


def _encode(value: object) -> bytes:
    try:
        return canonical.encode(value)
    except MalformedError:
        # Values that the formats do not know are what a reader must survive.
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
