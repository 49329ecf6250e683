"""Array files: read without pickle, and whatever else is in a file is refused in words."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from modelkeep.arrays import array_sizes, read_arrays, write_arrays
from modelkeep.errors import KeepError, MalformedError, StorageError, UsageError


def test_a_single_array_needs_a_name(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    assert read_arrays(tmp_path / "x.npy", "x")["x"].tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="whose input"):
        read_arrays(tmp_path / "x.npy", None)


def test_several_arrays_bring_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(2), b=np.ones((0, 3)))
    assert {name: array.shape for name, array in read_arrays(tmp_path / "x.npz", None).items()} == {
        "a": (2,),
        "b": (0, 3),
    }
    with pytest.raises(UsageError, match="several arrays"):
        read_arrays(tmp_path / "x.npz", "a")


def test_reading_undoes_writing(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "file": np.array([[1, 2]], np.float32),
        "args": np.int64(7),
        "a/b:0": np.array([True]),
        "größe": np.array(["text", "längerer"]),
        "": np.zeros(0, np.float16),
    }
    write_arrays(tmp_path / "out.npz", arrays, force=False)
    sizes = array_sizes(tmp_path / "out.npz", None)
    assert sizes == {name: each.nbytes for name, each in arrays.items()}
    for found in (read_arrays(tmp_path / "out.npz", None, each) for each in (None, sizes)):
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert np.array_equal(found[name], array)


def test_no_more_is_read_than_was_found_small_enough(tmp_path: Path) -> None:
    path, array = tmp_path / "x.npy", np.asfortranarray(np.arange(6000.0).reshape(2, 3000))
    np.save(path, array)
    assert array_sizes(path, "x") == {"x": array.nbytes}
    assert np.array_equal(read_arrays(path, "x", {"x": array.nbytes})["x"], array)
    for sizes in ({"x": array.nbytes - 1}, {"y": array.nbytes}, {}):
        with pytest.raises(UsageError, match="was changed while it was read"):
            read_arrays(path, "x", sizes)
    with pytest.raises(UsageError, match="whose input"):
        read_arrays(path, None, {})


def test_text_outputs_are_written_without_pickle(tmp_path: Path) -> None:
    labels = np.array([["cat", "größer"], ["", "d"]], dtype=object)
    write_arrays(tmp_path / "out.npz", {"labels": labels}, force=False)
    assert read_arrays(tmp_path / "out.npz", None)["labels"].tolist() == labels.tolist()


@pytest.mark.parametrize("value", [[{"a": None}], [object()], np.array([None]), np.array([b"x"], object)])
def test_outputs_that_are_no_arrays_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match=r"'scores(\[0\])?' is no array"):
        write_arrays(tmp_path / "out.npz", {"scores": value}, force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "out.npz").write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"):
        write_arrays(tmp_path / "out.npz", {}, force=False)
    assert (tmp_path / "out.npz").read_bytes() == b"old"
    write_arrays(tmp_path / "out.npz", {}, force=True)
    assert read_arrays(tmp_path / "out.npz", None) == {}


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=np.array([object], object))
    with pytest.raises(MalformedError, match="not an array file"):
        read_arrays(tmp_path / "x.npy", "x")
    with pytest.raises(MalformedError, match="not an array file"):
        read_arrays(tmp_path / "x.npz", None)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x80\x04N.", b"PK\3\4", b"\x93NUMPY", b"\x93NUMPY\1\0\xff\xff"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(MalformedError, match="not an array file"):
        read_arrays(tmp_path / "x", "x")


def test_archives_with_other_files_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "text")
    with pytest.raises(MalformedError, match="not an array file"):
        read_arrays(tmp_path / "x.npz", None)


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    header = b"{'descr':'<f8','fortran_order':False,'shape':(1152921504606846975,)}\n"
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(MalformedError, match="not an array file"):
        read_arrays(tmp_path / "x.npy", "x")


def test_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(100), b=np.ones(3))
    chance, refusals = random.Random(11), 0
    for name in ("x.npy", "x.npz"):
        good = (tmp_path / name).read_bytes()
        for _ in range(150):
            data = bytearray(good)
            data[chance.randrange(len(data))] = chance.randrange(256)
            (tmp_path / "damaged").write_bytes(data[: chance.choice([None, chance.randrange(len(data))])])
            try:
                read_arrays(tmp_path / "damaged", "x" if name == "x.npy" else None)
            except KeepError:
                refusals += 1
    assert refusals > 80


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        read_arrays(tmp_path / "none", None)
    with pytest.raises(StorageError, match="is a directory"):
        read_arrays(tmp_path, None)


@pytest.mark.parametrize(
    "value",
    [
        [],
        [np.ones(2), np.ones((1, 3), np.float32)],
        [[np.ones(1)], []],
        {"a": 0.5, "b": 1.5},
        {7: "text"},
        [{1: 0.5}, {}],
        np.ones(3, ml_dtypes.bfloat16),
    ],
    ids=repr,
)
def test_lists_and_maps_come_back(tmp_path: Path, value: Any) -> None:
    write_arrays(tmp_path / "x.npz", {"x": value, "y": np.ones(1)}, force=False)
    found = read_arrays(tmp_path / "x.npz", None)
    assert found.keys() == {"x", "y"}
    assert repr(found["x"]) == repr(value)
    assert getattr(found["x"], "dtype", None) == getattr(value, "dtype", None)


def test_nothing_at_all_is_not_stored(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", {"x": None, "y": np.ones(1)}, force=False)
    assert read_arrays(tmp_path / "x.npz", None).keys() == {"y"}


@pytest.mark.parametrize(
    "parts",
    [
        {"x[1]": np.ones(1)},
        {"x{keys}": np.ones(1)},
        {"x{keys}": np.ones(2), "x{values}": np.ones(2)},
        {"x{keys}": np.ones(1), "x{values}": np.ones(2)},
        {"x{bfloat16}": np.ones(1)},
        {"x[0][0][0][0][0][0][0][0][0][0]": np.ones(1)},
    ],
    ids=str,
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path, parts: Any) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, array in parts.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
    with pytest.raises(MalformedError):
        read_arrays(tmp_path / "x.npz", None)
