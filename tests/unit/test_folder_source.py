"""A bundle in its folder form is installed as the archive that it would be."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from modelkeep.container.tape import Readable
from modelkeep.updates.folder_source import FolderSource
from modelkeep.updates.installation import install
from modelkeep.updates.source import source_of
from support.workshop import Workshop


@pytest.fixture
def archive(workshop: Workshop) -> Path:
    return workshop.seal()


@pytest.fixture
def folder(archive: Path) -> Path:
    folder = archive.with_suffix(".folder")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _all(stream: Readable) -> bytes:
    found = b""
    while piece := stream.read(1000):
        found += piece
    return found


def test_it_gives_the_archives_bytes_from_any_place_on(archive: Path, folder: Path) -> None:
    source, expected = source_of(folder), archive.read_bytes()
    assert isinstance(source, FolderSource)
    for offset in (*range(0, len(expected), 509), len(expected) - 1, len(expected)):
        stream = source.open(offset)
        assert _all(stream) == expected[offset:], offset
        stream.close()


def test_it_is_installed(workshop: Workshop, folder: Path) -> None:
    installed = workshop.folder / "installed.keep"
    report = install(folder, installed, identity=workshop.identity(), verifier=workshop.verifier())
    assert (report.path, report.kept) == (installed, 0)
    assert workshop.read(installed) == workshop.read(folder)
