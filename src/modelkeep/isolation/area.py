"""Memory that a session and its process share, and the arrays in it.

The session makes it; one side writes, the other reads. An area can neither shrink nor grow, so that
reading it never faults; its content may change at any moment, so what is read is copied once and then used.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelkeep.dtypes import FOREIGN, bits, foreign_dtype, is_foreign
from modelkeep.errors import MalformedError, UsageError
from modelkeep.memory.pages import words_for_allocation

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From Linux's uapi/linux/fcntl.h; Python's fcntl module has not all of them.
_F_ADD_SEALS = 1033
_FIXED = 0x01 | 0x02 | 0x04  # seal, shrink, grow
_ALIGNMENT = 64
_SMALLEST = 2**20
LARGEST_AREA = 4 * 2**30
_MOST_ARRAYS = 4096
_MOST_DIMENSIONS = 32
_TEXT_KINDS = {"O": "text", "U": "characters"}
_TEXTS = frozenset(_TEXT_KINDS.values())
_KINDS = "biufc"
# NumPy reads whole languages from such a text: records, shapes, dates.
_KIND = re.compile(r"[<>|=]?[biufc]\d{1,2}")
# How much larger than its encoding a text can be in memory, and how large a character is in an array.
_TEXT_GROWTH, _CHARACTER = 16, 4

# name, dtype, shape, offset, length in bytes
Place = list[Any]


class Area:
    """A memfd of fixed size, mapped. Made with a descriptor, which belongs to it, it is somebody else's.

    Attributes:
        size: length in bytes.
        descriptor: of the file; whoever gets it can map it too.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self.descriptor = descriptor
        self._mapping = mmap.mmap(descriptor, size)

    @classmethod
    def allocate(cls, size: int) -> Area:
        """Makes an area for at least `size` bytes.

        Raises:
            UnavailableError: there is not enough memory.
            UsageError: more than an area can hold.
        """
        if size > LARGEST_AREA:
            raise UsageError(f"{size} bytes are more than can be handed to an isolated process")
        size = max(_SMALLEST, 1 << (size - 1).bit_length()) if size else _SMALLEST
        with words_for_allocation(size):
            descriptor = os.memfd_create("arrays", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                os.ftruncate(descriptor, size)
                fcntl.fcntl(descriptor, _F_ADD_SEALS, _FIXED)
                return cls(descriptor, size)
            except BaseException:
                os.close(descriptor)
                raise

    @property
    def view(self) -> memoryview:
        """The whole area, writable."""
        return memoryview(self._mapping)

    def close(self) -> None:
        """Gives the descriptor back; the memory goes with the last array in it."""
        os.close(self.descriptor)
        try:
            self._mapping.close()
        except BufferError:
            return


def packed(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[tuple[Place, Any]], int]:
    """Lays arrays out one after the other.

    Returns:
        For each its place and its content (an array or bytes), and the length of all together in bytes.

    Raises:
        UsageError: an array is not of numbers, truth values or text; or there are too many.
    """
    if len(arrays) > _MOST_ARRAYS:
        raise UsageError(f"more than {_MOST_ARRAYS} arrays cannot be handed to or from an isolated process")
    places: list[tuple[Place, Any]] = []
    end = 0
    for name, value in arrays.items():
        shape, kind, content, length = _laid_out(name, value)
        places.append(([name, kind, shape, end, length], content))
        end = _next(end, length)
    return places, end


def _laid_out(name: str, array: NDArray[Any]) -> tuple[list[int], str, Any, int]:
    if is_foreign(array):
        return list(array.shape), array.dtype.name, bits(array), array.nbytes
    if array.dtype.kind in _KINDS:
        return list(array.shape), array.dtype.str, array, array.nbytes
    text = _text(name, array)
    return list(array.shape), _TEXT_KINDS[array.dtype.kind], text, len(text)


def write(area: Area, places: Sequence[tuple[Place, Any]]) -> list[Place]:
    """Copies what was laid out into an area that has room for it; returns the places."""
    import numpy as np

    view = area.view
    for (_name, kind, shape, offset, length), content in places:
        if kind in _TEXTS:
            view[offset : offset + length] = content
        else:
            np.copyto(np.frombuffer(view, content.dtype, content.size, offset).reshape(shape), content)
    return [place for place, _content in places]


def read(
    area: Area | None, places: object, *, copy: bool, limit: int = LARGEST_AREA
) -> dict[str, NDArray[Any]]:
    """Returns the arrays at `places`, as copies or as read-only views of the area.

    Args:
        area: where they are.
        places: as `write` returned them.
        copy: whether to copy them.
        limit: how many bytes they may take in all.

    Raises:
        MalformedError: a place is not one, does not follow the one before, or does not lie in the area;
            or all together are too large.
    """
    checked = _checked(places)
    if sum(_taken(place) for place in checked) > limit:
        raise MalformedError("isolated process: more than the limit allows")
    return {name: _array(area, rest, copy, limit) for name, *rest in checked}


def _checked(places: object) -> list[Place]:
    if not isinstance(places, list) or len(places) > _MOST_ARRAYS:
        raise _no_array()
    end = 0
    for place in places:
        match place:
            case [str(), str(), list() as shape, int() as offset, int() as length] if offset == end:
                if min(0, length, *_lengths(shape)) < 0:
                    raise _no_array()
                end = _next(offset, length)
            case _:
                raise _no_array()
    if len({name for name, *_rest in places}) != len(places):
        raise _no_array()
    return places


def _next(offset: int, length: int) -> int:
    """Returns where the next array begins; there are no gaps, and nothing lies in two of them."""
    return offset + -(-length // _ALIGNMENT) * _ALIGNMENT


def _taken(place: Place) -> int:
    _name, kind, _shape, _offset, length = place
    return int(length) * (_TEXT_GROWTH if kind in _TEXTS else 1)


def _lengths(shape: list[Any]) -> list[int]:
    if len(shape) > _MOST_DIMENSIONS or any(type(length) is not int for length in shape):
        raise _no_array()
    return shape


def _array(area: Area | None, place: list[Any], copy: bool, limit: int) -> NDArray[Any]:
    kind, shape, offset, length = place
    if area is None or offset + length > area.size:
        raise _no_array()
    part = area.view[offset : offset + length]
    return _texts(bytes(part), shape, kind, limit) if kind in _TEXTS else _numbers(part, shape, kind, copy)


def _numbers(part: memoryview, shape: list[int], kind: str, copy: bool) -> NDArray[Any]:
    import numpy as np

    if kind not in FOREIGN and not _KIND.fullmatch(kind):
        raise _no_array()
    try:
        dtype = foreign_dtype(kind) if kind in FOREIGN else np.dtype(kind)
    except (TypeError, ValueError):
        raise _no_array() from None
    if (kind not in FOREIGN and dtype.kind not in _KINDS) or math.prod(shape) * dtype.itemsize != len(part):
        raise _no_array()
    array = np.frombuffer(part, dtype).reshape(shape) if len(part) else np.empty(shape, dtype)
    if copy:
        return array.copy()
    array.flags.writeable = False
    return array


def _text(name: str, array: NDArray[Any]) -> bytes:
    if array.dtype.kind not in _TEXT_KINDS or not all(isinstance(item, str) for item in array.flat):
        raise _not_numbers_or_text(name)
    return json.dumps([str(item) for item in array.flat]).encode()


def _not_numbers_or_text(name: str) -> UsageError:
    return UsageError(
        f"{name.partition(' ')[2]!r} is no array of numbers or text",
        hint="an isolated process takes and gives nothing else",
    )


def _texts(data: bytes, shape: list[int], kind: str, limit: int) -> NDArray[Any]:
    import numpy as np

    try:
        items = json.loads(data)
    except (ValueError, RecursionError):
        raise _no_array() from None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _no_array()
    # An array of characters gives every text the room of the longest.
    characters = max(map(len, items), default=0) if kind == _TEXT_KINDS["U"] else 0
    if math.prod(shape) != len(items) or characters * len(items) * _CHARACTER > limit:
        raise _no_array()
    texts = np.empty(len(items), object)
    texts[:] = items
    return (texts.astype(np.str_) if characters else texts).reshape(shape)


def _no_array() -> MalformedError:
    return MalformedError("isolated process: not an array")
