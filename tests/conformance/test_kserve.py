"""KServe's own server gives a sealed model's bits by both protocols, and fetches what it has verified."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import modelkeep
from support.classifier import classifier
from support.integrations import printed, set_up
from support.kserve import Client, serving
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop

pytestmark = pytest.mark.slow

KINDS = {"f": ("FLOAT", "FP32"), "d": ("DOUBLE", "FP64"), "h": ("FLOAT16", "FP16"), "i": ("INT64", "INT64"),
         "u": ("UINT8", "UINT8"), "b": ("BOOL", "BOOL"), "s": ("STRING", "BYTES")}  # fmt: skip
VALUES: dict[str, np.ndarray] = {
    "f": np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32) * np.float32(1e-38),
    "d": np.random.default_rng(2).normal(size=(2, 3)) * 1e300,
    "h": np.array([[0.1, 65504, -0.0]] * 2, np.float16),
    "i": np.array([[2**63 - 1, -(2**63), 2**53 + 1]] * 2),
    "u": np.array([[0, 255, 7]] * 2, np.uint8),
    "b": np.array([[True, False, True]] * 2),
    "s": np.array([["grün", "", "\n "]] * 2, object),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, pytest.MonkeyPatch]]:
    """A workshop, on a device whose settings say whom to trust."""
    workshop = Workshop(tmp_path_factory.mktemp("kserve"))
    with pytest.MonkeyPatch.context() as patch:
        set_up(workshop, patch)
        yield workshop, patch


@pytest.fixture(scope="module")
def plain(made: tuple[Workshop, pytest.MonkeyPatch]) -> onnxruntime.InferenceSession:
    """A model that gives each of its inputs of many kinds back."""
    path = made[0].folder / "kinds.onnx"
    path.write_bytes(_of_kinds())
    return onnxruntime.InferenceSession(path)


@pytest.fixture(scope="module")
def client(
    made: tuple[Workshop, pytest.MonkeyPatch], plain: onnxruntime.InferenceSession
) -> Iterator[Client]:
    """Somebody who asks that model, sealed."""
    folder = made[0].folder / "kinds"
    folder.mkdir()
    made[0].seal(made[0].folder / "kinds.onnx", name="kinds/model.keep")
    with serving(folder) as client:
        yield client


def _of_kinds() -> bytes:
    types = {name: getattr(TensorProto, kind) for name, (kind, _) in KINDS.items()}
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}-out"]) for name in types],
        "kinds",
        [helper.make_tensor_value_info(name, kind, ["rows", 3]) for name, kind in types.items()],
        [helper.make_tensor_value_info(f"{name}-out", kind, ["rows", 3]) for name, kind in types.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tensor(name: str, value: np.ndarray) -> dict[str, Any]:
    facts = {"name": name, "shape": list(value.shape), "datatype": KINDS[name][1]}
    return facts | {"data": value.ravel().tolist()}


def test_rows_are_answered_with_the_same_bits(client: Client, plain: onnxruntime.InferenceSession) -> None:
    expected: Any = plain.run(None, VALUES)
    rows = [{name: value[place].tolist() for name, value in VALUES.items()} for place in range(2)]
    answer = client.ask("/v1/models/detector:predict", {"instances": rows})
    assert answer.status == 200, answer.body
    for name, value in zip(VALUES, expected, strict=True):
        column = [row[f"{name}-out"] for row in answer.value["predictions"]]
        assert np.asarray(column, value.dtype).tobytes() == value.tobytes() or value.dtype == object
        assert column == value.tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_tensors_are_answered_with_the_same_bits(
    client: Client, plain: onnxruntime.InferenceSession, binary: bool
) -> None:
    expected: Any = dict(zip(VALUES, plain.run(None, VALUES), strict=True))
    answer = client.ask_in_binary("/v2/models/detector/infer", *_request(binary))
    assert answer.status == 200, answer.body
    found = _outputs(answer.body, int(answer.headers.get("inference-header-content-length") or 0))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (value.ravel().tolist() if value.dtype == object else value.tobytes())


def _request(binary: bool) -> tuple[dict[str, Any], bytes]:
    inputs = [tensor(name, value) for name, value in VALUES.items()]
    # JSON has no form for halves in this protocol; they go and come in binary.
    asked = [{"name": f"{name}-out", "parameters": {"binary_data": binary or name == "h"}} for name in VALUES]
    raw = b""
    for facts in inputs:
        name = facts["name"]
        if name == "h" or (binary and name != "s"):
            piece = VALUES[name].tobytes()
            del facts["data"]
            facts["parameters"] = {"binary_data_size": len(piece)}
            raw += piece
    return {"inputs": inputs, "outputs": asked}, raw


def _outputs(body: bytes, front: int) -> dict[str, Any]:
    found, position = {}, front
    for output in json.loads(body[:front])["outputs"]:
        name = output["name"].removesuffix("-out")
        if "data" in output:
            value = np.array(output["data"], object if name == "s" else VALUES[name].dtype)
            found[name] = value.tolist() if name == "s" else value.tobytes()
            continue
        size = output["parameters"]["binary_data_size"]
        piece = body[position : position + size]
        position += size
        found[name] = _texts(piece) if name == "s" else piece
    assert position == len(body)
    return found


def _texts(piece: bytes) -> list[str]:
    texts = []
    while piece:
        length = int.from_bytes(piece[:4], "little")
        texts.append(piece[4 : 4 + length].decode())
        piece = piece[4 + length :]
    return texts


def test_the_model_says_what_it_takes(client: Client) -> None:
    said = client.ask("/v2/models/detector").value["inputs"]
    assert said == [{"name": name, "datatype": kind, "shape": [-1, 3]} for name, (_, kind) in KINDS.items()]


def test_contract_and_guard_are_asked_in_a_process_of_its_own(
    made: tuple[Workshop, pytest.MonkeyPatch],
) -> None:
    workshop, _ = made
    model = classifier(workshop.folder / "net.onnx")
    (workshop.folder / "guarded").mkdir()
    admin = workshop.new_device("admin")
    bundle = workshop.seal(
        model, guard=learned(), name="guarded/model.keep", to=[], admins=[admin.with_suffix(".pub")]
    )
    later = modelkeep.grant(
        bundle,
        identity=workshop.identity(admin),
        to=[workshop.device.with_suffix(".pub")],
        verifier=workshop.verifier(),
        output=workshop.folder / "later.grants",
    )
    picture = pictures(1, seed=41)[0]
    expected: Any = onnxruntime.InferenceSession(model).run(["logits"], {"x": picture})[0]
    with serving(workshop.folder / "guarded", "--isolated", f"--grants={later.path}") as client:
        answer = client.ask("/v1/models/detector:predict", {"instances": picture.tolist()})
        found = np.array([row["logits"] for row in answer.value["predictions"]], np.float32)
        assert found.tobytes() == expected.tobytes()
        refused = client.ask("/v1/models/detector:predict", {"instances": (picture * 255).tolist()})
        assert (refused.status, "unusual" in refused.value["error"]) == (400, True)


def test_what_the_initializer_fetches_is_the_sealed_file_and_it_needs_no_key(
    made: tuple[Workshop, pytest.MonkeyPatch], tmp_path: Path
) -> None:
    workshop, _ = made
    bundle = workshop.seal(name="detector.keep")
    (line,) = [each for each in printed("KServe", "sh").splitlines() if "initializer" in each]
    line = line.replace("keep+https://models.example/detector.keep", f"keep+file://{bundle}")
    words = shlex.split(line.replace("/mnt/models", str(tmp_path)))
    environment = {name: value for name, value in os.environ.items() if name != "MODELKEEP_KEY"}
    command = [sys.executable, *words[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["detector.keep"]
    assert (tmp_path / "detector.keep").read_bytes() == bundle.read_bytes()
    with workshop.open(tmp_path / "detector.keep") as session:
        assert session.run({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[2, 2, 2, 2]]
