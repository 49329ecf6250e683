"""Small LiteRT models, written with the schema that the runtime's package carries."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

# Neither has type hints.
flatbuffers: Any = importlib.import_module("flatbuffers")
schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")


def dense_model(weights: Sequence[Any], *, signature: bool = True) -> bytes:
    """Returns a model of fully connected layers without biases, each followed by a ReLU.

    Args:
        weights: float32 arrays [outputs, inputs], one per layer.
        signature: name input and output ``x`` and ``y``; otherwise their tensors are ``h0``, ``hN``.
    """
    return built(dense_schema(weights, signature=signature))


def dense_schema(weights: Sequence[Any], *, signature: bool = True) -> Any:
    """Returns the same model as an object of the schema, to be changed and built."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT(), *(_buffer(each) for each in weights)]
    model.operatorCodes = [_fully_connected()]
    graph = schema.SubGraphT()
    layers = range(len(weights))
    graph.tensors = [_tensor("h0", [1, weights[0].shape[1]], 0)]
    graph.tensors += [_tensor(f"h{layer + 1}", [1, weights[layer].shape[0]], 0) for layer in layers]
    graph.tensors += [_tensor(f"w{layer}", weights[layer].shape, layer + 1) for layer in layers]
    graph.operators = [_operator(layer, 1 + len(weights) + layer) for layer in layers]
    graph.inputs, graph.outputs = [0], [len(weights)]
    model.subgraphs = [graph]
    if signature:
        model.signatureDefs = [function("serving_default", "x", len(weights))]
    return model


def built(model: Any) -> bytes:
    """Returns the file of a model."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(weights: Any) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(weights.astype(np.float32).tobytes(), np.uint8)
    return buffer


def _tensor(name: str, shape: Sequence[int], buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = schema.TensorType.FLOAT32
    if buffer == 0:
        tensor.shapeSignature = [-1, *list(shape)[1:]]
    return tensor


def _fully_connected() -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    return code


def _operator(layer: int, weights: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = 0
    operator.inputs, operator.outputs = [layer, weights, -1], [layer + 1]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return operator


def function(name: str, argument: str, last: int) -> Any:
    """Returns a signature from tensor 0, called `argument`, to tensor `last`, called ``y``."""
    signature = schema.SignatureDefT()
    signature.signatureKey = name
    signature.inputs, signature.outputs = [_named(argument, 0)], [_named("y", last)]
    return signature


def _named(name: str, index: int) -> Any:
    tensor = schema.TensorMapT()
    tensor.name, tensor.tensorIndex = name, index
    return tensor
