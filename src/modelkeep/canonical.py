"""Canonical JSON (RFC 8785) restricted to what the formats need, read strictly.

Allowed values: objects, arrays, strings, booleans, null, and integers of at most 2^53 - 1 in
magnitude. Floats do not exist here; a format that needs one writes `float.hex()` as a string.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, NoReturn

from modelkeep.errors import MalformedError

LARGEST_INTEGER = 2**53 - 1
DEEPEST_NESTING = 31

_LONGEST_INTEGER = len(str(-LARGEST_INTEGER))

# What nests within itself is refused for its depth before anything of it is written.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
_AS_THEY_ARE = (str, bool, type(None))
_NOT_CANONICAL = "JSON is not in canonical form (RFC 8785)"


def encode(value: object) -> bytes:
    """Returns the one canonical encoding of `value` as UTF-8 bytes.

    Raises:
        MalformedError: `value` holds something that the formats do not allow.
    """
    return _written(_ordered(value, DEEPEST_NESTING))


def decode(data: bytes, what: str) -> Any:
    """Parses `data` and refuses it unless it is already in its canonical form.

    Args:
        data: the bytes exactly as they were received.
        what: name of the document, for messages.

    Raises:
        MalformedError: not JSON, or not canonical JSON.
    """
    value = _parsed(data, what, _ordered_object, _refuse_float)
    # Its members are in order, so that it need not be put in order again.
    if _written(value) != data:
        raise MalformedError(f"{what}: {_NOT_CANONICAL}")
    return value


def decode_lenient(data: bytes, what: str, *, floats: bool = False) -> Any:
    """Parses JSON written by other tools: any layout, but no duplicate keys, and no floats unless asked for.

    Raises:
        MalformedError: not such JSON.
    """
    return _parsed(data, what, _object_without_duplicates, float if floats else _refuse_float)


def _parsed(
    data: bytes,
    what: str,
    make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]],
    make_float: Callable[[str], float],
) -> Any:
    try:
        value = _decoder(make_object, make_float).decode(data.decode())
        # Where fewer brackets open than may nest, nothing nests too deep; that is most documents.
        if data.count(b"{") + data.count(b"[") > DEEPEST_NESTING:
            _check_depth(value, DEEPEST_NESTING)
        return value
    except MalformedError as error:
        raise MalformedError(f"{what}: {error}") from None
    except (ValueError, RecursionError):
        raise MalformedError(f"{what}: not valid JSON in UTF-8") from None


@functools.cache
def _decoder(
    make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]], make_float: Callable[[str], float]
) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=make_object,
        parse_float=make_float,
        parse_constant=_refuse_float,
        parse_int=_integer,
    )


def is_text(value: str) -> bool:
    """Returns whether UTF-8 has a string: it has no halves of characters (lone surrogates)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _written(ordered: object) -> bytes:
    try:
        # Python escapes strings exactly as RFC 8785 section 3.2.2.2 asks.
        return _ENCODER.encode(ordered).encode()
    except UnicodeEncodeError:
        raise MalformedError("JSON: a string holds a lone surrogate") from None


def _check_depth(value: object, depth: int) -> None:
    if not isinstance(value, list | dict):
        return
    if depth == 0:
        raise MalformedError("JSON: nested too deep")
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, depth - 1)


def _ordered(value: object, depth: int) -> object:
    """Returns a copy of `value` whose objects have their members in canonical order."""
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, int):
        return _in_range(value)
    if depth == 0:
        raise MalformedError("JSON: nested too deep")
    if isinstance(value, dict):
        # Most members are texts, and asking for these here saves a call for each.
        return {
            key: item if type(item := value[key]) is str else _ordered(item, depth - 1)
            for key in _sorted_keys(value)
        }
    if isinstance(value, (list, tuple)):
        return [_ordered(item, depth - 1) for item in value]
    raise MalformedError(f"JSON: {type(value).__name__} values are not allowed")


def _sorted_keys(value: dict[Any, Any]) -> list[str]:
    try:
        is_ascii = "".join(value).isascii()
    except TypeError:
        raise MalformedError("JSON: object keys must be strings") from None
    if is_ascii:
        return sorted(value)
    # RFC 8785 section 3.2.3 sorts by UTF-16 code units, which differs from code points
    # for characters outside the basic plane.
    return sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))


def _in_range(value: int) -> int:
    if abs(value) > LARGEST_INTEGER:
        raise MalformedError("JSON: integer beyond 2^53 - 1")
    return value


def _integer(text: str) -> int:
    # Checked before conversion: int() of a very long digit string is slow or refused.
    if len(text) > _LONGEST_INTEGER:
        raise MalformedError("JSON: integer beyond 2^53 - 1")
    return _in_range(int(text))


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedError("JSON: duplicate key")
    return result


def _ordered_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = _object_without_duplicates(pairs)
    if list(result) != _sorted_keys(result):
        raise MalformedError(_NOT_CANONICAL)
    return result


def _refuse_float(_text: str) -> NoReturn:
    raise MalformedError("JSON: floating-point numbers are not allowed")
