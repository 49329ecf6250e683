"""Copies of inputs: arrays of every kind of memory, lists, maps; what the contract refuses stays uncopied."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import StorageError, UsageError
from modelkeep.inputs import own_inputs

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="mapped files are read through the kernel there"
)


def mapped(path: Path, numbers: int = 4096) -> np.ndarray:
    path.write_bytes(np.arange(numbers, dtype=np.float32).tobytes())
    return np.memmap(path, np.float32, "r+").view(np.ndarray)


def test_copies_are_the_sessions_own() -> None:
    x, part, table = np.ones(3), np.zeros(2), {1: 0.5}
    copies = own_inputs({"x": x, "list": [part, table], "map": table}, None)
    x[:], part[:] = 7, 7
    table[1] = 7
    assert copies["x"].tolist() == [1, 1, 1]
    assert copies["list"][0].tolist() == [0, 0]
    assert (copies["list"][1], copies["map"]) == ({1: 0.5}, {1: 0.5})


def test_what_a_contract_refuses_is_not_copied() -> None:
    contract = Contract((TensorContract("x", "float32", None, maximum_bytes=16),))
    small, large = np.ones(4, np.float32), np.ones(5, np.float32)
    inputs = {"x": large, "unknown": small}
    copies = own_inputs(inputs, contract)
    assert copies["x"] is large
    assert copies["unknown"] is small
    assert own_inputs({"x": small}, contract)["x"] is not small
    parts = own_inputs({"x": [small, small]}, contract)["x"]
    assert all(part is small for part in parts)


@on_linux
@pytest.mark.parametrize("shape", [(4096,), (64, 64), (1, 4096, 1)])
def test_mapped_files_are_copied_whole(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = mapped(tmp_path / "mapped").reshape(shape)
    copy = own_inputs({"x": x}, None)["x"]
    expected = np.arange(4096, dtype=np.float32).reshape(shape)
    assert np.array_equal(copy, expected)
    x[:] = 7
    assert np.array_equal(copy, expected)


@on_linux
def test_a_scattered_view_of_a_mapped_file_is_refused(tmp_path: Path) -> None:
    x = mapped(tmp_path / "mapped")
    with pytest.raises(UsageError, match="scattered view") as refusal:
        own_inputs({"x": x[::2]}, None)
    assert refusal.value.hint == "copy it first"


@on_linux
def test_a_mapped_file_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "mapped").open("w+b") as file:
        file.truncate(2 * mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), 0) as mapping:
            x = np.frombuffer(mapping, np.uint8)
            file.truncate(mmap.PAGESIZE)
            with pytest.raises(StorageError, match="was cut short"):
                own_inputs({"x": x}, None)
            del x
