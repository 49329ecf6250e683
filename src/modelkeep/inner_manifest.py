"""The inner manifest: what only a key holder learns. Source: spec/bundle-v1.md, "Inner manifest".

It is member 0 of the payload, encrypted like every other member, and maps member numbers to
file names, so that the names and the shape of a model are not public.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from modelkeep import canonical
from modelkeep.contract import Contract
from modelkeep.contract_json import contract_to_json, read_contract
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.golden_limits import GoldenNote, golden_to_json, read_golden
from modelkeep.record import Record

FORMAT = "modelkeep/inner"
VERSION = 1
LARGEST_INNER_MANIFEST = 16 * 2**20
MOST_FILES = 65_536
MOST_ENTRIES = 256
LONGEST_PATH = 1024

# Control characters and backslashes have no place in a portable name, and neither have halves of characters:
# in an expression, those cost every import four million instructions.
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_FORMAT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")


class ModelFile(NamedTuple):
    """One file of the model.

    Attributes:
        path: relative path with `/` between folders, unique within the bundle.
        digest: digest of the plaintext (spec: "Plaintext digests"), 32 bytes.
    """

    path: str
    digest: bytes


class Entry(NamedTuple):
    """One way to run a model.

    Attributes:
        format: what its main file is, for example ``onnx``.
        path: path of the file that a runtime is handed.
        function: which function of that file is run, where it has several; TFLite calls it a signature.
        contract: what inputs must look like, or None where the format does not say.
    """

    format: str
    path: str
    function: str | None
    contract: Contract | None

    @property
    def name(self) -> str:
        """What people call it: its path, and its function behind a ``#``."""
        return self.path if self.function is None else f"{self.path}#{self.function}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which it can be chosen."""
        return (
            (self.path, self.name) if self.function is None else (self.path, self.name, f"#{self.function}")
        )


class InnerManifest(NamedTuple):
    """The description of a model that travels encrypted.

    Attributes:
        format: what the files are, for example ``onnx``.
        entry: path of the file that a runtime is handed, or None for a plain set of files.
        files: file `i` is payload member `i + 1`.
        contract: what inputs must look like, or None where the format does not say.
        guard: the guard profile in canonical JSON (spec: guard-v1.md), or None without one.
        function: which function of the entry is run, where it has several.
        others: further entries, which whoever opens the model may choose instead.
        golden: what the model makes of known inputs, to be tried on a device; or None.
    """

    format: str
    entry: str | None
    files: tuple[ModelFile, ...]
    contract: Contract | None
    guard: bytes | None = None
    function: str | None = None
    others: tuple[Entry, ...] = ()
    golden: GoldenNote | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All ways to run the model; the first one is meant where nobody says which."""
        if self.entry is None:
            return ()
        return (Entry(self.format, self.entry, self.function, self.contract), *self.others)

    def choose(self, name: str | None) -> Entry:
        """Returns the entry of a name: its path, its path and function, or its function behind a ``#`` alone.

        Raises:
            UsageError: there is none of this name, none at all, or one that the guard does not know.
        """
        if not self.entries:
            raise UsageError(
                "this bundle holds files, but no model that a runtime could load",
                hint="open_files gives other programs paths to them",
            )
        first, *_ = self.entries
        wanted = first.name if name is None else name
        chosen = next((each for each in self.entries if wanted in each.names), None)
        if chosen is None:
            names = ", ".join(each.name for each in self.entries)
            raise UsageError(f"the model has no entry {name!r}", hint=f"entries: {names}")
        if self.guard is not None and chosen != first:
            raise UsageError(
                f"the guard of this model knows inputs of {first.name} alone",
                hint="seal the other entries in a bundle of their own",
            )
        return chosen

    def model_files(self) -> Iterator[tuple[int, str]]:
        """Yields number and path of each payload member that belongs to the model: golden vectors do not."""
        for index, file in enumerate(self.files, start=1):
            if self.golden is None or file.path != self.golden.path:
                yield index, file.path

    def files_for(self, entry: Entry) -> Iterator[tuple[int, str]]:
        """Yields number and path of each payload member that an entry may need: not of other main files."""
        others = {each.path for each in self.entries} - {entry.path}
        return ((index, path) for index, path in self.model_files() if path not in others)

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
        if self.golden is not None:
            value["golden"] = golden_to_json(self.golden)
        if self.others:
            value["others"] = [_other_to_json(entry) for entry in self.others]
        return canonical.encode(value | _run_to_json(self.function, self.contract))

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
    is_odd = not canonical.is_text(path) or _ODD.search(path)
    if bad_part or is_odd or len(path.encode()) > LONGEST_PATH:
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
    paths = {file.path for file in files}
    entry = _entry_path(record, paths) if "entry" in record else None
    others = _others(record, paths)
    golden = read_golden(record, paths - {entry} - {each.path for each in others})
    inner = InnerManifest(
        _format_name(record),
        entry,
        files,
        read_contract(record),
        _guard(record),
        _function(record),
        others,
        golden,
    )
    names = [each.name for each in inner.entries]
    needs_entry = others or golden is not None or inner.function is not None
    if len(set(names)) != len(names) or (entry is None and needs_entry):
        raise record.fault("others", "names an entry twice, or goes without a first one")
    return inner


def _entry_path(record: Record, paths: set[str]) -> str:
    path = record.text("entry")
    if path not in paths:
        raise record.fault("entry", "names no file of the model")
    return path


def _format_name(record: Record) -> str:
    model_format = record.text("model_format")
    if not _FORMAT_NAME.fullmatch(model_format):
        raise record.fault("model_format", "is not a format name")
    return model_format


def _function(record: Record) -> str | None:
    return record.text("function") if "function" in record else None


def _others(record: Record, paths: set[str]) -> tuple[Entry, ...]:
    if "others" not in record:
        return ()
    items = record.items("others", longest=MOST_ENTRIES)
    if not items:
        raise record.fault("others", "must not be empty when present")
    return tuple(_other(item, paths) for item in items)


def _other(item: object, paths: set[str]) -> Entry:
    with Record(item, "inner manifest: other entry") as record:
        return Entry(
            _format_name(record), _entry_path(record, paths), _function(record), read_contract(record)
        )


def _other_to_json(entry: Entry) -> dict[str, Any]:
    run = _run_to_json(entry.function, entry.contract)
    return {"entry": entry.path, "model_format": entry.format, **run}


def _run_to_json(function: str | None, contract: Contract | None) -> dict[str, Any]:
    value: dict[str, Any] = {} if function is None else {"function": function}
    if contract is not None:
        value["inputs"] = contract_to_json(contract)
    return value


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


def _guard(record: Record) -> bytes | None:
    """Returns the profile unread: whoever runs the model reads it, and refuses what it cannot read."""
    if "guard" not in record:
        return None
    value = record.anything("guard")
    if not isinstance(value, dict):
        raise record.fault("guard", "must be an object")
    return canonical.encode(value)
