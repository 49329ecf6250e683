"""The safetensors format: where each tensor lies in a file, read strictly.

Source: "Format" in the README of huggingface/safetensors. 8 bytes of little-endian header length, a
JSON header, then the tensors without holes.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.formats.shards import is_index, read_index

LARGEST_HEADER = 100_000_000
_MOST_DIMENSIONS = 64
_METADATA = "__metadata__"

ITEM_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies.

    Attributes:
        dtype: the format's name of the element type, a key of `ITEM_SIZES`.
        shape: lengths of the dimensions.
        start: offset of the first byte within the file.
        count: number of elements.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    count: int


def read_places(view: memoryview) -> dict[str, Place]:
    """Returns name -> place of all tensors of the file in `view`.

    Raises:
        MalformedError: not a safetensors file, or tensors that overlap, leave holes or reach beyond it.
    """
    length = read_header_length(view)
    header = canonical.decode_lenient(bytes(view[8 : 8 + length]), "safetensors header")
    if not isinstance(header, dict):
        raise MalformedError("safetensors: the header is not an object")
    tensors = {name: entry for name, entry in header.items() if name != _METADATA}
    places = {name: _place(name, entry, 8 + length) for name, entry in tensors.items()}
    _check_cover(places, 8 + length, len(view))
    return places


def read_header_length(view: memoryview) -> int:
    """Returns the length of the header in bytes.

    Raises:
        MalformedError: not a safetensors file.
    """
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 or not 2 <= length <= min(LARGEST_HEADER, len(view) - 8):
        raise MalformedError("not a safetensors file: its header length is impossible")
    return length


def _place(name: str, entry: Any, base: int) -> Place:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise MalformedError(f"safetensors: tensor {name!r} is not described as one")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise MalformedError(f"safetensors: tensor {name!r} has an unknown element type")
    if not _are_lengths(shape) or not _are_lengths(offsets) or len(offsets) != 2:
        raise MalformedError(f"safetensors: tensor {name!r} has an impossible shape or place")
    count = math.prod(shape)
    if offsets[1] - offsets[0] != count * ITEM_SIZES[dtype]:
        raise MalformedError(f"safetensors: tensor {name!r} is not as long as its shape says")
    return Place(dtype, tuple(shape), base + offsets[0], count)


def _are_lengths(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_DIMENSIONS
        and all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in value)
    )


def _check_cover(places: Mapping[str, Place], start: int, end: int) -> None:
    for place in sorted(places.values(), key=lambda each: (each.start, each.count)):
        if place.start != start:
            raise MalformedError("safetensors: tensors overlap or leave holes")
        start += place.count * ITEM_SIZES[place.dtype]
    if start != end:
        raise MalformedError("safetensors: the file is longer or shorter than its tensors")


def read_spread_places(files: Mapping[str, memoryview], entry: str) -> dict[str, tuple[str, Place]]:
    """Returns name -> file and place of all tensors of a model of one file, or of several with an index.

    Args:
        files: the files of the model.
        entry: the one file, or the index.

    Raises:
        MalformedError: a file is damaged, missing, or holds other tensors than the index says.
    """
    if not is_index(files[entry]):
        return {name: (entry, place) for name, place in read_places(files[entry]).items()}
    folder = posixpath.dirname(entry)
    wanted = {name: posixpath.join(folder, file) for name, file in read_index(files[entry]).items()}
    if not set(wanted.values()) <= files.keys():
        raise MalformedError("safetensors index: a file is missing")
    found = {path: read_places(files[path]) for path in sorted(set(wanted.values()))}
    if any(name not in found[path] for name, path in wanted.items()):
        raise MalformedError("safetensors index: a tensor is not in the file that it names")
    return {name: (path, found[path][name]) for name, path in wanted.items()}
