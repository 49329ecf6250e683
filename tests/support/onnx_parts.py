"""Puts a slimmed ONNX model together again, by means of the onnx package."""

from __future__ import annotations

import importlib
from typing import Any

import onnx
from onnx import TensorProto

from modelkeep.runtimes.onnx_slim import SlimGraph

NAME = "whole"
# What the onnx package raises on bytes that are no model.
UNREADABLE: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError


def slimmed(data: bytes) -> tuple[bytes, bytearray]:
    """Returns the small model, and the original after it has been written."""
    original = bytearray(data)
    slim = SlimGraph(memoryview(original), NAME, {})
    small = bytearray(slim.size)
    slim.write(memoryview(small))
    return bytes(small), original


def rejoined(small: bytes, original: bytearray) -> Any:
    """Returns the model with its weights in it again."""
    model = onnx.load_model_from_string(small)
    for tensor in model.graph.initializer:
        if is_lent(tensor):
            start, length = int(entries(tensor)["offset"]), int(entries(tensor)["length"])
            tensor.raw_data = bytes(original[start : start + length])
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    return model


def is_lent(tensor: TensorProto) -> bool:
    """Returns whether a tensor of a slimmed model lies in the original."""
    return entries(tensor).get("location") == NAME


def entries(tensor: TensorProto) -> dict[str, str]:
    """Returns what a tensor says about its external data."""
    return {entry.key: entry.value for entry in tensor.external_data}
