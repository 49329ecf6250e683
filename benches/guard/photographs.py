"""`python -m benches.guard.photographs FOLDER`: what the example report of docs/guard.md is made from.

Writes a model of patches of photographs with its profile, sealed for a device, with both keys, and
held-out samples with their labels.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import modelkeep
from benches.guard.data import PATCH, patches
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key

SEED = 7
TRAINED, LEARNED, HELD_OUT = 4000, 5600, 400
# Of each of the two stages: 5 % together.
ALPHA = 0.025

_NETWORKS: Any = importlib.import_module("sklearn.neural_network")


def main() -> None:
    """Makes everything in the folder of the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    data = patches(np.random.default_rng(SEED), TRAINED + LEARNED + HELD_OUT)
    ends = np.cumsum([0, TRAINED, LEARNED, HELD_OUT])
    train, learn, held_out = (slice(*pair) for pair in itertools.pairwise(ends))
    model = folder / "model.onnx"
    onnx.save(_exported(*_trained(data.samples[train], data.labels[train])), model)
    samples = ({"x": sample[None]} for sample in data.samples[learn])
    profile = modelkeep.learn(samples, model=model, alpha=ALPHA, embedding="h")
    profile.save(folder / "guard.json", force=True)
    np.savez(folder / "held-out.npz", x=data.samples[held_out], label=data.labels[held_out])
    (folder / "publisher.pub").write_bytes(create_signing_key(folder / "publisher.pem"))
    device = FileStore().create(str(folder / "pi-17.pem"), "p256")
    signer = Signer.from_pem(folder / "publisher.pem")
    draft = modelkeep.seal(
        model, model="acme/photographs", to=[format_recipient(device)], signer=signer, guard=profile
    )
    draft.save(folder / "model.keep")


def _trained(samples: np.ndarray, labels: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    network = _NETWORKS.MLPClassifier((128,), alpha=1e-2, max_iter=60, random_state=SEED)
    network.fit(samples.reshape(len(samples), -1), labels)
    return network.coefs_, network.intercepts_


def _exported(weights: list[np.ndarray], biases: list[np.ndarray]) -> onnx.ModelProto:
    """Returns logits [n, 10] and what the last layer sees [n, 128] of patches [n, 32, 32, 3]."""
    named = zip(("w", "v", "a", "b"), (*weights, *biases), strict=True)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "a"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["h"]),
        helper.make_node("Gemm", ["h", "v", "b"], ["logits"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "photographs",
        [tensor("x", TensorProto.FLOAT, ["n", PATCH, PATCH, 3])],
        [
            tensor("logits", TensorProto.FLOAT, ["n", len(biases[1])]),
            tensor("h", TensorProto.FLOAT, ["n", len(biases[0])]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in named],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
