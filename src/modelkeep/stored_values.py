"""Values of a model as arrays by name, the way array files hold them.

``x[0]`` is the first part of the list ``x``, and ``x[]`` says that the list has none. ``x{keys}`` and
``x{values}`` are a map. ``x{bfloat16}`` holds the bits of elements that NumPy lacks. Nothing at all is not
stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelkeep.dtypes import FOREIGN, bits, foreign_dtype, is_foreign
from modelkeep.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PART = re.compile(r"(.*)\[(\d{0,9})\]", re.DOTALL)
_FACET = re.compile(r"(.*)\{(\w+)\}", re.DOTALL)
_KEYS, _VALUES = "keys", "values"
_DEEPEST = 8


def as_arrays(values: Mapping[str, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields name and array of everything that values are made of.

    Raises:
        UsageError: a value is no array of numbers or text, no list of such, and no map.
    """
    for name, value in values.items():
        yield from _arrays(name, value, _DEEPEST)


def as_values(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns the values that arrays are parts of.

    Raises:
        MalformedError: parts that do not belong together.
    """
    left: dict[str, Any] = dict(arrays)
    for _ in range(_DEEPEST):
        if not any(_is_part(name) for name in left):
            return left
        left = _joined(left)
    raise MalformedError("arrays of lists within lists, deeper than any model has")


def whole_name(name: str) -> str:
    """Returns the name of the value that the array `name` is a part of; its own where it is a whole one."""
    while _is_part(name):
        found = _PART.fullmatch(name) or _FACET.fullmatch(name)
        assert found is not None
        name = found[1]
    return name


def _is_part(name: str) -> bool:
    facet = _FACET.fullmatch(name)
    return _PART.fullmatch(name) is not None or (facet is not None and facet[2] in (_KEYS, _VALUES, *FOREIGN))


def _arrays(name: str, value: Any, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
    import numpy as np

    if value is None:
        return
    if type(value) is list and depth:
        if not value:
            yield f"{name}[]", np.zeros(0)
        for place, part in enumerate(value):
            yield from _arrays(f"{name}[{place}]", part, depth - 1)
    elif type(value) is dict:
        yield f"{name}{{{_KEYS}}}", _array(name, list(value))
        yield f"{name}{{{_VALUES}}}", _array(name, list(value.values()))
    elif hasattr(value, "dtype") and is_foreign(np.asarray(value)):
        yield f"{name}{{{value.dtype.name}}}", bits(np.asarray(value))
    else:
        yield name, _array(name, value)


def _array(name: str, value: Any) -> NDArray[Any]:
    import numpy as np

    try:
        array: NDArray[Any] = np.asanyarray(value)
        # Runtimes give text as Python objects, which a file cannot hold without pickle.
        if array.dtype != np.object_:
            return array
        if all(isinstance(item, str) for item in array.flat):
            text: NDArray[Any] = array.astype(np.str_)
            return text
    except ValueError:  # lists of unequal length
        pass
    raise UsageError(f"output {name!r} is no array of numbers or text", hint="call the model from Python")


def _joined(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the innermost parts make."""
    whole: dict[str, Any] = {}
    lists: dict[str, dict[int, Any]] = {}
    maps: dict[str, dict[str, Any]] = {}
    for name, value in arrays.items():
        part, facet = _PART.fullmatch(name), _FACET.fullmatch(name)
        if part is not None:
            found = lists.setdefault(part[1], {})
            found |= {int(part[2]): value} if part[2] else {}
        elif facet is not None and facet[2] in (_KEYS, _VALUES):
            maps.setdefault(facet[1], {})[facet[2]] = value
        elif facet is not None and facet[2] in FOREIGN:
            whole[facet[1]] = _from_bits(name, value, facet[2])
        else:
            whole[name] = value
    whole |= {name: _list(name, parts) for name, parts in lists.items()}
    whole |= {name: _map(name, columns) for name, columns in maps.items()}
    return whole


def _list(name: str, parts: Mapping[int, Any]) -> list[Any]:
    if sorted(parts) != list(range(len(parts))):
        raise MalformedError(f"{name}: parts of a list are missing")
    return [parts[place] for place in range(len(parts))]


def _map(name: str, columns: Mapping[str, Any]) -> dict[Any, Any]:
    keys, values = columns.get(_KEYS), columns.get(_VALUES)
    if keys is None or values is None or keys.ndim != 1 or keys.shape != values.shape:
        raise MalformedError(f"{name}: keys and values of a map do not belong together")
    found = dict(zip(keys.tolist(), values.tolist(), strict=True))
    if len(found) != len(keys):
        raise MalformedError(f"{name}: a map with one key twice")
    return found


def _from_bits(name: str, value: Any, dtype: str) -> NDArray[Any]:
    wanted = foreign_dtype(dtype)
    if value.dtype.kind != "u" or value.dtype.itemsize != wanted.itemsize:
        raise MalformedError(f"{name}: not the bits of {dtype}")
    array: NDArray[Any] = value.view(wanted)
    return array
