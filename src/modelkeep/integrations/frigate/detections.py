"""From what a detector gives to the rows that Frigate wants.

A row is class, score, top, left, bottom, right; sides are parts of the picture's height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelkeep.errors import UsageError
from modelkeep.integrations.frigate.suppression import THRESHOLD, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROWS = 20
_COLUMNS = 6
_STRIDES = (8, 16, 32)


class Size(NamedTuple):
    """Height and width of the picture in pixels."""

    height: int
    width: int


class _Found(NamedTuple):
    """Candidates: corners as left, top, right, bottom [n, 4], scores [n] and classes [n]."""

    corners: Array
    scores: Array
    classes: Array


def rows_of(model_type: str, outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """Returns the 20 best detections, float32 [20, 6]; rows that are not needed are zeros.

    Args:
        model_type: what Frigate calls the way to read the outputs.
        outputs: of the model, in its order.
        size: of the picture.

    Raises:
        UsageError: outputs of another form, or a `model_type` that is not known.
    """
    if model_type not in _READERS:
        raise UsageError(f"frigate's model_type {model_type!r} is not known here", hint=_HINT)
    reader, shapes = _READERS[model_type]
    if [output.ndim for output in outputs[: len(shapes)]] != list(shapes) or len(outputs) < len(shapes):
        found = ", ".join(str(output.shape) for output in outputs)
        raise UsageError(f"a model of model_type {model_type!r} gives no outputs of shapes {found}")
    return reader(outputs, size)


def _anchor_free(outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """YOLO from version 8 on: [1, 4 + classes, n], or the same transposed."""
    found = outputs[0][0]
    found = found.T if found.shape[0] < found.shape[1] else found
    scores = found[:, 4:].max(axis=1)
    found, scores = found[scores > THRESHOLD], scores[scores > THRESHOLD]
    corners = _corners(found[:, :4])
    return _rows(_Found(corners, scores, found[:, 4:].argmax(axis=1)), size)


def _yolox(outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """[1, n, 5 + classes]: centres within cells, logarithms of sizes, objectness, scores."""
    found = outputs[0][0].copy()
    cells, strides = _cells(size)
    if len(found) != len(cells):
        raise UsageError(f"a yolox model for pictures of {size} gives {len(cells)} boxes, not {len(found)}")
    found[:, :2] = (found[:, :2] + cells) * strides
    found[:, 2:4] = np.exp(found[:, 2:4]) * strides
    scores = found[:, 4:5] * found[:, 5:]
    classes = scores.argmax(axis=1)
    return _rows(_Found(_corners(found[:, :4]), scores[np.arange(len(scores)), classes], classes), size)


def _cells(size: Size) -> tuple[Array, Array]:
    parts = [np.mgrid[0 : size.height // step, 0 : size.width // step][::-1] for step in _STRIDES]
    cells = [part.reshape(2, -1).T for part in parts]
    strides = [np.full((len(part), 1), step) for part, step in zip(cells, _STRIDES, strict=True)]
    return np.concatenate(cells), np.concatenate(strides)


def _yolonas(outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """[n, 7], suppressed within the model: picture, left, top, right, bottom, score, class."""
    found = outputs[0][:ROWS]
    ends = np.flatnonzero(found[:, 6] < 0)
    found = found[: ends[0]] if len(ends) else found
    return _rows(_Found(found[:, 1:5], found[:, 5], found[:, 6]), size, range(len(found)))


def _rfdetr(outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """[1, n, 4] centres and sizes as parts of the picture, [1, n, 1 + classes] before softmax."""
    raw = outputs[1]
    powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
    shares = (powers / powers.sum(axis=-1, keepdims=True))[0, :, 1:]
    scores = shares.max(axis=-1)
    certain = scores > THRESHOLD
    corners = _corners(outputs[0][0, certain])
    found = _Found(corners, scores[certain], shares.argmax(axis=-1)[certain])
    return _rows(found, Size(1, 1))


def _dfine(outputs: Sequence[Array], size: Size) -> NDArray[np.float32]:
    """[1, n] classes, [1, n, 4] corners in pixels, [1, n] scores."""
    certain = outputs[2] > THRESHOLD
    divisor = np.array([size.height, size.width, size.height, size.width])
    corners = np.divide(outputs[1][certain], divisor, dtype=np.float32)
    return _rows(_Found(corners, outputs[2][certain], outputs[0][certain]), Size(1, 1))


def _corners(boxes: Array) -> Array:
    """Returns left, top, right, bottom of boxes that are given by centre and size."""
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _rows(found: _Found, size: Size, places: Sequence[int] | None = None) -> NDArray[np.float32]:
    rows = np.zeros((ROWS, _COLUMNS), np.float32)
    if places is None:
        places = kept(found.corners, found.scores, ROWS)
    for row, place in zip(rows, places, strict=False):
        left, top, right, bottom = found.corners[place]
        row[:] = [
            found.classes[place],
            found.scores[place],
            top / size.height,
            left / size.width,
            bottom / size.height,
            right / size.width,
        ]
    return rows


# How outputs are read, and how many dimensions each has.
_READERS: Mapping[str, tuple[Callable[[Sequence[Array], Size], NDArray[np.float32]], tuple[int, ...]]] = {
    "dfine": (_dfine, (2, 3, 2)),
    "rfdetr": (_rfdetr, (3, 3)),
    "yologeneric": (_anchor_free, (3,)),
    "yolonas": (_yolonas, (2,)),
    "yolox": (_yolox, (3,)),
}
_HINT = "model_type in Frigate's configuration: yolo-generic, yolonas, yolox, rfdetr or dfine"
