"""Writing a bundle: the old file or the new one, never half of one, and nothing left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import StorageError, UsageError
from modelkeep.model import Model
from modelkeep.payload.source import MemorySource
from modelkeep.sealing import Draft, seal
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier
from support.disk import largest_file
from support.workshop import MODEL_ID, Workshop

SIZE = 5 * 2**20

# Seals and says so after the first segment, then waits there to be stopped.
SLOW_SEAL = """
import sys, time
from modelkeep.model import Model
from modelkeep.payload.source import MemorySource
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
source, device, publisher, target = sys.argv[1:]
def progress(count):
    print(count, flush=True)
    time.sleep(60)
draft = seal(source, model="acme/detector", to=[device], signer=Signer.from_pem(publisher))
draft.save(target, force=True, progress=progress)
"""

SEAL = SLOW_SEAL.replace("time.sleep(60)", "pass")


@pytest.fixture
def source(workshop: Workshop) -> Path:
    """A file of five segments."""
    path = workshop.folder / "weights.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def target(workshop: Workshop) -> Path:
    """A folder of its own with an old file in the target's place."""
    (workshop.folder / "out").mkdir()
    path = workshop.folder / "out" / "model.keep"
    path.write_bytes(b"old")
    return path


def draft(workshop: Workshop, source: Path) -> Draft:
    return seal(source, model=MODEL_ID, to=[workshop.device.with_suffix(".pub")], signer=workshop.signer)


def assert_untouched(target: Path) -> None:
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def assert_sealed(workshop: Workshop, target: Path, source: Path) -> None:
    assert workshop.read(target) == {source.name: source.read_bytes()}
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_an_existing_file_is_kept_without_force(workshop: Workshop, source: Path, target: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        draft(workshop, source).save(target)
    assert_untouched(target)


def test_an_existing_file_is_replaced_with_force(workshop: Workshop, source: Path, target: Path) -> None:
    assert draft(workshop, source).save(target, force=True) == target
    assert_sealed(workshop, target, source)


def test_every_save_takes_a_new_key(workshop: Workshop, source: Path, target: Path) -> None:
    sealing = draft(workshop, source)
    other = sealing.save(target.with_name("other.keep"))
    sealing.save(target, force=True)
    with Bundle(other) as first, Bundle(target) as second:
        manifests = first.unverified_manifest(), second.unverified_manifest()
        assert first.sizes == second.sizes
        assert first.read("payload/1")[1:40] != second.read("payload/1")[1:40]
    assert manifests[0].commitment != manifests[1].commitment
    assert manifests[0].bundle != manifests[1].bundle


def test_a_source_that_changes_meanwhile_is_refused(workshop: Workshop, source: Path, target: Path) -> None:
    def touch(_count: int) -> None:
        os.utime(source, (1, 1))

    with pytest.raises(StorageError, match="changed while"):
        draft(workshop, source).save(target, force=True, progress=touch)
    assert_untouched(target)


def test_a_source_that_shrinks_meanwhile_is_refused(workshop: Workshop, source: Path, target: Path) -> None:
    def cut(_count: int) -> None:
        os.truncate(source, 10)

    with pytest.raises(StorageError, match="changed while"):
        draft(workshop, source).save(target, force=True, progress=cut)
    assert_untouched(target)


def test_a_source_that_changed_since_it_was_read_is_refused(
    workshop: Workshop, source: Path, target: Path
) -> None:
    sealing = draft(workshop, source)
    source.write_bytes(bytes(SIZE))
    os.utime(source, (1, 1))
    with pytest.raises(StorageError, match="changed while"):
        sealing.save(target, force=True)
    assert_untouched(target)


def test_a_source_that_vanishes_is_refused(workshop: Workshop, source: Path, target: Path) -> None:
    sealing = draft(workshop, source)
    source.unlink()
    with pytest.raises(StorageError, match="no such file"):
        sealing.save(target, force=True)
    assert_untouched(target)


@pytest.mark.parametrize("room", [100, 20_000, SIZE])
def test_a_file_that_grows_too_large_is_refused(
    workshop: Workshop, source: Path, target: Path, room: int
) -> None:
    sealing = draft(workshop, source)
    with largest_file(room), pytest.raises(StorageError, match=r"model\.keep: file too large"):
        sealing.save(target, force=True)
    assert_untouched(target)


def test_a_full_disk_is_refused(workshop: Workshop, source: Path) -> None:
    small = workshop.folder / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting needs more rights")
    try:
        (small / "model.keep").write_bytes(b"old")
        with pytest.raises(StorageError, match="no space left") as caught:
            draft(workshop, source).save(small / "model.keep", force=True)
        assert_untouched(small / "model.keep")
        assert "free some space" in str(caught.value.hint)
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("place", ["none/model.keep", "weights.bin/model.keep"])
def test_a_place_that_cannot_be_written_is_refused(workshop: Workshop, source: Path, place: str) -> None:
    with pytest.raises(StorageError):
        draft(workshop, source).save(workshop.folder / place)


def start(script: str, workshop: Workshop, source: Path, target: Path) -> subprocess.Popen[str]:
    arguments = [source, workshop.device.with_suffix(".pub"), workshop.publisher_pem, target]
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_leaves_the_old_file(
    workshop: Workshop, source: Path, target: Path, stop: signal.Signals
) -> None:
    with start(SLOW_SEAL, workshop, source, target) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(stop)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == -stop
    assert target.read_bytes() == b"old"
    if stop is signal.SIGINT:
        assert_untouched(target)


def test_an_interrupt_is_passed_on(workshop: Workshop, source: Path, target: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draft(workshop, source).save(target, force=True, progress=interrupt)
    assert_untouched(target)


def test_two_processes_may_seal_to_one_place(workshop: Workshop, source: Path, target: Path) -> None:
    with (
        start(SEAL, workshop, source, target) as first,
        start(SEAL, workshop, source, target) as second,
    ):
        first.communicate()
        second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert_sealed(workshop, target, source)


def test_a_signer_that_does_not_sign_leaves_nothing(workshop: Workshop, source: Path, target: Path) -> None:
    class BrokenSigner:
        public_key = workshop.signer.public_key
        certificates = ()

        def sign(self, message: bytes) -> bytes:
            raise UsageError(f"no signature over {len(message)} bytes")

    sealing = seal(source, model=MODEL_ID, to=[workshop.device.with_suffix(".pub")], signer=BrokenSigner())
    with pytest.raises(UsageError, match="no signature over"):
        sealing.save(target, force=True)
    assert_untouched(target)


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_the_signature_fits_its_place_every_time(workshop: Workshop, curve: str) -> None:
    public = create_signing_key(workshop.folder / "key.pem", f"signing-{curve}")
    signer = Signer.from_pem(workshop.folder / "key.pem")
    verifier = Verifier(public, model=MODEL_ID)
    sizes = set()
    for _ in range(8):
        with Bundle(workshop.seal(signer=signer)) as bundle:
            bundle.verify(verifier).check_digests()
            sizes.add(bundle.sizes["model.sig"])
    assert len(sizes) == 1


def test_more_files_than_a_manifest_can_list_are_refused(workshop: Workshop) -> None:
    nothing = MemorySource(memoryview(b""))
    model = Model("files", None, {str(index): nothing for index in range(12_500)}, None)
    sealing = seal(model, model=MODEL_ID, to=[workshop.device.with_suffix(".pub")], signer=workshop.signer)
    with pytest.raises(UsageError, match="too many files"):
        sealing.save(workshop.folder / "many.keep")
    assert not list(workshop.folder.glob("*keep*"))
