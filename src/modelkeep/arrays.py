"""Array files: .npy and .npz, read without pickle and written so that a crash leaves nothing half."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from modelkeep.errors import MalformedError, UsageError
from modelkeep.storage import opened, write_file
from modelkeep.stored_values import as_arrays, as_values

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_arrays(path: str | os.PathLike[str], name: str | None) -> dict[str, Any]:
    """Returns the array of a .npy file under `name`, or all values of a .npz file.

    Raises:
        StorageError: cannot be read.
        MalformedError: not an array file, or one that holds Python objects.
        UsageError: a .npy file without a name, or a .npz file with one.
    """
    # Tells what file is missing, before NumPy says it in its own way.
    with opened(path) as file:
        loaded = _load(file, path)
    if not isinstance(loaded, dict):
        return {_required(name, path): loaded}
    if name is not None:
        raise UsageError(f"{path}: holds several arrays", hint=f"pass -i {path} without a name")
    return as_values(loaded)


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
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError, struct.error):
        stored = False
    # What is compressed may be of any size.
    loaded = _load(io.BytesIO(data), what) if stored else None
    if not isinstance(loaded, dict):
        raise _not_arrays(what)
    return as_values(loaded)


def _required(name: str | None, path: str | os.PathLike[str]) -> str:
    if name is None:
        raise UsageError(
            f"{os.fspath(path)}: whose input is this?", hint="name it: -i NAME=FILE.npy, or --input NAME"
        )
    return name
