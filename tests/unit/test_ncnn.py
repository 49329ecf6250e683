"""What ncnn models say of their inputs, and sessions with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelkeep.errors import InputError, MalformedError, RuntimeMissingError, UsageError
from modelkeep.formats.ncnn import read_contract, read_inputs
from support.workshop import Workshop

MODEL = b"7767517\n2 2\nInput in 0 1 x 0=4\nReLU relu 1 1 x y\n"


def inputs(*lines: str) -> dict[str, tuple[int, ...] | None]:
    return read_inputs(memoryview("\n".join(["7767517", f"{len(lines)} 9", *lines, ""]).encode()))


def test_shapes_are_those_of_arrays() -> None:
    assert inputs("Input a 0 1 a 0=7", "Input b 0 1 b 0=7 1=5", "Input c 0 2 c d 0=7 1=5 2=3") == {
        **{"a": (7,), "b": (5, 7), "c": (3, 5, 7), "d": (3, 5, 7)},
    }
    assert inputs("Input a 0 1 a", "Input b 0 1 b 0=7 1=5 11=2 2=3") == {"a": None, "b": (3, 2, 5, 7)}
    contract = read_contract(memoryview(MODEL.replace(b"\n", b"\r\n")))
    assert [(each.name, each.dtype, each.shape) for each in contract.inputs] == [("x", "float32", (4,))]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"7767518\n1 1\nInput in 0 1 x\n",
        b"7767517\n",
        MODEL.replace(b"2 2", b"3 2"),
        MODEL.replace(b"2 2", b"2"),
        MODEL.replace(b"Input", b"ReLU"),
        MODEL.replace(b"0 1 x", b"0 9 x"),
        MODEL.replace(b"0 1 x", b"0 -1 x"),
        MODEL.replace(b"0 1 x", b"0 1x x"),
        MODEL.replace(b"0=4", b"0=-4"),
        MODEL.replace(b"0=4", b"0=9999999999"),
        MODEL.replace(b"ReLU relu 1 1 x y", b"Input in2 0 1 x"),
        MODEL.replace(b"relu", b"\xff"),
    ],
)
def test_what_is_no_description_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_contract(memoryview(data))


def test_a_folder_is_sealed_and_opened_as_one_model(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "net.ncnn.param").write_bytes(MODEL)
    with pytest.raises(UsageError, match=r"net\.ncnn\.bin"):
        workshop.seal(tmp_path)
    (tmp_path / "net.ncnn.bin").write_bytes(b"")
    bundle = workshop.seal(tmp_path)
    try:
        with workshop.open(bundle, use_fp16_storage=False) as session:
            x = np.array([-1, 0, 1, 2], np.float32)
            assert session.run({"x": x})["y"].tolist() == [0, 0, 1, 2]
            with pytest.raises(InputError):
                session.run({"x": x[None]})
        with pytest.raises(UsageError, match="must be a number"):
            workshop.open(bundle, num_threads="two")
    except RuntimeMissingError:
        pytest.skip("ncnn is not installed")


def test_layers_that_ncnn_does_not_know_are_said(workshop: Workshop, tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    (tmp_path / "net.param").write_bytes(MODEL.replace(b"ReLU", b"Acme"))
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(MalformedError, match="a layer that it does not know"):
        workshop.open(workshop.seal(tmp_path))
