"""Files: what other programs read, and what is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.errors import KeepError, NotForThisDeviceError
from modelkeep.files import Files, open_files
from support.descriptors import open_descriptors, settled_descriptors
from support.workshop import Workshop

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory need Linux")


def opened(workshop: Workshop, bundle: Path) -> Files:
    return open_files(bundle, identity=workshop.identity(), verifier=workshop.verifier())


def test_every_file_of_a_folder_has_a_path(workshop: Workshop) -> None:
    folder = workshop.folder / "net"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.param").write_bytes(b"layers")
    (folder / "sub" / "a.bin").write_bytes(b"weights")
    with opened(workshop, workshop.seal(folder)) as files:
        assert {name: Path(files[name]).read_bytes() for name in files} == {
            "a.param": b"layers",
            "sub/a.bin": b"weights",
        }
        assert files.entry is None
        descriptors = files.descriptors
    assert len(files) == 0
    assert open_descriptors().isdisjoint(descriptors)


def test_another_program_reads_them(workshop: Workshop) -> None:
    model = workshop.model()
    with opened(workshop, workshop.seal(model)) as files:
        assert files.entry == model.name
        code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
        command = [sys.executable, "-c", code, files[model.name]]
        found = subprocess.run(command, pass_fds=files.descriptors, capture_output=True, check=True)
    assert found.stdout == model.read_bytes()


def test_a_refusal_leaves_no_descriptors(workshop: Workshop) -> None:
    bundle = workshop.seal()
    before = settled_descriptors()
    foreign = workshop.identity(workshop.new_device("other"))
    with pytest.raises(NotForThisDeviceError):
        open_files(bundle, identity=foreign, verifier=workshop.verifier())
    damaged = bytearray(bundle.read_bytes())
    damaged[-1500] ^= 1
    bundle.write_bytes(damaged)
    with pytest.raises(KeepError):
        opened(workshop, bundle)
    assert open_descriptors() == before
