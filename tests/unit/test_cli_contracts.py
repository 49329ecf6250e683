"""The command line and what models take: shown, changed, chosen, and stored as it is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from support.command_line import CommandLine
from support.workshop import scale_model

SEAL = "modelkeep seal {} -r pi-17.pub -s publisher.pem -o m.keep --force"
KEYS = ("-r", "pi-17.pub", "-s", "publisher.pem", "-o")
OPEN = "-k file:pi-17.pem -t publisher.pub"


def test_inspect_with_a_key_shows_what_the_model_takes(shop: CommandLine) -> None:
    (shop.folder / "contract.json").write_text('{"x": {"minimum": 0, "maximum": 1, "finite": false}}')
    shop.ok(SEAL.format("model.onnx --contract contract.json"))
    result = shop("inspect", "m.keep", "-k", "file:pi-17.pem")
    line = "input x: float32 (any, 4), NaN and infinities pass, from 0, up to 1, at most 268435456 bytes"
    assert line in result.out
    facts = json.loads(shop("inspect", "m.keep", "-k", "file:pi-17.pem", "--json").out)
    ((entry),) = facts["entries"]
    assert (entry["name"], entry["format"]) == ("model.onnx", "onnx")
    assert entry["inputs"]["x"]["shape"] == [None, 4]
    assert "entries" not in json.loads(shop("inspect", "m.keep", "--json").out)


def test_run_without_inputs_says_which_there_are(shop: CommandLine) -> None:
    shop.ok(SEAL.format("model.onnx"))
    result = shop(*f"run m.keep {OPEN}".split())
    assert result.code == 2
    assert "input x: float32 (any, 4), at most" in result.err
    assert "-i x=FILE.npy" in result.err


def test_a_refusal_names_the_publishers_switch(shop: CommandLine) -> None:
    shop.ok(SEAL.format("model.onnx"))
    np.save(shop.folder / "nan.npy", np.full((1, 4), np.nan, np.float32))
    result = shop(*f"run m.keep {OPEN} -i x=nan.npy".split())
    assert result.code == 3
    assert "finite=false" in result.err


def test_entries_are_sealed_and_chosen(shop: CommandLine) -> None:
    (shop.folder / "two").mkdir()
    for name, weight in (("encoder", 2.0), ("decoder", 3.0)):
        (shop.folder / f"two/{name}.onnx").write_bytes(scale_model(weight, 4))
    shop.ok(SEAL.format("two --entry encoder.onnx --entry decoder.onnx"))
    np.save(shop.folder / "one.npy", np.ones((1, 4), np.float32))
    for option, weight in (("", 2), ("--entry decoder.onnx", 3)):
        shop.ok(f"modelkeep run m.keep {OPEN} -i x=one.npy -o y.npz --force {option}")
        with np.load(shop.folder / "y.npz") as stored:
            assert stored["y"].tolist() == [[weight] * 4]


def split_model(folder: Path) -> None:
    node = helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=0)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, ["k"]),
    ]
    outputs = [helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "g", inputs, outputs)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "s"
    )


def test_what_is_stored_is_what_is_printed(shop: CommandLine) -> None:
    split_model(shop.folder)
    shop.ok(SEAL.format("s"))
    np.savez(shop.folder / "in.npz", x=np.ones((3, 2), np.float32), sizes=np.array([1, 2]))
    for option in ("", "--isolated"):
        result = shop(*f"run m.keep {OPEN} -i in.npz -o out.npz --force {option}".split())
        assert [line[:24] for line in result.out.splitlines()] == [
            f"parts[{n}]: float32 ({n + 1}, 2)" for n in (0, 1)
        ]
        with np.load(shop.folder / "out.npz") as stored:
            assert {name: stored[name].shape for name in stored} == {"parts[0]": (1, 2), "parts[1]": (2, 2)}


def test_what_nothing_opens_is_said_and_files_can_be_meant(shop: CommandLine) -> None:
    (shop.folder / "model.pkl").write_bytes(b"\x80\x04N.")
    result = shop("seal", "model.pkl", *KEYS, "p.keep")
    assert (result.code, "open_files" in result.err) == (0, True)
    result = shop("seal", "model.onnx", "--format", "files", *KEYS, "f.keep")
    assert (result.code, "note" in result.err) == (0, False)
    result = shop("seal", "model.onnx", "--format", "onx", *KEYS, "g.keep")
    assert (result.code, "formats: " in result.err) == (2, True)
