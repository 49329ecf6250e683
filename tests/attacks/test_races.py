"""Somebody changes the file while it is being opened: the true model comes out, or a refusal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkeep.bundle.access import grants_of
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import MalformedError, NotForThisDeviceError, SignatureError, TamperedError
from support.attacker import Forgery
from support.workshop import Workshop

CONTENT = os.urandom(3 * 2**20)
OPENINGS = 40
# Grants are not signed: one that came from the other release is merely of no use.
REFUSALS = (TamperedError, SignatureError, MalformedError, NotForThisDeviceError)


@pytest.fixture
def bundle(workshop: Workshop) -> Path:
    source = workshop.folder / "weights.bin"
    source.write_bytes(CONTENT)
    return workshop.seal(source)


@contextlib.contextmanager
def _flipping(path: Path, places: dict[int, tuple[bytes, bytes]]) -> Iterator[None]:
    """Writes the first, then the second of the bytes at each place, over and over."""
    stop = threading.Event()
    descriptor = os.open(path, os.O_WRONLY)

    def flip() -> None:
        while not stop.is_set():
            for version in (0, 1):
                for offset, versions in places.items():
                    os.pwrite(descriptor, versions[version], offset)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        os.close(descriptor)


def _outcomes(workshop: Workshop, bundle: Path) -> set[str]:
    seen = set()
    for _ in range(OPENINGS):
        try:
            assert workshop.read(bundle)["weights.bin"] == CONTENT
            seen.add("opened")
        except TamperedError:
            seen.add("refused")
    return seen


def test_payload_that_flips_while_it_is_read_never_gets_through(workshop: Workshop, bundle: Path) -> None:
    whole = bundle.read_bytes()
    places = {}
    for offset in range(len(whole) - 2 * 2**20, len(whole) - 2**20, 2**17):
        byte = whole[offset : offset + 1]
        places[offset] = (bytes([byte[0] ^ 1]), byte)
    with _flipping(bundle, places):
        assert "refused" in _outcomes(workshop, bundle)
    assert _outcomes(workshop, bundle) == {"opened"}


def test_a_bundle_that_flips_between_two_releases_is_one_of_them_or_refused(workshop: Workshop) -> None:
    old, new = [_release(workshop, number) for number in (0, 1)]
    assert len(old) == len(new)
    target = workshop.folder / "flipping.keep"
    target.write_bytes(new)
    blocks = [
        start for start in range(0, len(new), 512) if old[start : start + 512] != new[start : start + 512]
    ]
    places = {start: (old[start : start + 512], new[start : start + 512]) for start in blocks[:64]}
    with _flipping(target, places):
        for _ in range(OPENINGS):
            with contextlib.suppress(*REFUSALS):
                assert set(workshop.read(target).values()) <= {bytes(2**20), b"\1" * 2**20}


def test_another_file_under_the_name_of_an_open_bundle_changes_nothing(
    workshop: Workshop, bundle: Path
) -> None:
    other = Forgery(bundle)
    other.files["payload/1"][100] ^= 1
    with Bundle(bundle) as opened:
        verified = opened.verify(workshop.verifier())
        other.write(workshop.folder / "other").rename(bundle)
        with verified.unlock(workshop.identity(), grants_of(opened)) as unlocked:
            content = bytearray(len(CONTENT))
            unlocked.decrypt(1, memoryview(content))
    assert content == CONTENT
    with pytest.raises(TamperedError):
        workshop.read(bundle)


def _release(workshop: Workshop, number: int) -> bytes:
    folder = workshop.folder / str(number)
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes([number]) * 2**20)
    return workshop.seal(folder / "weights.bin").read_bytes()


def _swap(name: str, folder: Path, content: bytes) -> None:
    (folder / "new").write_bytes(content)
    (folder / "new").rename(folder / name)


@pytest.mark.parametrize("name", ["leaves/1", "payload/1", "payload/0"])
def test_files_swapped_in_a_folder_after_verification_are_refused(
    workshop: Workshop, bundle: Path, name: str
) -> None:
    folder = _unpacked(bundle, workshop.folder / "folder")
    changed = bytearray((folder / name).read_bytes())
    changed[7] ^= 1
    with Bundle(folder) as opened:
        verified = opened.verify(workshop.verifier())
        _swap(name, folder, bytes(changed))
        with (
            verified.unlock(workshop.identity(), grants_of(opened)) as unlocked,
            pytest.raises(TamperedError, match="not the one that was signed"),
        ):
            unlocked.inner_manifest()
            unlocked.decrypt(1, memoryview(bytearray(len(CONTENT))))


def test_a_file_cut_short_while_it_is_open_is_refused(workshop: Workshop, bundle: Path) -> None:
    with Bundle(bundle) as opened:
        verified = opened.verify(workshop.verifier())
        os.truncate(bundle, 2 * 2**20)
        with pytest.raises(TamperedError, match="shorter than its manifest says"):
            verified.check_digests()


def _unpacked(bundle: Path, folder: Path) -> Path:
    for name, content in Forgery(bundle).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
