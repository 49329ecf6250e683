"""Models of the usual kinds of layers, whose weights can be told from all other numbers in memory.

A weight is a random number whose last 12 bits are a mark. What runtimes compute has the mark by chance
once in 4,096 numbers, so several marked ones in a row are weights, in whatever order they lie there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARK, MARK_BITS = 0xA5C, 0xFFF

Weights = NDArray[np.float32]


class Marked:
    """Makes marked weights and counts them; the same ones each time."""

    def __init__(self) -> None:
        self.count = 0
        self._random = np.random.default_rng(20260)

    def __call__(self, *shape: int) -> Weights:
        """Returns weights of this shape, small enough that layers can follow each other."""
        fan_in = int(np.prod(shape[1:])) or 1
        plain: Weights = (self._random.standard_normal(shape) / fan_in**0.5).astype(np.float32)
        self.count += plain.size
        bits = plain.view(np.uint32) & np.uint32(0xFFFFFFFF ^ MARK_BITS) | np.uint32(MARK)
        marked: Weights = bits.view(np.float32)
        return marked


class Graph:
    """An ONNX graph in the making; the last result is what the next layer takes."""

    def __init__(self, marked: Marked) -> None:
        self.marked = marked
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._last = "x"

    def weights(self, *shape: int) -> str:
        """Adds marked weights; returns their name."""
        return self.tensor(self.marked(*shape))

    def tensor(self, values: NDArray[Any]) -> str:
        """Adds other numbers; returns their name."""
        from onnx import numpy_helper

        name = f"w{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(values, name))
        return name

    def layer(
        self, kind: str, *inputs: str, outputs: int = 1, before: str | None = None, **options: Any
    ) -> str:
        """Adds a layer; returns the name of its first result."""
        from onnx import helper

        results = [f"h{len(self._nodes)}", *[f"h{len(self._nodes)}_{more}" for more in range(1, outputs)]]
        self._nodes.append(helper.make_node(kind, [before or self._last, *inputs], results, **options))
        self._last = results[0]
        return self._last

    def model(self, *shape: int | str) -> bytes:
        """Returns the model, from ``x`` of this shape to the last result."""
        from onnx import TensorProto, helper

        start = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        end = helper.make_tensor_value_info(self._last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self._nodes, "marked", [start], [end], self._tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString())


def products(graph: Graph) -> tuple[int | str, ...]:
    """Matrix products and ReLU: 4 MiB."""
    for _ in range(4):
        graph.layer("MatMul", graph.weights(512, 512))
        graph.layer("Relu")
    return "n", 512


def gemm(graph: Graph) -> tuple[int | str, ...]:
    """Products with a transposed matrix and a bias: 2 MiB."""
    for _ in range(2):
        graph.layer("Gemm", graph.weights(512, 512), graph.weights(512), transB=1)
        graph.layer("Relu")
    return "n", 512


def convolutions(graph: Graph) -> tuple[int | str, ...]:
    """3 x 3 convolutions: 2.3 MiB."""
    for before, after in ((16, 64), (64, 128), (128, 256), (256, 256)):
        _convolution(graph, before, after)
    return "n", 16, 32, 32


def depthwise(graph: Graph) -> tuple[int | str, ...]:
    """Depthwise and pointwise convolutions: 1.1 MiB."""
    for _ in range(4):
        graph.layer("Conv", graph.weights(256, 1, 3, 3), graph.weights(256), group=256, pads=[1] * 4)
        graph.layer("Clip", graph.tensor(np.array(0, np.float32)), graph.tensor(np.array(6, np.float32)))
        graph.layer("Conv", graph.weights(256, 256, 1, 1), graph.weights(256))
    return "n", 256, 16, 16


def resnet(graph: Graph) -> tuple[int | str, ...]:
    """The convolutions of a ResNet-18: 45 MiB."""
    graph.layer("Conv", graph.weights(64, 3, 7, 7), graph.weights(64), strides=[2, 2], pads=[3] * 4)
    for before, after in ((64, 64), (64, 128), (128, 256), (256, 512)):
        start = graph.layer("Relu")
        stride = after // before
        _convolution(graph, before, after, strides=[stride] * 2)
        main = _convolution(graph, after, after, relu=False)
        side = graph.layer("Conv", graph.weights(after, before, 1, 1), before=start, strides=[stride] * 2)
        graph.layer("Add", side, before=main)
        _convolution(graph, after, after)
        _convolution(graph, after, after)
    graph.layer("GlobalAveragePool")
    graph.layer("Flatten")
    graph.layer("Gemm", graph.weights(1000, 512), graph.weights(1000), transB=1)
    return "n", 3, 64, 64


def lstm(graph: Graph) -> tuple[int | str, ...]:
    """An LSTM of 256 units: 2 MiB."""
    shape = (1, 1024, 256)
    graph.layer("LSTM", graph.weights(*shape), graph.weights(*shape), graph.weights(1, 2048), hidden_size=256)
    return 5, "n", 256


def gru(graph: Graph) -> tuple[int | str, ...]:
    """A GRU of 256 units: 1.5 MiB."""
    shape = (1, 768, 256)
    graph.layer("GRU", graph.weights(*shape), graph.weights(*shape), graph.weights(1, 1536), hidden_size=256)
    return 5, "n", 256


def attention(graph: Graph) -> tuple[int | str, ...]:
    """Self-attention with projections: 1 MiB."""
    query, key, value = (graph.layer("MatMul", graph.weights(256, 256), before="x") for _ in range(3))
    turned = graph.layer("Transpose", before=key, perm=[0, 2, 1])
    graph.layer("MatMul", turned, before=query)
    graph.layer("Softmax", axis=-1)
    graph.layer("MatMul", value)
    graph.layer("MatMul", graph.weights(256, 256))
    return "n", 16, 256


def small(graph: Graph) -> tuple[int | str, ...]:
    """What a sensor's model has: 9 KiB."""
    graph.layer("Gemm", graph.weights(32, 64), graph.weights(32), transB=1)
    graph.layer("Relu")
    graph.layer("Gemm", graph.weights(8, 32), graph.weights(8), transB=1)
    return "n", 64


def _convolution(graph: Graph, before: int, after: int, *, relu: bool = True, **options: Any) -> str:
    result = graph.layer(
        "Conv", graph.weights(after, before, 3, 3), graph.weights(after), pads=[1] * 4, **options
    )
    return graph.layer("Relu") if relu else result


def _write_litert(path: Path, weights: Sequence[Weights]) -> None:
    from support.tflite_models import dense_model

    path.write_bytes(dense_model(weights))


def _write_ncnn(path: Path, weights: Sequence[Weights]) -> None:
    lines = ["Input in 0 1 x 0=512 1=1"]
    for place, each in enumerate(weights):
        before, after = f"h{place - 1}" if place else "x", f"h{place}"
        lines += [f"InnerProduct product{place} 1 1 {before} m{place} 0=512 1=0 2={each.size}"]
        lines += [f"ReLU relu{place} 1 1 m{place} {after}"]
    path.write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""]))
    # In front of the weights of each layer, four bytes say that they are float32.
    path.with_suffix(".bin").write_bytes(b"".join(bytes(4) + each.tobytes() for each in weights))


def _write_executorch(path: Path, weights: Sequence[Weights]) -> None:
    from support.executorch_programs import exported

    torch: Any = importlib.import_module("torch")
    layers = []
    for each in weights:
        layers += [torch.nn.Linear(*each.shape[::-1], bias=False), torch.nn.ReLU()]
        layers[-2].weight = torch.nn.Parameter(torch.from_numpy(each))
    example = torch.ones(1, weights[0].shape[1])
    path.write_bytes(exported(torch.nn.Sequential(*layers), example, lowered=True))


_DENSE: Mapping[str, Callable[[Path, Sequence[Weights]], None]] = {
    ".tflite": _write_litert,
    ".param": _write_ncnn,
    ".pte": _write_executorch,
}

KINDS: Mapping[str, Callable[[Graph], tuple[int | str, ...]]] = {
    each.__name__: each
    for each in (products, gemm, convolutions, depthwise, resnet, lstm, gru, attention, small)
}


def shape(kind: str) -> tuple[int | str, ...]:
    """Returns the shape of a model's input, with names for free lengths."""
    return KINDS[kind](Graph(Marked()))


def write(kind: str, path: Path) -> int:
    """Writes a model in the format that the suffix says; returns how many weights it has.

    For LiteRT, ncnn and ExecuTorch there are matrix products alone.
    """
    marked = Marked()
    path.parent.mkdir(exist_ok=True)
    if path.suffix in _DENSE:
        _DENSE[path.suffix](path, [marked(512, 512) for _ in range(4)])
        return marked.count
    graph = Graph(marked)
    shape = KINDS[kind](graph)
    onnx_file = path.with_suffix(".onnx")
    onnx_file.write_bytes(graph.model(*shape))
    if path.suffix == ".xml":
        openvino: Any = importlib.import_module("openvino")
        openvino.save_model(openvino.Core().read_model(str(onnx_file)), str(path), compress_to_fp16=False)
        onnx_file.unlink()
    return marked.count
