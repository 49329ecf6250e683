"""Array files: .npy and .npz, read without pickle and written so that a crash leaves nothing half."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from modelkeep.errors import MalformedError, UsageError
from modelkeep.storage import opened, write_file
from modelkeep.stored_values import as_arrays, as_values, whole_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

# NumPy's own limit, and what comes before a header.
_LONGEST_HEADER = 10_000 + 12
_NO_ARCHIVE = (
    *(zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError, struct.error),
    *(zlib.error, RuntimeError),  # the latter: encrypted
)


def read_arrays(
    path: str | os.PathLike[str], name: str | None, sizes: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Returns the array of a .npy file under `name`, or all values of a .npz file.

    Args:
        path: of the file.
        name: what a .npy file is called.
        sizes: what `array_sizes` returned and somebody found small enough: nothing larger is read.

    Raises:
        StorageError: cannot be read.
        MalformedError: not an array file, or one that holds Python objects.
        UsageError: a .npy file without a name, or a .npz file with one; or it has grown since `sizes`.
    """
    # Tells what file is missing, before NumPy says it in its own way.
    with opened(path) as file:
        loaded = _load(file, path) if sizes is None else _load_within(file, path, name, sizes)
    if not isinstance(loaded, dict):
        return {_required(name, path): loaded}
    if name is not None:
        raise UsageError(f"{path}: holds several arrays", hint=f"pass -i {path} without a name")
    return as_values(loaded)


def array_sizes(path: str | os.PathLike[str], name: str | None) -> dict[str, int]:
    """Returns how many bytes the values of a file will take, from the headers of its arrays alone.

    A small file can hold much: what is compressed, or what is not there although the header says so.

    Raises:
        StorageError: cannot be read.
        MalformedError, UsageError: see `read_arrays`.
    """
    sizes: dict[str, int] = {}
    with opened(path) as file:
        for member, header, _rest in _headers(file, path):
            whole = _required(name, path) if member is None else whole_name(member)
            sizes[whole] = sizes.get(whole, 0) + _size(header, path)
    return sizes


def _headers(file: BinaryIO, path: str | os.PathLike[str]) -> Iterator[tuple[str | None, bytes, IO[bytes]]]:
    """Yields what each array is called (nothing where a file is one), how its file begins, and the rest."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield None, file.read(_LONGEST_HEADER), file
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                with archive.open(member) as array:
                    yield member.removesuffix(".npy"), array.read(_LONGEST_HEADER), array
    except _NO_ARCHIVE:
        raise _not_arrays(path) from None


def _size(start: bytes, path: str | os.PathLike[str]) -> int:
    from numpy.lib import format as npy

    file = io.BytesIO(start)
    try:
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        shape, _order, dtype = read(file)
    except Exception:  # see `_load`; longer headers than that are none
        raise _not_arrays(path) from None
    return math.prod(shape) * int(dtype.itemsize)


def _load(file: BinaryIO, path: str | os.PathLike[str]) -> NDArray[Any] | dict[str, NDArray[Any]]:
    import numpy as np

    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        arrays = {name: loaded[name] for name in loaded.files}
    except OSError:
        raise
    except Exception:  # NumPy, zipfile, zlib and tokenize share no base, and none documents its own
        raise _not_arrays(path) from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise _not_arrays(path)
    return arrays


def _load_within(
    file: BinaryIO, path: str | os.PathLike[str], name: str | None, sizes: Mapping[str, int]
) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Does what `_load` does, and reads no array whose header, as it is now, says more than `sizes`."""
    left, found = dict(sizes), {}
    for member, start, rest in _headers(file, path):
        whole = _required(name, path) if member is None else whole_name(member)
        left[whole] = left.get(whole, 0) - _size(start, path)
        if left[whole] < 0:
            raise UsageError(f"{os.fspath(path)}: was changed while it was read", hint="try again")
        found[member] = _array(_Rejoined(start, rest), path)
    return found[None] if None in found else {str(member): each for member, each in found.items()}


def _array(stream: _Rejoined, path: str | os.PathLike[str]) -> NDArray[Any]:
    from numpy.lib import format as npy

    try:
        array: NDArray[Any] = npy.read_array(cast("IO[bytes]", stream), allow_pickle=False)
        return array
    except OSError:
        raise
    except Exception:  # see `_load`
        raise _not_arrays(path) from None


class _Rejoined:
    """A stream whose beginning was read already, and is read again: as it was looked at."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = io.BytesIO(start), rest

    def read(self, size: int, /) -> bytes:
        return self._start.read(size) or self._rest.read(size)


def _not_arrays(path: str | os.PathLike[str]) -> MalformedError:
    return MalformedError(
        f"{os.fspath(path)}: not an array file, or one that holds Python objects",
        hint="save inputs with numpy.save or numpy.savez",
    )


def write_arrays(path: str | os.PathLike[str], values: Mapping[str, Any], *, force: bool) -> None:
    """Writes values into a .npz file; lists and maps as `stored_values` says.

    Raises:
        StorageError: cannot be written.
        UsageError: it exists and `force` is not set, or a value is no array of numbers or text, no list of
            such and no map.
    """
    write_file(path, to_npz(values), force=force)


def to_npz(values: Mapping[str, Any]) -> memoryview:
    """Returns values as an uncompressed .npz file.

    Raises:
        UsageError: see `write_arrays`.
    """
    import numpy as np

    # Not numpy.savez, which takes the names as keyword arguments and so not every name.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in as_arrays(values):
            with archive.open(_entry(name), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getbuffer()


def _entry(name: str) -> zipfile.ZipInfo:
    # With the date that ZipInfo has by itself: the same values give the same bytes.
    return zipfile.ZipInfo(f"{name}.npy")


def parse_arrays(data: bytes, what: str) -> dict[str, Any]:
    """Returns the values of an uncompressed .npz file that is in memory.

    Raises:
        MalformedError: not such a file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            stored = all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
    except _NO_ARCHIVE:
        stored = False
    # What is compressed may be of any size, and what a header says, too.
    fits = stored and sum(_size(start, what) for _, start, _ in _headers(io.BytesIO(data), what)) <= len(data)
    loaded = _load(io.BytesIO(data), what) if fits else None
    if not isinstance(loaded, dict):
        raise _not_arrays(what)
    return as_values(loaded)


def _required(name: str | None, path: str | os.PathLike[str]) -> str:
    if name is None:
        raise UsageError(
            f"{os.fspath(path)}: whose input is this?", hint="name it: -i NAME=FILE.npy, or --input NAME"
        )
    return name
