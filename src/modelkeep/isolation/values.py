"""Values of a model, taken apart into arrays that an area can hold, and put together again.

A form says how: ``"array"``, ``"none"``, ``["list", forms]``, or ``["maps", whether it is a list]``. A map,
or a list of maps, is three arrays: how many entries each has, all keys, all values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelkeep.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Form = Any

_DEEPEST = 8
# About what an entry of a dict takes, its key and its value included.
_ENTRY = 256
_KINDS: Mapping[type, str] = {int: "i", float: "f", str: "O", bool: "b"}
_DTYPES: Mapping[type, str] = {int: "int64", float: "float64", str: "object", bool: "bool"}


def taken_apart(values: Mapping[str, Any]) -> tuple[list[Form], dict[str, NDArray[Any]]]:
    """Returns name and form of each value, and the arrays that they are made of, in their order.

    Raises:
        UsageError: a value is no array, no list of such, and no map from and to single values.
    """
    parts: list[tuple[str, NDArray[Any]]] = []
    forms = [[name, _form(name, value, parts, _DEEPEST)] for name, value in values.items()]
    return forms, {f"{place} {name}": part for place, (name, part) in enumerate(parts)}


def put_together(forms: object, arrays: Mapping[str, NDArray[Any]], limit: int) -> dict[str, Any]:
    """Returns the values of `taken_apart`.

    Args:
        forms: name and form of each value.
        arrays: what they are made of.
        limit: about how many bytes maps may take.

    Raises:
        MalformedError: forms that are none, or that do not fit the arrays.
    """
    left = iter(arrays.values())
    values = dict(_named(forms, left, limit))
    if next(left, None) is not None or len(values) != len(forms):  # type: ignore[arg-type]
        raise _no_values()
    return values


def kind_of(value: Any) -> str:
    """Returns what kind of value this is; outputs of a model keep it from run to run."""
    return str(value.dtype.kind) if hasattr(value, "dtype") else type(value).__name__


def _form(name: str, value: Any, parts: list[tuple[str, Any]], depth: int) -> Form:
    import numpy as np

    if depth == 0:
        raise _not_a_value(name)
    if value is None:
        return "none"
    if _is_maps(value):
        parts += [(name, array) for array in _columns(name, [value] if type(value) is dict else value)]
        return ["maps", type(value) is list]
    if type(value) is list:
        return ["list", [_form(name, each, parts, depth - 1) for each in value]]
    if not isinstance(value, np.ndarray | np.generic):
        raise _not_a_value(name)
    parts.append((name, np.asarray(value)))
    return "array"


def _is_maps(value: Any) -> bool:
    return type(value) is dict or (
        type(value) is list and bool(value) and all(type(each) is dict for each in value)
    )


def _columns(name: str, maps: list[dict[Any, Any]]) -> Iterator[NDArray[Any]]:
    import numpy as np

    yield np.array([len(each) for each in maps], np.int64)
    yield _column(name, [key for each in maps for key in each])
    yield _column(name, [value for each in maps for value in each.values()])


def _column(name: str, items: list[Any]) -> NDArray[Any]:
    import numpy as np

    kinds = {type(item) for item in items} or {int}
    if len(kinds) != 1 or not kinds <= _DTYPES.keys():
        raise _not_a_value(name)
    try:
        column = np.empty(len(items), _DTYPES[kinds.pop()])
        column[:] = items
    except OverflowError:
        raise _not_a_value(name) from None
    return column


def _named(forms: object, left: Iterator[Any], limit: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(forms, list):
        raise _no_values()
    for pair in forms:
        match pair:
            case [str() as name, form]:
                yield name, _value(form, left, limit, _DEEPEST)
            case _:
                raise _no_values()


def _value(form: Form, left: Iterator[Any], limit: int, depth: int) -> Any:
    if depth == 0:
        raise _no_values()
    match form:
        case "array":
            return _next(left)
        case "none":
            return None
        case ["list", list() as forms]:
            return [_value(each, left, limit, depth - 1) for each in forms]
        case ["maps", bool() as several]:
            maps = _maps(_next(left), _next(left), _next(left), limit)
            if not several and len(maps) != 1:
                raise _no_values()
            return maps if several else maps[0]
        case _:
            raise _no_values()


def _next(left: Iterator[Any]) -> Any:
    for array in left:
        return array
    raise _no_values()


def _maps(counts: Any, keys: Any, values: Any, limit: int) -> list[dict[Any, Any]]:
    if (counts.ndim, keys.ndim, values.ndim, counts.dtype.kind) != (1, 1, 1, "i"):
        raise _no_values()
    if (len(counts) + len(keys)) * _ENTRY > limit:
        raise MalformedError("isolated process: more than the limit allows")
    lengths = counts.tolist()
    if min(lengths, default=0) < 0 or sum(lengths) != len(keys) or len(keys) != len(values):
        raise _no_values()
    pairs = zip(_plain(keys), _plain(values), strict=True)
    maps = [dict(_taken(pairs, length)) for length in lengths]
    if any(len(each) != length for each, length in zip(maps, lengths, strict=True)):
        raise _no_values()  # a key twice
    return maps


def _taken(pairs: Iterator[Any], count: int) -> Iterable[Any]:
    return (next(pairs) for _ in range(count))


def _plain(column: Any) -> Iterable[Any]:
    if column.dtype.kind not in _KINDS.values():
        raise _no_values()
    return list(column.tolist())


def _not_a_value(name: str) -> UsageError:
    return UsageError(
        f"{name!r} is no array of numbers or text, and no list or map of such",
        hint="an isolated process takes and gives nothing else",
    )


def _no_values() -> MalformedError:
    return MalformedError("isolated process: not the values of a model")
