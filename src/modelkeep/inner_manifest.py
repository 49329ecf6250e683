"""The inner manifest: what only a key holder learns. Source: spec/bundle-v1.md, "Inner manifest".

It is member 0 of the payload, encrypted like every other member, and maps member numbers to
file names, so that the names and the shape of a model are not public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.contract import DTYPES, Contract, TensorContract
from modelkeep.errors import MalformedError, UnsupportedVersionError
from modelkeep.record import Record

FORMAT = "modelkeep/inner"
VERSION = 1
LARGEST_INNER_MANIFEST = 16 * 2**20
MOST_FILES = 65_536
MOST_INPUTS = 1024
MOST_DIMENSIONS = 64
LONGEST_PATH = 1024

# Control characters, backslashes and halves of characters have no place in a portable name.
_ODD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_FORMAT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model.

    Attributes:
        path: relative path with `/` between folders, unique within the bundle.
        digest: digest of the plaintext (spec: "Plaintext digests"), 32 bytes.
    """

    path: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class InnerManifest:
    """The description of a model that travels encrypted.

    Attributes:
        format: what the files are, for example ``onnx``.
        entry: path of the file that a runtime is handed, or None for a plain set of files.
        files: file `i` is payload member `i + 1`.
        contract: what inputs must look like, or None where the format does not say.
        guard: the guard profile in canonical JSON (spec: guard-v1.md), or None without one.
    """

    format: str
    entry: str | None
    files: tuple[ModelFile, ...]
    contract: Contract | None
    guard: bytes | None = None

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding."""
        value: dict[str, Any] = {
            "files": [{"digest": file.digest.hex(), "path": file.path} for file in self.files],
            "format": FORMAT,
            "model_format": self.format,
            "version": VERSION,
        }
        if self.entry is not None:
            value["entry"] = self.entry
        if self.guard is not None:
            value["guard"] = canonical.decode(self.guard, "guard profile")
        if self.contract is not None:
            value["inputs"] = [_tensor_to_json(tensor) for tensor in self.contract.inputs]
        return canonical.encode(value)

    @staticmethod
    def from_bytes(data: bytes) -> InnerManifest:
        """Parses an inner manifest. `data` must have been decrypted from a verified bundle.

        Raises:
            MalformedError: not an inner manifest, or not in canonical form.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        if len(data) > LARGEST_INNER_MANIFEST:
            raise MalformedError("inner manifest: larger than 16 MiB")
        with Record(canonical.decode(data, "inner manifest"), "inner manifest") as record:
            _check_version(record)
            return _from_record(record)


def check_path(path: str) -> str:
    """Returns `path` if it may name a file of a model.

    Raises:
        MalformedError: absolute, empty, climbing out of the model, or with odd characters.
    """
    parts = path.split("/")
    bad_part = any(part in ("", ".", "..") for part in parts)
    if bad_part or _ODD.search(path) or len(path.encode()) > LONGEST_PATH:
        raise MalformedError(f"not a file name for a model: {path!r}")
    return path


def _check_version(record: Record) -> None:
    if record.text("format") != FORMAT:
        raise MalformedError("inner manifest: wrong format")
    version = record.integer("version")
    if version != VERSION:
        raise UnsupportedVersionError(
            f"inner manifest: version {version} is not supported", hint="update modelkeep"
        )


def _from_record(record: Record) -> InnerManifest:
    files = tuple(_file(item) for item in record.items("files", longest=MOST_FILES))
    _check_paths(record, [file.path for file in files])
    entry = record.text("entry") if "entry" in record else None
    if entry is not None and entry not in {file.path for file in files}:
        raise record.fault("entry", "names no file of the model")
    model_format = record.text("model_format")
    if not _FORMAT_NAME.fullmatch(model_format):
        raise record.fault("model_format", "is not a format name")
    return InnerManifest(model_format, entry, files, _contract(record), _guard(record))


def _file(item: object) -> ModelFile:
    with Record(item, "inner manifest: file") as record:
        return ModelFile(check_path(record.text("path")), record.hexadecimal("digest", 32))


def _check_paths(record: Record, paths: list[str]) -> None:
    files = set(paths)
    if len(files) != len(paths):
        raise record.fault("files", "names a file twice")
    # Asked one by one: the names of all folders together could take gigabytes.
    if any(path[:end] in files for path in paths for end in range(len(path)) if path[end] == "/"):
        raise record.fault("files", "uses one name for a file and a folder")


def _contract(record: Record) -> Contract | None:
    if "inputs" not in record:
        return None
    inputs = tuple(_tensor(item) for item in record.items("inputs", longest=MOST_INPUTS))
    if len({tensor.name for tensor in inputs}) != len(inputs):
        raise record.fault("inputs", "names an input twice")
    return Contract(inputs)


def _guard(record: Record) -> bytes | None:
    """Returns the profile unread: whoever runs the model reads it, and refuses what it cannot read."""
    if "guard" not in record:
        return None
    value = record.anything("guard")
    if not isinstance(value, dict):
        raise record.fault("guard", "must be an object")
    return canonical.encode(value)


def _tensor_to_json(tensor: TensorContract) -> dict[str, Any]:
    value: dict[str, Any] = {
        "dtype": tensor.dtype,
        "finite": tensor.finite,
        "maximum_bytes": tensor.maximum_bytes,
        "name": tensor.name,
        "shape": None if tensor.shape is None else list(tensor.shape),
    }
    if tensor.minimum is not None:
        value["minimum"] = tensor.minimum.hex()
    if tensor.maximum is not None:
        value["maximum"] = tensor.maximum.hex()
    return value


def _tensor(item: object) -> TensorContract:
    with Record(item, "inner manifest: input") as record:
        return TensorContract(
            name=record.text("name"),
            dtype=record.choice("dtype", {name: name for name in DTYPES}),
            shape=_shape(record),
            finite=record.boolean("finite"),
            minimum=_bound(record, "minimum"),
            maximum=_bound(record, "maximum"),
            maximum_bytes=record.integer("maximum_bytes"),
        )


def _shape(record: Record) -> tuple[int | None, ...] | None:
    value = record.anything("shape")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        raise record.fault("shape", "must be null or an array")
    if not all(_is_dimension(dimension) for dimension in value):
        raise record.fault("shape", "must hold positive integers and nulls")
    return tuple(value)


def _is_dimension(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _bound(record: Record, name: str) -> float | None:
    if name not in record:
        return None
    text = record.text(name, longest=64)
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        raise record.fault(name, "is not a hexadecimal float") from None
    # Equality of the texts leaves one spelling per value and refuses NaN and infinities.
    if value.hex() != text or value - value != 0:
        raise record.fault(name, "is not a finite float in canonical hexadecimal form")
    return value
