"""Models that come as streams of unknown length."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.errors import MalformedError, StorageError, UsageError
from modelkeep.model import from_stream
from modelkeep.payload.spool import spooled
from support.workshop import Workshop

FIRST, LATER = 1_048_520, 1_048_560
SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + LATER, FIRST + LATER + 1, 3 * 2**20]


class Trickle(io.RawIOBase):
    """Gives a few bytes at a time, as pipes do."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        return self._rest.readinto(memoryview(view)[:50_021])


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_seals_to_what_it_was(workshop: Workshop, size: int) -> None:
    data = os.urandom(size)
    with from_stream("weights.bin", Trickle(data), workshop.folder) as model:  # type: ignore[arg-type]
        bundle = workshop.seal(model)
    assert workshop.read(bundle) == {"weights.bin": data}


def test_progress_counts_what_was_read(tmp_path: Path) -> None:
    seen: list[int] = []
    with spooled(io.BytesIO(bytes(FIRST + 7)), tmp_path, seen.append):
        assert seen == [FIRST, 7, 0]


def test_any_part_can_be_read(tmp_path: Path) -> None:
    data = os.urandom(2 * 2**20 + 17)
    with spooled(io.BytesIO(data), tmp_path) as spool:
        for start, end in [
            (0, 1),
            (FIRST - 1, FIRST + 1),
            (5, len(data)),
            (len(data) - 1, len(data)),
            (9, 9),
        ]:
            part = bytearray(end - start)
            spool.read_into(memoryview(part), start)
            assert part == data[start:end]


def test_an_onnx_stream_has_its_contract(workshop: Workshop) -> None:
    data = workshop.model().read_bytes()
    with from_stream("net.onnx", io.BytesIO(data), workshop.folder) as model:
        assert model.contract is not None
        assert [tensor.name for tensor in model.contract.inputs] == ["x"]
        bundle = workshop.seal(model)
    workshop.open(bundle).close()


def test_the_spool_leaves_nothing_and_holds_no_plaintext(tmp_path: Path) -> None:
    marker = b"plaintext that must not reach the disk" * 1000
    with spooled(io.BytesIO(marker), tmp_path) as spool:
        assert list(tmp_path.iterdir()) == []
        on_disk = os.pread(spool._extent.descriptor, 2 * len(marker), 0)
        assert len(on_disk) > len(marker)
        assert marker[:38] not in on_disk


def test_a_damaged_onnx_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError), from_stream("net.onnx", io.BytesIO(b"\xff" * 9), tmp_path):
        pass


def test_a_stream_that_does_not_wait_is_refused(tmp_path: Path) -> None:
    class Dry(io.RawIOBase):
        def readinto(self, _view: object) -> None:
            return None

    with pytest.raises(StorageError, match="nothing to read"), spooled(Dry(), tmp_path):  # type: ignore[arg-type]
        pass


def test_a_bad_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError), from_stream("../x", io.BytesIO(b""), tmp_path):
        pass


def test_the_command_line_seals_standard_input(workshop: Workshop) -> None:
    data = os.urandom(70_000)
    arguments = "seal - --name weights.bin --model-id acme/detector -r pi-17.pub -s publisher.pem"
    command = [sys.executable, "-m", "modelkeep", *arguments.split()]
    subprocess.run(command, input=data, cwd=workshop.folder, check=True, capture_output=True)
    assert workshop.read(workshop.folder / "weights.bin.keep") == {"weights.bin": data}
    refused = subprocess.run(command, input=data, cwd=workshop.folder, check=False, capture_output=True)
    assert refused.returncode == 2
    assert b"exists already" in refused.stderr
