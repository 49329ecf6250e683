"""Models that are spread over several files, and the names of the files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from modelkeep import canonical
from modelkeep.errors import MalformedError, UsageError

INDEX = ".safetensors.index.json"
LARGEST_INDEX = 16 * 2**20
_MAP = "weight_map"
_MOST_PARTS = 4096
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)


def is_index(view: memoryview) -> bool:
    """Returns whether a file is an index of safetensors files."""
    try:
        return bool(read_index(view))
    except MalformedError:
        return False


def read_index(view: memoryview) -> Mapping[str, str]:
    """Returns tensor name -> name of the file beside the index that holds it.

    Raises:
        MalformedError: not an index, or one that leaves its folder.
    """
    if len(view) > LARGEST_INDEX or bytes(view[:1]) != b"{":
        raise MalformedError("not an index of safetensors files")
    value = canonical.decode_lenient(bytes(view), "safetensors index", floats=True)
    files = value.get(_MAP) if isinstance(value, dict) else None
    if not isinstance(files, dict) or not files:
        raise MalformedError("safetensors index: it has no weight_map")
    if not all(isinstance(name, str) and posixpath.basename(name) == name != "" for name in files.values()):
        raise MalformedError("safetensors index: a file that is not beside the index")
    return files


def is_gguf_part(entry: str, path: str) -> bool:
    """Returns whether `path` is named as a file of the GGUF model that begins with `entry`."""
    ours, theirs = _PART.fullmatch(entry), _PART.fullmatch(path)
    return path == entry or bool(ours and theirs and ours.group(1, 3) == theirs.group(1, 3))


def gguf_parts(entry: str, count: int) -> tuple[str, ...]:
    """Returns the paths of all `count` files of the GGUF model that begins with `entry`.

    Raises:
        UsageError: `entry` is not named as the first of so many.
    """
    if count == 1:
        return (entry,)
    found = _PART.fullmatch(entry)
    if found is None or (int(found[2]), int(found[3])) != (1, count) or count > _MOST_PARTS:
        raise UsageError(
            f"{entry}: holds a part of a model of {count} files, but is not named as the first of them",
            hint=f"name them as llama.cpp does: model-00001-of-{count:05}.gguf and so on",
        )
    return tuple(f"{found[1]}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))
