"""The formats that this package knows."""

from __future__ import annotations

import posixpath
import re
from typing import ClassVar

from modelkeep.errors import KeepError
from modelkeep.formats import (
    executorch,
    gguf,
    ncnn,
    onnx_graph,
    openvino_ir,
    ort,
    shards,
    tflite,
    torch_archive,
)
from modelkeep.formats.flatbuffers import identifier
from modelkeep.formats.format import Contracts, Files, Format
from modelkeep.formats.safetensors import read_header_length

# A document that is no model of OpenVINO can be long; its root comes early.
_NET = re.compile(rb"\s*(<\?xml[^>]*>)?\s*(<!--.*?-->\s*)*<net[\s>]", re.DOTALL)
_FAR = 4096


class OnnxFormat(Format):
    """ONNX, of one file or with external data."""

    name: ClassVar[str] = "onnx"
    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    runtime: ClassVar[str | None] = "modelkeep[onnx]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`. Protobuf has no mark of its own: a model is what reads as one."""
        return onnx_graph.is_model(view)

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """See `Format.companions`."""
        locations = onnx_graph.external_files(files[entry])
        return tuple(onnx_graph.external_path(entry, location) for location in locations)

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        return {None: onnx_graph.read_contract(files[entry])}


class OrtFormat(Format):
    """ONNX Runtime's own format."""

    name: ClassVar[str] = "ort"
    suffixes: ClassVar[tuple[str, ...]] = (".ort",)
    runtime: ClassVar[str | None] = "modelkeep[onnx]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return identifier(view) == ort.IDENTIFIER

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        return {None: ort.read_contract(files[entry])}


class TfliteFormat(Format):
    """TensorFlow Lite."""

    name: ClassVar[str] = "tflite"
    suffixes: ClassVar[tuple[str, ...]] = (".tflite",)
    runtime: ClassVar[str | None] = "modelkeep[litert]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return identifier(view) == tflite.IDENTIFIER

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        contracts = tflite.read_contracts(files[entry])
        first = tflite.default_function(contracts)
        return {first: contracts[first], **contracts}


class ExecuTorchFormat(Format):
    """ExecuTorch, PyTorch's programs for devices."""

    name: ClassVar[str] = "executorch"
    suffixes: ClassVar[tuple[str, ...]] = (".pte",)
    runtime: ClassVar[str | None] = "modelkeep[executorch]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return identifier(view) == executorch.IDENTIFIER

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        methods = executorch.read_methods(files[entry])
        first = executorch.default_method(methods)
        return {name: methods[name].contract for name in (first, *methods)}


class OpenVinoFormat(Format):
    """OpenVINO IR: a description in XML, and weights beside it."""

    name: ClassVar[str] = "openvino"
    suffixes: ClassVar[tuple[str, ...]] = (".xml",)
    own_suffixes: ClassVar[bool] = False
    runtime: ClassVar[str | None] = "modelkeep[openvino]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return _NET.match(view[:_FAR]) is not None

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """See `Format.companions`."""
        return (posixpath.splitext(entry)[0] + ".bin",)

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        return {None: openvino_ir.read_contract(files[entry])}


class NcnnFormat(Format):
    """ncnn: a description in text, and weights beside it."""

    name: ClassVar[str] = "ncnn"
    suffixes: ClassVar[tuple[str, ...]] = (".param",)
    own_suffixes: ClassVar[bool] = False
    runtime: ClassVar[str | None] = "modelkeep[ncnn]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return ncnn.is_param(view)

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """See `Format.companions`."""
        return (posixpath.splitext(entry)[0] + ".bin",)

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        return {None: ncnn.read_contract(files[entry])}


class GgufFormat(Format):
    """GGUF, of one file or of several that are numbered."""

    name: ClassVar[str] = "gguf"
    suffixes: ClassVar[tuple[str, ...]] = (".gguf",)
    runtime: ClassVar[str | None] = "modelkeep[llamacpp]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return bytes(view[:4]) == gguf.MAGIC

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """See `Format.companions`."""
        return shards.gguf_parts(entry, gguf.read_parts(files[entry]))[1:]

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """See `Format.contracts`."""
        return {None: gguf.read_contract(files[entry])}


class SafetensorsFormat(Format):
    """safetensors, of one file or of several with an index: weights alone."""

    name: ClassVar[str] = "safetensors"
    suffixes: ClassVar[tuple[str, ...]] = (".safetensors", shards.INDEX)
    runtime: ClassVar[str | None] = "modelkeep[torch]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        try:
            read_header_length(view)
        except KeepError:
            return shards.is_index(view)
        return bytes(view[8:9]) == b"{"

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """See `Format.companions`."""
        if not shards.is_index(files[entry]):
            return ()
        folder = posixpath.dirname(entry)
        names = set(shards.read_index(files[entry]).values())
        return tuple(posixpath.join(folder, name) for name in sorted(names))


class TorchFormat(Format):
    """What PyTorch writes: TorchScript, and checkpoints of weights."""

    name: ClassVar[str] = "torch"
    suffixes: ClassVar[tuple[str, ...]] = (".pt", ".pth", ".torchscript", ".jit")
    runtime: ClassVar[str | None] = "modelkeep[torch]"

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return torch_archive.is_torch(view)
