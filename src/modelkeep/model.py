"""A model as its publisher has it: which files, in which format, taking which inputs."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from modelkeep import canonical
from modelkeep.contract import Contract
from modelkeep.errors import MalformedError, StorageError, UsageError
from modelkeep.formats import onnx_graph
from modelkeep.inner_manifest import MOST_FILES, InnerManifest, ModelFile, check_path
from modelkeep.memory import Pages
from modelkeep.payload.source import FileSource, Source
from modelkeep.payload.spool import spooled
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import words_for

FORMATS = {
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".ort": "ort",
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "safetensors",
    ".tflite": "tflite",
    ".xml": "openvino",
}
PLAIN_FILES = "files"
_READ_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class Model:
    """What is to be sealed.

    Attributes:
        format: for example ``onnx``, or ``files`` when no runtime is meant to load it.
        entry: path of the file that a runtime is handed, or None.
        sources: content by path, sorted by path.
        contract: what inputs must look like, or None where the format does not say.
        guard: the guard profile in canonical JSON, or None without one.
    """

    format: str
    entry: str | None
    sources: Mapping[str, Source]
    contract: Contract | None
    guard: bytes | None = None

    @property
    def size(self) -> int:
        """Length of all files together, in bytes."""
        return sum(source.size for source in self.sources.values())

    def inner_manifest(self) -> InnerManifest:
        """Returns the inner manifest with the digests still to be filled in.

        Raises:
            UsageError: the model has more inputs, dimensions or longer names than can be described.
        """
        files = tuple(ModelFile(path, bytes(32)) for path in self.sources)
        inner = InnerManifest(self.format, self.entry, files, self.contract, self.guard)
        try:
            # What could be written but not read would be lost.
            return InnerManifest.from_bytes(inner.to_bytes())
        except MalformedError as error:
            raise UsageError(f"this model cannot be described: {error}") from None


def model_digest(model: Model) -> bytes:
    """Returns what a guard profile is bound to: 32 bytes that depend on every byte of every file.

    For a model of one file it is SHA-256 of that file, whatever its name; else SHA-256 over the
    canonical JSON object that maps paths to SHA-256 in hexadecimal. Source: spec/guard-v1.md.

    Raises:
        StorageError: a file cannot be read.
    """
    digests = {path: _source_digest(source) for path, source in model.sources.items()}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256(canonical.encode({path: each.hex() for path, each in digests.items()})).digest()


def _source_digest(source: Source) -> bytes:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_READ_AT_ONCE))
    with source.open() as opened:
        for offset in range(0, source.size, _READ_AT_ONCE):
            part = buffer[: min(_READ_AT_ONCE, source.size - offset)]
            opened.read_into(part, offset)
            digest.update(part)
    return digest.digest()


def read_model(path: str | os.PathLike[str], *, entry: str | None = None) -> Model:
    """Looks at a model file or a folder with everything that belongs to a model.

    Args:
        path: file or folder; links to files are followed, links to folders are not.
        entry: path within the folder of the file that a runtime is handed; needed only when
            the folder holds several candidates.

    Raises:
        StorageError: something cannot be read.
        UsageError: the folder is empty, the entry is unknown, or files are missing.
        MalformedError: the model file is damaged.
    """
    path = Path(path)
    with words_for(path):
        sources = _folder_sources(path) if path.is_dir() else _file_source(path)
    entry = _find_entry(sources, entry)
    if entry is None:
        return Model(PLAIN_FILES, None, sources, None)
    model_format = FORMATS.get(PurePosixPath(entry).suffix.lower(), PLAIN_FILES)
    contract = _read_contract(sources, entry) if model_format == "onnx" else None
    return Model(model_format, entry, sources, contract)


def from_memory(name: str, source: Source, view: memoryview) -> Model:
    """Looks at a model of one file that is in memory.

    Raises:
        UsageError: `name` cannot name a file, or the model has more files than this.
        MalformedError: the model is damaged.
    """
    entry = _usable_path(name)
    model_format = FORMATS.get(PurePosixPath(entry).suffix.lower(), PLAIN_FILES)
    contract = _contract_in(view, entry, {entry}) if model_format == "onnx" else None
    return Model(model_format, entry, {entry: source}, contract)


@contextmanager
def from_stream(
    name: str, stream: BinaryIO, folder: Path, progress: Progress = no_progress
) -> Iterator[Model]:
    """Looks at a model of one file that comes as a stream, to be sealed within the block.

    Until then the stream is kept encrypted in an unnamed file in `folder`. An ONNX model is decrypted
    once more in memory, to read its input contract.

    Raises:
        StorageError: the stream cannot be read, or `folder` has no room.
        UsageError, MalformedError: as for `from_memory`.
    """
    entry = _usable_path(name)
    with spooled(stream, folder, progress) as spool:
        if PurePosixPath(entry).suffix.lower() != ".onnx":
            model_format = FORMATS.get(PurePosixPath(entry).suffix.lower(), PLAIN_FILES)
            yield Model(model_format, entry, {entry: spool}, None)
            return
        with Pages.allocate(spool.size) as pages:
            spool.read_into(pages.view, 0)
            model = from_memory(entry, spool, pages.view)
        yield model


def _file_source(path: Path) -> dict[str, FileSource]:
    if not path.exists():
        raise StorageError(f"{path}: no such file or folder", hint="check the path")
    return {_usable_path(path.name): FileSource(path)}


def _folder_sources(folder: Path) -> dict[str, FileSource]:
    sources = {}
    for root, folders, files in os.walk(folder, onerror=_raise):
        _refuse_links([Path(root, name) for name in folders])
        for name in files:
            file = Path(root, name)
            sources[_usable_path(file.relative_to(folder).as_posix())] = FileSource(file)
            if len(sources) > MOST_FILES:
                raise UsageError(f"{folder}: more than {MOST_FILES} files", hint="pack small files together")
    if not sources:
        raise UsageError(f"{folder}: holds no files", hint="pass the folder that holds the model")
    return dict(sorted(sources.items()))


def _raise(error: OSError) -> None:
    raise error


def _refuse_links(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_symlink():
            raise UsageError(f"{folder}: is a link to a folder", hint="copy the folder to where it belongs")


def _usable_path(path: str) -> str:
    try:
        return check_path(path)
    except MalformedError as error:
        raise UsageError(str(error), hint="rename the file") from None


def _find_entry(sources: Mapping[str, Source], wanted: str | None) -> str | None:
    if wanted is not None:
        if wanted not in sources:
            raise UsageError(f"no file {wanted!r} in the model", hint="name one of its files as the entry")
        return wanted
    candidates = [path for path in sources if PurePosixPath(path).suffix.lower() in FORMATS]
    if len(sources) == 1:
        return next(iter(sources))
    if len(candidates) > 1 and _in_one_runtime_format(candidates):
        raise UsageError(
            f"several files could be the model: {', '.join(candidates[:5])}", hint="say which with --entry"
        )
    return candidates[0] if len(candidates) == 1 else None


def _in_one_runtime_format(candidates: list[str]) -> bool:
    # Weights split over several safetensors files are one model without a single entry.
    return any(not path.endswith(".safetensors") for path in candidates)


def _read_contract(sources: Mapping[str, FileSource], entry: str) -> Contract:
    with _mapped(sources[entry].path) as view:
        return _contract_in(view, entry, sources.keys())


def _contract_in(view: memoryview, entry: str, files: Set[str]) -> Contract:
    paths = [onnx_graph.external_path(entry, location) for location in onnx_graph.external_files(view)]
    missing = [path for path in paths if path not in files]
    if missing:
        raise UsageError(
            f"{entry} keeps weights in files that are not there: {', '.join(missing[:5])}",
            hint="seal the folder that holds the model together with its weight files",
        )
    return onnx_graph.read_contract(view)


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    with words_for(path), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise MalformedError(f"{path}: is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping, memoryview(mapping) as view:
            yield view
