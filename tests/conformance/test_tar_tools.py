"""Any tar unpacks a bundle into its folder form."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from support.needs import require
from support.workshop import Workshop

TOOLS = {
    "gnu": ["tar", "-xf"],
    "bsd": ["bsdtar", "-xf"],
    "busybox": ["busybox", "tar", "-xf"],
    "python": None,
}


def unpack(tool: str, bundle: Path, folder: Path) -> None:
    folder.mkdir()
    command = TOOLS[tool]
    if command is None:
        with tarfile.open(bundle) as archive:
            # Set this way, Python before 3.11.4 ignores it.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)
        return
    require(command[0])
    done = subprocess.run([*command, bundle, "-C", folder], check=True, capture_output=True)
    assert done.stderr == b""


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_unpack_the_folder_form(workshop: Workshop, tool: str) -> None:
    source = workshop.folder / "model"
    source.mkdir()
    for index, size in enumerate([0, 1, 4096, 2**20 + 7]):
        (source / f"{index}.bin").write_bytes(os.urandom(size))
    bundle = workshop.seal(source)
    folder = workshop.folder / "unpacked"
    unpack(tool, bundle, folder)
    with Bundle(bundle) as archive, Bundle(folder) as unpacked:
        assert unpacked.sizes == archive.sizes
        unpacked.verify(workshop.verifier()).check_digests()
    assert workshop.read(folder) == workshop.read(bundle)


def test_gnu_tar_makes_the_same_headers(workshop: Workshop) -> None:
    require("tar")
    bundle = workshop.seal()
    unpack("gnu", bundle, workshop.folder / "unpacked")
    with tarfile.open(bundle) as archive:
        members = archive.getmembers()
    made = workshop.folder / "made.tar"
    options = ["--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=0644"]
    names = [member.name for member in members]
    folder = str(workshop.folder / "unpacked")
    command = ["tar", *options, "-C", folder, "-cf", str(made), *names]
    subprocess.run(command, check=True, capture_output=True)
    data = bundle.read_bytes()
    with tarfile.open(made) as archive:
        for member, same in zip(members, archive.getmembers(), strict=True):
            start = member.offset_data - 512
            assert data[start : start + 512] == made.read_bytes()[same.offset : same.offset + 512]
