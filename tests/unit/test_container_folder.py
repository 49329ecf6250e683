"""The folder form: the same files, no links, no extras."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.container import names
from modelkeep.errors import MalformedError, StorageError, TamperedError, UsageError
from support.descriptors import open_descriptors, settled_descriptors
from support.forgery import unpack
from support.workshop import Workshop


@pytest.fixture
def folder(workshop: Workshop) -> Path:
    """A bundle in folder form, with a dot in its name and a link on the way to it."""
    unpack(workshop.seal(), workshop.folder / "unpacked.keep")
    (workshop.folder / "link").symlink_to("unpacked.keep")
    return workshop.folder / "link"


def test_opens_like_the_archive(workshop: Workshop) -> None:
    bundle = workshop.seal()
    folder = unpack(bundle, workshop.folder / "unpacked")
    with Bundle(bundle) as archive, Bundle(folder) as unpacked:
        assert list(archive.sizes.items()) == list(unpacked.sizes.items())
        unpacked.verify(workshop.verifier()).check_digests()
    assert workshop.read(folder) == workshop.read(bundle)


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_what_is_read_is_closed_again(workshop: Workshop, folder: Path, form: str) -> None:
    path = folder if form == "folder" else workshop.seal()
    before = settled_descriptors()
    with Bundle(path) as bundle:
        opened = open_descriptors()
        bundle.read(names.MANIFEST)
        bundle.read(names.leaves(0))
        assert open_descriptors() == opened
    assert open_descriptors() == before


def replaced_by_a_link(folder: Path) -> None:
    (folder / "payload/1").rename(folder.parent / "elsewhere")
    (folder / "payload/1").symlink_to(folder.parent.resolve() / "elsewhere")


def folder_replaced_by_a_link(folder: Path) -> None:
    shutil.copytree(folder / "payload", folder.parent / "elsewhere")
    shutil.rmtree(folder / "payload")
    (folder / "payload").symlink_to(folder.parent.resolve() / "elsewhere")


def replaced_by_a_pipe(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def replaced_by_a_folder(folder: Path) -> None:
    (folder / "payload/1").unlink()
    (folder / "payload/1").mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "link": replaced_by_a_link,
    "link to a folder": folder_replaced_by_a_link,
    "pipe": replaced_by_a_pipe,
    "folder": replaced_by_a_folder,
    "extra file": lambda folder: (folder / "README.md").touch(),
    "extra file in a folder": lambda folder: (folder / "payload/x").touch(),
    "extra number": lambda folder: (folder / "grants/2").touch(),
    "extra folder": lambda folder: (folder / "empty").mkdir(),
    "empty folder": lambda folder: (folder / "signatures").mkdir(),
    "odd name": lambda folder: (Path(os.fsdecode(bytes(folder.resolve()) + b"/\xff\x1b"))).touch(),
    "odd name of a folder": lambda folder: (folder / "\x1b[2J").mkdir(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "no leaves": lambda folder: shutil.rmtree(folder / "leaves"),
    "missing payload": lambda folder: (folder / "payload/1").unlink(),
    "large manifest": lambda folder: os.truncate(folder / "manifest.json", 2**20 + 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_form_is_refused(folder: Path, change: str) -> None:
    CHANGES[change](folder)
    with pytest.raises(MalformedError, match=r"bundle: [ -~]*$"):
        Bundle(folder)


def test_folders_below_folders_are_refused_without_looking_into_them(folder: Path) -> None:
    (folder / "payload" / "below").mkdir()
    with pytest.raises(MalformedError, match=r"'payload/below' is neither a file nor a folder"):
        Bundle(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    before = settled_descriptors()
    with pytest.raises(MalformedError, match="empty"):
        Bundle(tmp_path)
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [0, 100])
def test_a_file_of_another_size_is_refused(workshop: Workshop, folder: Path, size: int) -> None:
    os.truncate(folder / "payload/1", size)
    with Bundle(folder) as bundle, pytest.raises(TamperedError, match="not those that its manifest lists"):
        bundle.verify(workshop.verifier())


def test_files_exchanged_while_it_is_open_are_refused(workshop: Workshop, folder: Path) -> None:
    with Bundle(folder) as bundle:
        verified = bundle.verify(workshop.verifier())
        content = (folder / "payload/1").read_bytes()
        (folder / "payload/1").write_bytes(content[:-1])
        with pytest.raises(TamperedError, match="shorter than its manifest says"):
            verified.check_digests()
        (folder / "payload/1").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(TamperedError, match="not the one that was signed"):
            verified.check_digests()
        (folder / "leaves/0").write_bytes(b"x" * 32)
        with pytest.raises(TamperedError, match="leaves/0"):
            verified.check_digests()
        (folder / "leaves/0").unlink()
        (folder / "leaves/0").symlink_to("1")
        with pytest.raises(StorageError):
            verified.check_digests()
        (folder / "leaves/0").unlink()
        with pytest.raises(StorageError, match="leaves/0: no such file"):
            verified.check_digests()


def test_a_closed_folder_reads_nothing_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    bundle = Bundle(folder)
    bundle.close()
    bundle.close()
    with pytest.raises(UsageError, match="closed"):
        bundle.read("manifest.json")
