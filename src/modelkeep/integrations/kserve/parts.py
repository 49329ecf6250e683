"""V2 requests in binary: JSON, and the bytes of one input after the other, held against what it says of them.

KServe cuts the bytes up by sizes that it does not look at: with negative ones, each input has all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from kserve.errors import InvalidInput

_FORMS: tuple[tuple[str, type], ...] = (("name", str), ("datatype", str), ("shape", list))
_MOST_DIGITS = 18


def check_parts(body: bytes, front: str | None) -> None:
    """Checks that each byte after the JSON belongs to one input.

    Args:
        body: of the request.
        front: the header that says how long the JSON is.

    Raises:
        InvalidInput: it does not, or the JSON is no request.
    """
    if front is None or not _is_number(front) or int(front) > len(body):
        raise InvalidInput("a request in binary has a header that says how long its JSON is")
    try:
        request = orjson.loads(body[: int(front)])
    except orjson.JSONDecodeError:
        raise InvalidInput("a request in binary begins with JSON") from None
    if sum(_sizes(request)) != len(body) - int(front):
        raise InvalidInput("the sizes of the inputs are not those of the bytes after the JSON")


def _is_number(text: str) -> bool:
    # Of thousands of digits Python makes no number, but an error.
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _sizes(request: Any) -> Iterator[int]:
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise InvalidInput("a request has inputs, which are a list")
    for each in request["inputs"]:
        if not isinstance(each, dict) or not all(isinstance(each.get(name), kind) for name, kind in _FORMS):
            raise InvalidInput("an input has a name, a datatype and a shape")
        if each.get("data") is None:
            yield _size(each.get("parameters"))


def _size(parameters: Any) -> int:
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if type(size) is not int or size < 0:
        raise InvalidInput("an input has data, or a binary_data_size")
    return size
