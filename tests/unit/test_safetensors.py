from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from modelkeep.errors import MalformedError
from modelkeep.formats.safetensors import Place, read_places, read_spread_places

A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "U8", "shape": [5], "data_offsets": [24, 29]}
SCALAR = {"dtype": "BF16", "shape": [], "data_offsets": [29, 31]}
EMPTY = {"dtype": "I64", "shape": [0, 7], "data_offsets": [31, 31]}


def file(header: Any, size: int) -> memoryview:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return memoryview(struct.pack("<Q", len(text)) + text + bytes(size))


def test_tensors_are_found_where_they_lie() -> None:
    header = {"__metadata__": {"format": "pt"}, "b": B, "a": A, "s": SCALAR, "e": EMPTY}
    view = file(header, 31)
    base = len(view) - 31
    assert read_places(view) == {
        "a": Place("F32", (2, 3), base, 6),
        "b": Place("U8", (5,), base + 24, 5),
        "s": Place("BF16", (), base + 29, 1),
        "e": Place("I64", (0, 7), base + 31, 0),
    }


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"", 0),
        (b"[]", 0),
        (b"{", 0),
        (b'{"a":1,"a":2}', 0),
        ({"a": A}, 23),
        ({"a": A}, 25),
        ({"b": B}, 29),
        ({"a": A, "b": {**B, "data_offsets": [23, 28]}}, 28),
        ({"a": {**A, "dtype": "F3"}}, 24),
        ({"a": {**A, "dtype": ["F32"]}}, 24),
        ({"a": {**A, "shape": [2, 2]}}, 24),
        ({"a": {**A, "shape": [-2, -3]}}, 24),
        ({"a": {**A, "shape": [True] * 6}}, 24),
        ({"a": {**A, "shape": [1] * 65}}, 24),
        ({"a": {**A, "shape": 6}}, 24),
        ({"a": {**A, "data_offsets": [24, 0]}}, 24),
        ({"a": {**A, "data_offsets": [0, 24, 24]}}, 24),
        ({"a": {**A, "more": 1}}, 24),
        ({"a": 1}, 0),
    ],
)
def test_everything_else_is_malformed(header: Any, size: int) -> None:
    with pytest.raises(MalformedError):
        read_places(file(header, size))


@pytest.mark.parametrize("data", [b"", b"\2\0\0\0\0\0\0", b"\3\0\0\0\0\0\0\0{}", b"\xff" * 8 + b"{}"])
def test_an_impossible_header_length_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError, match="header length"):
        read_places(memoryview(data))


def shard(name: str) -> memoryview:
    header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return memoryview(len(header).to_bytes(8, "little") + header + bytes(4))


def spread(weight_map: dict[str, str]) -> dict[str, memoryview]:
    index = memoryview(json.dumps({"weight_map": weight_map}).encode())
    return {"d/m.index.json": index, "d/a.safetensors": shard("w"), "d/b.safetensors": shard("v")}


def test_tensors_of_several_files_are_found_by_the_index() -> None:
    files = spread({"w": "a.safetensors", "v": "b.safetensors"})
    found = read_spread_places(files, "d/m.index.json")
    assert {name: path for name, (path, _place) in found.items()} == {
        "w": "d/a.safetensors",
        "v": "d/b.safetensors",
    }
    assert read_spread_places(files, "d/a.safetensors")["w"][0] == "d/a.safetensors"


@pytest.mark.parametrize("weight_map", [{"w": "b.safetensors"}, {"w": "c.safetensors"}, {"w": "../a"}, {}])
def test_an_index_that_says_something_else_is_malformed(weight_map: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        read_spread_places(spread(weight_map), "d/m.index.json")
