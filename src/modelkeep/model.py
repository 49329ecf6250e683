"""A model as its publisher has it: which files, in which format, taking which inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelkeep import canonical
from modelkeep.contract import Contract
from modelkeep.errors import MalformedError, StorageError, UsageError
from modelkeep.formats.registry import PLAIN_FILES
from modelkeep.golden_limits import GoldenNote
from modelkeep.inner_manifest import MOST_FILES, Entry, InnerManifest, ModelFile, check_path
from modelkeep.mapped_files import MappedFiles
from modelkeep.memory import Pages
from modelkeep.model_entries import find_entries
from modelkeep.payload.source import FileSource, Source
from modelkeep.payload.spool import spooled
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import path_of, words_for

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
        function: which function of the entry is run, where it has several.
        others: further entries, which whoever opens the model may choose instead.
        golden: what is said of golden vectors, whose file is then among the sources; or None.
    """

    format: str
    entry: str | None
    sources: Mapping[str, Source]
    contract: Contract | None
    guard: bytes | None = None
    function: str | None = None
    others: tuple[Entry, ...] = ()
    golden: GoldenNote | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All ways to run the model; the first one is meant where nobody says which."""
        return self._described().entries

    @property
    def size(self) -> int:
        """Length of all files together, in bytes."""
        return sum(source.size for source in self.sources.values())

    def inner_manifest(self) -> InnerManifest:
        """Returns the inner manifest with the digests still to be filled in.

        Raises:
            UsageError: the model has more inputs, dimensions or longer names than can be described.
        """
        try:
            # What could be written but not read would be lost.
            return InnerManifest.from_bytes(self._described().to_bytes())
        except MalformedError as error:
            raise UsageError(f"this model cannot be described: {error}") from None

    def _described(self) -> InnerManifest:
        files = tuple(ModelFile(path, bytes(32)) for path in self.sources)
        return InnerManifest(
            self.format,
            self.entry,
            files,
            self.contract,
            self.guard,
            self.function,
            self.others,
            self.golden,
        )


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


def read_model(
    path: str | os.PathLike[str], *, entry: str | Sequence[str] | None = None, format: str | None = None
) -> Model:
    """Looks at a model file or a folder with everything that belongs to a model.

    Args:
        path: file or folder; links to files are followed, links to folders are not.
        entry: path within the folder of the file that a runtime is handed, with ``#`` and the name of a
            function where it has several; needed only when there are several candidates. Of several
            entries the first one is run where nobody says which.
        format: name of the format, where the content does not tell; ``files`` for no runtime at all.

    Raises:
        StorageError: something cannot be read.
        UsageError: the folder is empty, the entry or the format is unknown, or files are missing.
        MalformedError: the model file is damaged, or stands for one.
    """
    path = path_of(path)
    with words_for(path):
        sources = _folder_sources(path) if path.is_dir() else _file_source(path)
    with MappedFiles({name: source.path for name, source in sources.items()}) as files:
        return _modelled(sources, find_entries(files, entry, format))


def from_memory(name: str, source: Source, view: memoryview, *, format: str | None = None) -> Model:
    """Looks at a model of one file that is in memory.

    Raises:
        UsageError: `name` cannot name a file, the format is unknown, or the model has more files than this.
        MalformedError: the model is damaged, or stands for one.
    """
    path = _usable_path(name)
    return _modelled({path: source}, find_entries({path: view}, None, format))


@contextmanager
def from_stream(
    name: str,
    stream: BinaryIO,
    folder: Path,
    progress: Progress = no_progress,
    *,
    format: str | None = None,
) -> Iterator[Model]:
    """Looks at a model of one file that comes as a stream, to be sealed within the block.

    Until then the stream is kept encrypted in an unnamed file in `folder`. It is decrypted once more in
    memory, to see what it is and to read its input contract.

    Raises:
        StorageError: the stream cannot be read, or `folder` has no room.
        UsageError, MalformedError: as for `from_memory`.
    """
    path = _usable_path(name)
    with spooled(stream, folder, progress) as spool:
        with Pages.allocate(spool.size) as pages:
            spool.read_into(pages.view, 0)
            model = from_memory(path, spool, pages.view, format=format)
        yield model


def _modelled(sources: Mapping[str, Source], entries: Sequence[Entry]) -> Model:
    if not entries:
        return Model(PLAIN_FILES, None, sources, None)
    first, *others = entries
    return Model(
        first.format, first.path, sources, first.contract, function=first.function, others=tuple(others)
    )


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
            _refuse_stray_link(folder, file)
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


def _refuse_stray_link(folder: Path, file: Path) -> None:
    """Refuses a link that leads out of the folder: it could seal any file of this machine.

    Model hubs keep a snapshot as links into the folder ``blobs`` beside ``snapshots``; those are followed.
    """
    if not file.is_symlink():
        return
    inside, target = folder.resolve(), file.resolve()
    hub = inside.parent.parent / "blobs" if inside.parent.name == "snapshots" else inside
    if not target.is_relative_to(inside) and target.parent != hub:
        raise UsageError(
            f"{file}: is a link out of the folder, to {target}", hint="copy the file to where it belongs"
        )


def _usable_path(path: str) -> str:
    try:
        return check_path(path)
    except MalformedError as error:
        raise UsageError(str(error), hint="rename the file") from None
