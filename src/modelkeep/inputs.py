"""Inputs in memory of the session's own: what is checked is what runs, whatever others write meanwhile."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import InputError, StorageError, UsageError
from modelkeep.finding import Finding
from modelkeep.guard.array_check import size_fault
from modelkeep.guard.contract_check import advice
from modelkeep.guard.words import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OWN_MEMORY = "/proc/self/mem"


def refuse_unread(sizes: Mapping[str, int], contract: Contract | None) -> None:
    """Refuses what the contract would refuse for its size or name, before it is read.

    Args:
        sizes: name of each input, and how many bytes it will take.
        contract: of the model; without one everything passes.

    Raises:
        InputError: an input is too large, or has an unknown name.
    """
    if contract is None:
        return
    known = contract.by_name()
    findings = tuple(
        Finding("unexpected", printable(name), ", ".join(known) or "no inputs", "an input of this name")
        if name not in known
        else size_fault(known[name], size)
        for name, size in sizes.items()
        if name not in known or size > _room(known[name])
    )
    if findings:
        raise InputError(findings, hint=advice(findings))


def _room(tensor: TensorContract) -> int:
    # A map is stored as its keys and its values, of which one alone counts.
    return tensor.maximum_bytes * (1 if tensor.keys is None else 2)


def own_inputs(inputs: Mapping[str, Any], contract: Contract | None) -> dict[str, Any]:
    """Returns the inputs with a copy of each array, list and map.

    Arrays that are larger than the contract allows, or that it does not know, are not copied: it refuses
    them unread. So is anything else, which is no array at all.

    Raises:
        StorageError: a file that is mapped behind an array was cut short.
        UsageError: an array is a scattered view of such a file.
    """
    if contract is None:
        return {name: _own(name, value, None) for name, value in inputs.items()}
    most = {tensor.name: tensor.maximum_bytes for tensor in contract.inputs}
    # Only true strings are looked up: a foreign object could compare equal to a name, or raise.
    return {
        name: _own(name, value, most.get(name, -1) if type(name) is str else -1)
        for name, value in inputs.items()
    }


def _own(name: str, value: Any, most: int | None) -> Any:
    if type(value) is list:
        return _own_parts(name, list(value), most)
    # The keys and values of a map that passes are immutable.
    return dict(value) if type(value) is dict else _own_array(name, value, most)


def _own_parts(name: str, parts: list[Any], most: int | None) -> list[Any]:
    import numpy as np

    size = sum(part.nbytes for part in parts if type(part) is np.ndarray)
    if most is not None and size > most:
        return parts
    return [
        dict(part) if type(part) is dict else _own_array(f"{name}[{place}]", part, most)
        for place, part in enumerate(parts)
    ]


def _own_array(name: str, value: Any, most: int | None) -> Any:
    import numpy as np

    if type(value) is not np.ndarray or (most is not None and value.nbytes > most):
        return value
    return _read(name, value) if _is_mapped(value) else value.copy()


def _is_mapped(array: Any) -> bool:
    """Returns whether a mapping lies behind an array, whose file somebody may cut short."""
    import numpy as np

    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array.obj if isinstance(array, memoryview) else array, mmap.mmap)


def _read(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Copies through the kernel, which returns an error where a plain copy would end the process."""
    import numpy as np

    if sys.platform != "linux":
        return array.copy()
    if not array.flags.c_contiguous:
        raise UsageError(f"input {name!r} is a scattered view of a mapped file", hint="copy it first")
    copy = np.empty(array.shape, array.dtype)
    destination: Any = copy.reshape(-1).view(np.uint8)
    try:
        _read_memory(array.ctypes.data, memoryview(destination))
    except OSError as error:
        raise StorageError(f"input {name!r}: the file that is mapped behind it was cut short") from error
    return copy


def _read_memory(address: int, destination: memoryview) -> None:
    descriptor = os.open(_OWN_MEMORY, os.O_RDONLY)
    try:
        done = 0
        while done < len(destination):
            done += os.preadv(descriptor, [destination[done:]], address + done)
    finally:
        os.close(descriptor)
