"""Somebody who may write the folder that root's command works in, or hold locks on what he may read."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modelkeep as mk
from modelkeep import partial, storage
from modelkeep.grants import sidecar
from modelkeep.kept_file import InUseError, KeptFile
from modelkeep.payload import stream
from support.states import path_of
from support.workshop import Workshop

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{partial._host()}456789ab.part")


def test_a_folder_that_somebody_moved_under_the_name_of_a_partial_one_stays(tmp_path: Path) -> None:
    # Whoever may write a folder may rename what is in it, whoever owns that.
    dear = part_of(tmp_path / "installed.keep")
    (dear / "below").mkdir(parents=True)
    (dear / "below" / "records").write_text("dear")
    storage.write_file(tmp_path / "installed.keep", b"model")
    assert (dear / "below" / "records").read_text() == "dear"


@needs_root
def test_what_another_user_planted_is_not_removed_by_root(tmp_path: Path) -> None:
    planted = part_of(tmp_path / "installed.keep")
    planted.mkdir()
    (planted / partial._MARK).touch()
    (planted / "file").touch()
    os.chown(planted, NOBODY, NOBODY)
    storage.write_file(tmp_path / "installed.keep", b"model")
    assert (planted / "file").exists()


def test_nothing_is_made_behind_a_link_whose_name_was_foreseen(tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "installed.keep", tmp_path / "elsewhere"
    kept = KeptFile(target, "01234567")
    name = kept.path
    kept.discard()
    name.symlink_to(elsewhere)
    with pytest.raises(InUseError):
        KeptFile(target, "01234567")
    assert not elsewhere.exists()


def test_a_link_in_a_folder_that_is_removed_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "dear").mkdir()
    (tmp_path / "dear" / "file").touch()
    left = part_of(tmp_path / "installed.keep")
    left.mkdir()
    (left / partial._MARK).touch()
    (left / "below").symlink_to(tmp_path / "dear")
    storage.write_file(tmp_path / "installed.keep", b"model")
    assert not left.exists()
    assert (tmp_path / "dear" / "file").exists()


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Runs something whenever a member is about to be decrypted."""

    def arrange(attack: Callable[[], None]) -> None:
        decrypt = stream.decrypt

        def attacked(*arguments: Any, **options: Any) -> Any:
            attack()
            return decrypt(*arguments, **options)

        monkeypatch.setattr(stream, "decrypt", attacked)

    return arrange


def test_a_folder_exchanged_during_extraction_gets_no_plaintext(
    workshop: Workshop, during: Callable[[Callable[[], None]], None]
) -> None:
    target, mine = workshop.folder / "extracted", workshop.folder / "mine"

    def exchange() -> None:
        for path in workshop.folder.glob(".extracted.*.part"):
            path.rename(workshop.folder / "away")
            shutil.copytree(workshop.folder / "away", mine)
            path.symlink_to(mine)

    bundle = workshop.seal()
    during(exchange)
    with pytest.raises(mk.KeepError):
        mk.extract(
            bundle,
            target,
            identity=workshop.identity(),
            verifier=workshop.verifier(),
            unsafe_plaintext=True,
        )
    assert any(mine.iterdir())
    assert not any(any(path.read_bytes()) for path in mine.rglob("*.onnx"))
    assert list((workshop.folder / "away").iterdir()) == []


def test_a_file_exchanged_before_it_takes_its_name_is_noticed(tmp_path: Path) -> None:
    with storage.Replacement(tmp_path / "installed.keep") as new:
        os.write(new.descriptor, b"genuine")
        (part,) = tmp_path.glob(".installed.keep.*.part")
        part.unlink()
        part.write_bytes(b"planted")
        with pytest.raises(mk.StorageError, match="somebody else changes this folder"):
            new.commit()


@pytest.mark.parametrize("file", ["publisher.pub", "trust.json", "contract.json", "model.keep.grants"])
def test_a_pipe_in_the_place_of_a_file_is_refused_without_waiting(workshop: Workshop, file: str) -> None:
    bundle = workshop.seal(name="model.keep")
    path = workshop.folder / file
    os.mkfifo(path)
    attempts: dict[str, Callable[[], object]] = {
        "publisher.pub": lambda: mk.Verifier(path, model="acme/detector"),
        "trust.json": lambda: storage.read_small(path, 100, "a trust file"),
        "contract.json": lambda: storage.read_small(path, 100, "a contract"),
        "model.keep.grants": lambda: workshop.open(bundle, grant_file=path),
    }
    with pytest.raises(mk.StorageError, match="not a regular file"):
        attempts[file]()


def test_whoever_holds_a_lock_that_anybody_may_take_does_not_hold_a_command_for_ever(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")], name="model.keep")
    grants = bundle.with_name("model.keep.grants")
    grants.touch()
    monkeypatch.setattr(storage, "LONGEST_WAIT", 0.05)
    with grants.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        with pytest.raises(mk.UnavailableError, match="another process has held its lock") as refusal:
            mk.grant(
                bundle,
                identity=workshop.identity(),
                verifier=workshop.verifier(),
                to=[workshop.new_device("pi-18").with_suffix(".pub")],
            )
    assert "fuser" in (refusal.value.hint or "")
    assert list(sidecar.read(grants)) == []


def installed(workshop: Workshop, epoch: int = 1) -> Path:
    return mk.install(
        workshop.seal(epoch=epoch),
        workshop.folder / "installed.keep",
        identity=workshop.identity(),
        verifier=workshop.verifier(),
        force=True,
    ).path


def test_whoever_holds_the_lock_of_a_state_does_not_hold_an_update_for_ever(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = installed(workshop)
    monkeypatch.setattr(storage, "LONGEST_WAIT", 0.05)
    lock = path_of(workshop.identity()).with_suffix(".state.lock")
    with lock.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(mk.UnavailableError, match="another process has held its lock"):
            installed(workshop, epoch=2)
    workshop.open(path).close()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_states_are_not_kept_where_others_may_take_them_away(workshop: Workshop, mode: int) -> None:
    # With a state would go what the device knows of older releases.
    path, folder = installed(workshop), path_of(workshop.identity()).parent
    folder.chmod(mode)
    for attempt in (lambda: workshop.open(path), lambda: installed(workshop, epoch=2)):
        with pytest.raises(mk.StorageError, match="others may take states away"):
            attempt()
    folder.chmod(0o755)
    workshop.open(path).close()


@needs_root
def test_states_are_not_kept_in_a_folder_of_another_user(workshop: Workshop) -> None:
    path, folder = installed(workshop), path_of(workshop.identity()).parent
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(mk.StorageError, match="belongs to another user"):
        workshop.open(path)


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "../blobs/../secret"])
def test_a_link_out_of_a_models_folder_is_not_sealed(workshop: Workshop, target: str) -> None:
    (workshop.folder / "secret").write_text("of this machine")
    folder = workshop.folder / "model"
    folder.mkdir()
    shutil.copy(workshop.model(), folder / "net.onnx")
    (folder / "vocabulary.txt").symlink_to(target)
    with pytest.raises(mk.UsageError, match="is a link out of the folder"):
        workshop.seal(folder)
    (folder / "vocabulary.txt").unlink()
    (folder / "vocabulary.txt").symlink_to("net.onnx")
    assert workshop.seal(folder)


def test_slots_are_not_made_in_a_folder_that_others_may_use(tmp_path: Path) -> None:
    for mode in (0o755, 0o770, 0o701):
        tmp_path.chmod(mode)
        with pytest.raises(mk.UsageError, match="others may use"):
            mk.Slots.init(tmp_path, "acme/detector")
    tmp_path.chmod(0o700)
    assert mk.Slots.init(tmp_path, "acme/detector").path == tmp_path
