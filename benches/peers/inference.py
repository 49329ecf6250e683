"""From a file on disk to the first result of a generated perceptron of dense layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import modelkeep
from benches.peer import Peer
from modelkeep.keys.file import FileStore
from modelkeep.trust.signing_keys import create_signing_key

_MODEL_ID = "bench/model"
_WIDTH = 2048


class PlainFile(Peer):
    """onnxruntime loads the unprotected file itself."""

    @property
    def model(self) -> Path:
        """The plain model."""
        return self.folder / "model.onnx"

    def prepare(self) -> list[Path]:
        self.model.write_bytes(perceptron(self.size))
        return [self.model]

    def ready(self) -> None:
        self.input = np.linspace(-1, 1, _WIDTH, dtype=np.float32).reshape(1, _WIDTH)

    def infer(self, model: Path | bytes) -> Any:
        """Returns the result of the plain model."""
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        return session.run(None, {"x": self.input})[0]

    def run(self) -> None:
        self.result = self.infer(self.model)

    def check(self) -> None:
        if not np.array_equal(self.result, self.infer(self.model)):
            raise ValueError("the result is not that of the plain model")


class FromMemory(PlainFile):
    """The file is read into bytes first: what every runtime fed from memory has to do."""

    def run(self) -> None:
        self.result = self.infer(self.model.read_bytes())


class Sealed(PlainFile):
    """`modelkeep.open` and one guarded run."""

    def prepare(self) -> list[Path]:
        super().prepare()
        (self.folder / "publisher.pub").write_bytes(create_signing_key(self.folder / "publisher.pem"))
        draft = modelkeep.seal(
            self.model,
            model=_MODEL_ID,
            to=[FileStore().create(str(self.folder / "device.pem"))],
            signer=modelkeep.Signer.from_pem(self.folder / "publisher.pem"),
        )
        return [draft.save(self.folder / "model.keep")]

    def ready(self) -> None:
        super().ready()
        self.identity = modelkeep.Identity(f"file:{self.folder / 'device.pem'}")
        self.verifier = modelkeep.Verifier(self.folder / "publisher.pub", model=_MODEL_ID)

    def run(self) -> None:
        bundle = self.folder / "model.keep"
        self.session = modelkeep.open(bundle, identity=self.identity, verifier=self.verifier)
        self.result = self.session.run({"x": self.input})["y"]


def perceptron(size: int) -> bytes:
    """Returns an ONNX model of about `size` bytes: square dense layers with ReLU between them."""
    random = np.random.default_rng(17)
    count = max(1, size // (4 * _WIDTH * _WIDTH))
    weights = [(random.random((_WIDTH, _WIDTH), np.float32) - 0.5) / 16 for _ in range(count)]
    nodes, name = [], "x"
    for index in range(count):
        nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"m{index}"]))
        name = "y" if index == count - 1 else f"r{index}"
        nodes.append(helper.make_node("Relu", [f"m{index}"], [name]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _WIDTH]) for name in ("x", "y")]
    stored = [numpy_helper.from_array(weight, f"w{index}") for index, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "perceptron", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
