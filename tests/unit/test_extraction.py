"""Extraction: exact bytes into a new folder, or nothing at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from modelkeep import extraction
from modelkeep.errors import NotForThisDeviceError, StorageError, TamperedError, UsageError
from modelkeep.extraction import _reserve, extract
from modelkeep.payload.layout import SEGMENT
from support.descriptors import open_descriptors, settled_descriptors
from support.forgery import sign_again, unpack
from support.workshop import Workshop

FILES = {"empty.bin": b"", "one.bin": b"1", "sub/deep.bin": os.urandom(2**20 + 9)}


@pytest.fixture
def bundle(workshop: Workshop) -> Path:
    for path, content in FILES.items():
        target = workshop.folder / "model" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return workshop.seal(workshop.folder / "model")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def extracted(workshop: Workshop, bundle: Path, folder: Path, **options: Any) -> tuple[Path, ...]:
    settings: dict[str, Any] = {
        "identity": workshop.identity(),
        "verifier": workshop.verifier(),
        "unsafe_plaintext": True,
    }
    return extract(bundle, folder, **(settings | options)).paths


def test_writes_exactly_what_was_sealed(workshop: Workshop, bundle: Path, out: Path) -> None:
    before = settled_descriptors()
    paths = extracted(workshop, bundle, out / "plain")
    assert open_descriptors() == before
    assert {str(path.relative_to(out / "plain")): path.read_bytes() for path in paths} == FILES
    assert [path.name for path in out.iterdir()] == ["plain"]
    assert stat.S_IMODE((out / "plain").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths)


def test_asks_for_the_danger_to_be_named(workshop: Workshop, bundle: Path, out: Path) -> None:
    with pytest.raises(UsageError, match="readable for everybody"):
        extracted(workshop, bundle, out / "plain", unsafe_plaintext=False)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["ж" * 127, "n" * 255])
def test_names_as_long_as_the_file_system_allows(
    workshop: Workshop, bundle: Path, out: Path, name: str
) -> None:
    assert len(extracted(workshop, bundle, out / name)) == 3


def test_keeps_what_exists(workshop: Workshop, bundle: Path, out: Path) -> None:
    (out / "plain").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        extracted(workshop, bundle, out / "plain")
    assert list((out / "plain").iterdir()) == []
    # Nothing else was looked at before.
    with pytest.raises(UsageError, match="exists already"):
        extracted(workshop, out / "nowhere.keep", out / "plain")


def test_keeps_what_appears_meanwhile(workshop: Workshop, bundle: Path, out: Path) -> None:
    def appear(_count: int) -> None:
        (out / "plain").mkdir(exist_ok=True)
        (out / "plain/mine").touch()

    with pytest.raises(UsageError, match="exists already"):
        extracted(workshop, bundle, out / "plain", progress=appear)
    assert [path.name for path in out.rglob("*")] == ["plain", "mine"]


@pytest.mark.parametrize("place", [0, 100, 2**20 + 5, -1])
@pytest.mark.parametrize("signed", [False, True])
def test_a_failure_leaves_nothing(
    workshop: Workshop, bundle: Path, out: Path, place: int, signed: bool
) -> None:
    folder = unpack(bundle, workshop.folder / "unpacked")
    payload = bytearray((folder / "payload/3").read_bytes())
    payload[place] ^= 1
    (folder / "payload/3").write_bytes(payload)
    if signed:
        sign_again(folder, workshop.signer)
    with pytest.raises(TamperedError):
        extracted(workshop, folder, out / "plain")
    assert list(out.iterdir()) == []


def test_an_empty_file_is_checked_like_any_other(workshop: Workshop, bundle: Path, out: Path) -> None:
    folder = unpack(bundle, workshop.folder / "unpacked")
    (folder / "payload/1").write_bytes(bytes((folder / "payload/1").stat().st_size))
    with pytest.raises(TamperedError):
        extracted(workshop, folder, out / "plain")
    assert list(out.iterdir()) == []


def test_progress_adds_up_to_the_model(workshop: Workshop, bundle: Path, out: Path) -> None:
    seen: list[int] = []
    extracted(workshop, bundle, out / "plain", progress=seen.append)
    assert sum(seen) == sum(map(len, FILES.values()))


def test_an_interrupt_leaves_nothing(workshop: Workshop, bundle: Path, out: Path) -> None:
    def interrupt(count: int) -> None:
        if count > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extracted(workshop, bundle, out / "plain", progress=interrupt)
    assert list(out.iterdir()) == []


def test_a_foreign_device_extracts_nothing(workshop: Workshop, bundle: Path, out: Path) -> None:
    stranger = workshop.identity(workshop.new_device("stranger"))
    with pytest.raises(NotForThisDeviceError):
        extracted(workshop, bundle, out / "plain", identity=stranger)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("place", ["none/plain", "file/plain", "/proc/plain"])
def test_a_place_that_cannot_be_written_is_told(
    workshop: Workshop, bundle: Path, out: Path, place: str
) -> None:
    (out / "file").touch()
    with pytest.raises(StorageError):
        extracted(workshop, bundle, out / place)
    assert [path.name for path in out.iterdir()] == ["file"]


def test_room_is_kept_where_the_system_has_no_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("wb") as file:
        if sys.platform == "linux":
            with monkeypatch.context() as patch:
                patch.setattr(extraction, "write_at", None)
                _reserve(file.fileno(), 1)
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        _reserve(file.fileno(), SEGMENT + 5)
        assert (os.fstat(file.fileno()).st_size, os.fstat(file.fileno()).st_blocks > 0) == (SEGMENT + 5, True)
    assert not any((tmp_path / "file").read_bytes())
