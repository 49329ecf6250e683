"""What an OpenVINO IR says about its inputs: the layers of type Parameter.

Source: "OpenVINO IR format" of the OpenVINO documentation, and what `openvino.serialize` writes. The XML is
read as a stream by expat; documents that declare a type or entities are refused, so nothing expands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from xml.parsers import expat

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import Contract, Dimension, TensorContract
from modelkeep.errors import MalformedError, UsageError

_LAYER = ("net", "layers", "layer")
_DATA = (*_LAYER, "data")
_PORT = (*_LAYER, "output", "port")
_DEEPEST = 256
_ANY_RANK = "..."
_FREE = re.compile(r"\?|-1|\d*\.\.\d*")
_SEPARATOR = re.compile(r"(?<!\\),")

# OpenVINO's name of a type -> ours.
ELEMENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **{"f16": "float16", "f32": "float32", "f64": "float64", "bf16": "bfloat16"},
        **{"f8e4m3": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "boolean": "bool", "string": "string"},
        **{f"i{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
        **{f"u{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    }
)


def read_contract(view: memoryview) -> Contract:
    """Returns what the model in `view` accepts.

    Of several names of an input, the first in the order of characters counts.

    Raises:
        MalformedError: not an OpenVINO IR, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(bytes(view), True)
    except expat.ExpatError as error:
        raise MalformedError(f"OpenVINO IR: not XML: {error}") from None
    if not reader.is_net:
        raise MalformedError("not an OpenVINO IR: its root is not a net")
    inputs = tuple(_tensor(facts) for facts in reader.parameters)
    if len({tensor.name for tensor in inputs}) != len(inputs):
        raise MalformedError("OpenVINO IR: two inputs of one name")
    return Contract(inputs)


class _Reader:
    """Collects the attributes of parameters while expat walks the document."""

    def __init__(self) -> None:
        self.parameters: list[dict[str, str]] = []
        self.is_net = False
        self._path: list[str] = []
        self._current: dict[str, str] | None = None
        self.parser: Any = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = _refuse_doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        path = tuple(self._path)
        if len(path) > _DEEPEST:
            raise MalformedError("OpenVINO IR: nested too deep")
        self.is_net = self.is_net or path == ("net",)
        if path == _LAYER and attributes.get("type") == "Parameter":
            self._current = {"layer": attributes.get("name", "")}
            self.parameters.append(self._current)
        elif self._current is not None and path in (_DATA, _PORT):
            self._take(attributes)

    def _take(self, attributes: dict[str, str]) -> None:
        assert self._current is not None
        for key in ("element_type", "shape", "names"):
            if key in attributes and key in self._current:
                raise MalformedError(f"OpenVINO IR: a parameter gives {key} more than once")
            if key in attributes:
                self._current[key] = attributes[key]

    def _end(self, _name: str) -> None:
        if tuple(self._path) == _LAYER:
            self._current = None
        self._path.pop()


def _refuse_doctype(*_details: object) -> None:
    raise MalformedError("OpenVINO IR: declares a document type, which no exporter does")


def _tensor(facts: Mapping[str, str]) -> TensorContract:
    names = [name.replace("\\,", ",") for name in _SEPARATOR.split(facts.get("names", "")) if name]
    name = min(names, default=facts["layer"])
    if not name or "shape" not in facts or "element_type" not in facts:
        raise MalformedError("OpenVINO IR: an input lacks its name, shape or element type")
    element = facts["element_type"]
    if element not in ELEMENT_TYPES:
        raise UsageError(
            f"input {name!r} has elements of type {element}, which cannot be checked",
            hint="export the model with inputs of another type, or seal it with --format files",
        )
    return TensorContract(name, ELEMENT_TYPES[element], _shape(name, facts["shape"])).with_room()


def _shape(name: str, text: str) -> tuple[Dimension, ...] | None:
    if text == _ANY_RANK:
        return None
    return tuple(_dimension(name, each.strip()) for each in text.split(",")) if text.strip() else ()


def _dimension(name: str, text: str) -> Dimension:
    if _FREE.fullmatch(text):
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= LARGEST_INTEGER):
        raise MalformedError(f"OpenVINO IR: input {name!r} has an impossible dimension")
    return int(text)
