"""What an ncnn model says about its inputs: its ``.param`` file, read strictly.

Source: "param and model file structure" of the ncnn wiki. A mark, two counts, and a line for each layer:
its type and name, how many blobs it takes and gives, their names, and numbered parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import MalformedError

MAGIC = b"7767517"
LARGEST_PARAM = 16 * 2**20
# Parameters of an input that are its width, height, depth and channels; arrays have them the other way round.
_LENGTHS = ("2", "11", "1", "0")
_NUMBER = re.compile(r"[0-9]{1,9}")


def is_param(view: memoryview) -> bool:
    """Returns whether a file describes an ncnn model."""
    return bytes(view[: len(MAGIC) + 1]).rstrip(b"\r\n") == MAGIC


def read_contract(view: memoryview) -> Contract:
    """Returns what the model accepts; shapes are free where it does not say them.

    Raises:
        MalformedError: not the description of an ncnn model.
    """
    shapes = read_inputs(view)
    return Contract(tuple(TensorContract(name, "float32", shape) for name, shape in shapes.items()))


def read_inputs(view: memoryview) -> dict[str, tuple[int, ...] | None]:
    """Returns name -> shape of every input, or None where the model does not say it.

    Raises:
        MalformedError: not the description of an ncnn model.
    """
    layers = [_names_and_parameters(words) for words in _layers(view) if words[0] == "Input"]
    inputs = {name: _shape(parameters) for names, parameters in layers for name in names}
    if not inputs or len(inputs) != sum(len(names) for names, _parameters in layers):
        raise MalformedError("ncnn model: it has no inputs, or two of one name")
    return inputs


def _layers(view: memoryview) -> list[list[str]]:
    if not is_param(view) or len(view) > LARGEST_PARAM:
        raise MalformedError("not the description of an ncnn model")
    try:
        lines = str(view, "ascii").split("\n")[1:]
    except UnicodeDecodeError:
        raise MalformedError("ncnn model: its description is not plain text") from None
    counts, *layers = [line.split() for line in lines if line.strip()] or [[]]
    if len(counts) != 2 or counts[0] != str(len(layers)) or not all(map(_is_whole, layers)):
        raise MalformedError("ncnn model: it has other layers than it says")
    return layers


def _is_whole(words: list[str]) -> bool:
    counts = words[2:4]
    if len(counts) != 2 or not all(map(_NUMBER.fullmatch, counts)):
        return False
    return len(words) >= 4 + sum(map(int, counts))


def _names_and_parameters(words: list[str]) -> tuple[list[str], Mapping[str, str]]:
    first = 4 + int(words[2])
    last = first + int(words[3])
    pairs = [word.partition("=") for word in words[last:]]
    return words[first:last], {name: value for name, _equals, value in pairs}


def _shape(parameters: Mapping[str, str]) -> tuple[int, ...] | None:
    lengths = [parameters[name] for name in _LENGTHS if parameters.get(name, "0") != "0"]
    if not all(map(_NUMBER.fullmatch, lengths)):
        raise MalformedError("ncnn model: an input has an impossible shape")
    return tuple(map(int, lengths)) or None
