"""What Frigate says: is this model there, here is one, what is in this frame; and the answers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelkeep.canonical import decode_lenient
from modelkeep.errors import MalformedError
from modelkeep.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_HEADER = 2**16
_WHAT = "frigate's message"
_DTYPES = {"uint8": np.dtype(np.uint8), "float32": np.dtype(np.float32)}
_MOST_DIMENSIONS = 4


class Question(NamedTuple):
    """Frigate asks whether a model is there; the name is its own and means nothing here."""


class Offer(NamedTuple):
    """Frigate sends a model of its own."""


class Frame(NamedTuple):
    """A picture.

    Attributes:
        model_type: how Frigate has been told to read what the model gives.
        picture: as the model takes it: [1, 3, height, width] or [1, height, width, 3], uint8 or float32.
    """

    model_type: str
    picture: NDArray[Any]


def parse(parts: Sequence[bytes]) -> Question | Offer | Frame:
    """Returns what a message means; members that newer versions of Frigate add are passed over.

    Raises:
        MalformedError: nothing that Frigate says.
    """
    if not parts or len(parts[0]) > LARGEST_HEADER:
        raise MalformedError(f"{_WHAT}: has no header, or one of more than {LARGEST_HEADER} bytes")
    header = Record(decode_lenient(parts[0], _WHAT, floats=True), _WHAT)
    if "model_request" in header:
        return Question()
    if "model_data" in header:
        return Offer()
    if len(parts) != 2:
        raise MalformedError(f"{_WHAT}: a picture is a header and its bytes, not {len(parts)} parts")
    return Frame(header.text("model_type"), _picture(header, parts[1]))


def _picture(header: Record, data: bytes) -> NDArray[Any]:
    dtype = header.choice("dtype", _DTYPES)
    shape = header.items("shape", longest=_MOST_DIMENSIONS)
    if not all(type(length) is int and 0 < length < 2**31 for length in shape):
        raise header.fault("shape", "must be lengths")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise header.fault("shape", f"is not that of {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


def is_ready() -> list[bytes]:
    """Returns the answer that keeps Frigate from sending a model."""
    return [json.dumps({"model_available": True, "model_loaded": True}).encode()]


def keeps_its_model() -> list[bytes]:
    """Returns the answer to a model that was sent all the same."""
    return [json.dumps({"model_saved": False, "model_loaded": False}).encode()]


def detections(rows: NDArray[np.float32]) -> list[bytes]:
    """Returns the answer to a picture: float32 [20, 6]."""
    return [json.dumps({"shape": rows.shape, "dtype": "float32"}).encode(), rows.tobytes()]


def fault(words: str) -> list[bytes]:
    """Returns an answer that Frigate takes for no detections, with a warning in its log."""
    return [json.dumps({"error": words}).encode()]
