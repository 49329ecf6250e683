"""Making a device run an older release, or one that was never finished, by exchanging and deleting files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.clock import LATEST_TIME
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.device.state import DeviceState
from modelkeep.errors import KeepError, RefusedError, RollbackError
from modelkeep.extraction import extract
from modelkeep.files import open_files
from modelkeep.granting import grant
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.public_key import to_pem
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from support.command_line import CommandLine
from support.device import Device
from support.paper import EVERYBODY, MODEL, CrashError, PaperCounter, epoch_of, name, new_state, stage
from support.paper import install as install_on_paper
from support.states import path_of, remembered
from support.swtpm import SoftwareTpm
from support.workshop import MODEL_ID, Workshop

HIGHEST_EPOCH = 2**53 - 1


def install_one(workshop: Workshop, bundle: Path, target: str = "installed.keep", **options: Any) -> Path:
    settings: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    return install(bundle, workshop.folder / target, force=True, **(settings | options)).path


def new_signer(workshop: Workshop, name: str) -> Signer:
    create_signing_key(workshop.folder / f"{name}.pem")
    return Signer.from_pem(workshop.folder / f"{name}.pem")


VERBS: dict[str, Callable[..., Any]] = {
    "run": open_session,
    "files": open_files,
    "extract": lambda path, **using: extract(path, path.parent / "out", unsafe_plaintext=True, **using),
    "install": lambda path, **using: install(path, path.parent / "new.keep", **using),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_old_bundle_in_the_place_of_an_installation(workshop: Workshop, verb: str) -> None:
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    installed = install_one(workshop, new)
    using: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    if verb != "install":
        with open_session(installed, **using) as session:
            assert session.report.epoch == 2
    shutil.copy(old, installed)
    with pytest.raises(RollbackError, match="release 1 .* is older than 2"):
        VERBS[verb](installed, **using)


def test_an_old_bundle_nobody_checks_the_signer_of(workshop: Workshop) -> None:
    old = workshop.seal(epoch=1)
    install_one(workshop, workshop.seal(epoch=2))
    with pytest.raises(RollbackError):
        workshop.open(old, verifier=UnsafeUnsigned())


def test_an_old_bundle_on_a_device_with_a_counter(
    workshop: Workshop, tpm: SoftwareTpm, tmp_path: Path
) -> None:
    assert tpm.tcti
    device = Device(workshop, tmp_path)
    old = device.install(epoch=1)
    device.install(epoch=2)
    shutil.copy(old, device.installed)
    with pytest.raises(RollbackError, match="release 1 .* is older than 2"):
        device.open()


def test_any_bundle_where_installations_are_demanded(workshop: Workshop) -> None:
    bundle = workshop.seal()
    demanding = workshop.verifier(require_installed=True)
    installed = install_one(workshop, bundle, verifier=demanding)
    workshop.open(installed, verifier=demanding).close()
    with pytest.raises(RefusedError, match="only installations are opened here"):
        workshop.open(bundle, verifier=demanding)


def test_the_first_installation_of_an_epoch_that_was_sealed_again(workshop: Workshop) -> None:
    # Every seal has epoch 1 until somebody says otherwise.
    installed = install_one(workshop, workshop.seal())
    first = installed.read_bytes()
    install_one(workshop, workshop.seal())
    installed.write_bytes(first)
    with pytest.raises(RollbackError):
        workshop.open(installed)


def test_another_release_at_the_very_place_of_the_installed_one(workshop: Workshop) -> None:
    one, other = (workshop.seal(sealed_at=1_800_000_000) for _ in range(2))
    install_one(workshop, one)
    with pytest.raises(RollbackError):
        workshop.open(other)
    with pytest.raises(RollbackError):
        install_one(workshop, other, "other.keep")


def test_an_installation_that_was_never_finished(workshop: Workshop) -> None:
    Slots.init(workshop.folder / "slots", MODEL_ID)
    staged = install_one(workshop, workshop.seal(), "slots")
    with pytest.raises(RollbackError, match="never finished"):
        workshop.open(staged)
    assert not remembered(workshop.identity()).models[MODEL_ID].marks


def test_the_highest_epoch_of_a_publisher_whom_another_verifier_believes(workshop: Workshop) -> None:
    stranger = new_signer(workshop, "stranger")
    theirs = Verifier(to_pem(stranger.public_key), model=MODEL_ID)
    mine = install_one(workshop, workshop.seal(epoch=1), "mine.keep")
    shouted = workshop.seal(signer=stranger, epoch=HIGHEST_EPOCH)
    install_one(workshop, shouted, "theirs.keep", verifier=theirs)
    workshop.open(mine).close()
    install_one(workshop, workshop.seal(epoch=2), "mine.keep")
    workshop.open(mine).close()
    workshop.open(workshop.folder / "theirs.keep", verifier=theirs).close()


def trusting(roots: list[Signer], *signers: Signer, publisher: Any, number: int, **more: Any) -> Verifier:
    """Returns what believes a trust file that `signers` signed, two of `roots`, which the device knows."""
    file = TrustFile(number, LATEST_TIME, (Publisher(publisher, ("*",)),), **more).to_bytes(*signers)
    keys = [to_pem(root.public_key) for root in roots]
    return Verifier.from_trust_file(TrustFile.from_bytes(file, keys, 2), model=MODEL_ID)


def test_a_changed_set_of_roots_does_not_bring_an_older_trust_file_back(workshop: Workshop) -> None:
    a, b, c, d = (new_signer(workshop, f"root-{name}") for name in "abcd")
    publisher = workshop.signer.public_key
    new = trusting([a, b, c], a, b, publisher=publisher, number=5)
    old = trusting([a, b, d], a, b, publisher=publisher, number=4)
    installed = install_one(workshop, workshop.seal(), verifier=new)
    with pytest.raises(RollbackError, match="trust file 4 is older than 5"):
        workshop.open(installed, verifier=old)
    workshop.open(installed, verifier=trusting([a, b, d], a, d, publisher=publisher, number=6)).close()


def test_a_release_that_was_void_and_what_counts_then(workshop: Workshop) -> None:
    roots = [new_signer(workshop, f"root-{name}") for name in "ab"]
    options: dict[str, Any] = {"publisher": workshop.signer.public_key}
    first = trusting(roots, *roots, number=1, **options)
    good = workshop.seal(epoch=7)
    install_one(workshop, good, verifier=first)
    typo = workshop.seal(epoch=700_000)
    install_one(workshop, typo, verifier=first)
    with unlock_bundle(typo, Access(workshop.identity(), first)) as unlocked:
        void = frozenset({unlocked.manifest.bundle})
    second = trusting(roots, *roots, number=2, void=void, **options)
    with pytest.raises(RefusedError, match="is revoked"):
        workshop.open(typo, verifier=second)
    with pytest.raises(RollbackError):
        workshop.open(workshop.seal(epoch=6), verifier=second)
    install_one(workshop, workshop.seal(epoch=8), "eight.keep", verifier=second)
    with pytest.raises(RollbackError):
        install_one(workshop, good, "seven.keep", verifier=second)


@pytest.mark.parametrize("way", ["link", "copy", "home", "relative"])
def test_the_same_key_by_another_way(workshop: Workshop, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = workshop.seal(epoch=1)
    install_one(workshop, workshop.seal(epoch=2))
    key = workshop.folder / "other" / "key.pem"
    key.parent.mkdir()
    match way:
        case "link":
            key.symlink_to(workshop.device)
        case "copy":
            shutil.copy(workshop.device, key)
        case "home":
            monkeypatch.setenv("HOME", str(key.parent))
            monkeypatch.setenv("XDG_STATE_HOME", str(key.parent))
            key = workshop.device
        case "relative":
            monkeypatch.chdir(workshop.folder)
            key = Path(workshop.device.name)
    with pytest.raises(RollbackError):
        workshop.open(old, identity=Identity(f"file:{key}"))


def test_a_rotated_key_remembers_what_the_old_one_did(shop: CommandLine) -> None:
    using = "-k file:pi-17.pem -t publisher.pub --any-model"
    shop.ok("modelkeep seal model.onnx --admin pi-17.pub -s publisher.pem --epoch 2 -o two.keep")
    shop.ok(f"modelkeep install two.keep {using} -o installed.keep")
    shop.ok("modelkeep keys rotate file:pi-17.pem file:new.pem > new.pub")
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r new.pub")
    refused = shop.shell("modelkeep run model.keep -k file:new.pem -t publisher.pub -i x=x.npy")
    assert (refused.code, "is older than 2" in refused.err) == (3, True)


def test_a_lost_state_without_a_counter_is_a_new_device(workshop: Workshop) -> None:
    # The documented path: installations are gone, and what bounds old releases is the trust file's floor.
    roots = [new_signer(workshop, f"root-{name}") for name in "ab"]
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    options: dict[str, Any] = {"publisher": workshop.signer.public_key}
    plain = trusting(roots, *roots, number=1, **options)
    installed = install_one(workshop, new, verifier=plain)
    path_of(workshop.identity()).unlink()
    with pytest.raises(RollbackError, match="not made with this key"):
        workshop.open(installed, verifier=plain)
    with unlock_bundle(new, Access(workshop.identity(), plain)) as unlocked:
        floors = {MODEL_ID: unlocked.manifest.order}
    bounded = trusting(roots, *roots, number=2, floors=floors, **options)
    with pytest.raises(RollbackError):
        workshop.open(old, verifier=bounded)
    workshop.open(install_one(workshop, new, verifier=bounded), verifier=bounded).close()
    path_of(workshop.identity()).unlink()
    workshop.open(old, verifier=plain).close()


def test_a_lost_state_with_a_counter_takes_a_new_key(
    workshop: Workshop, tpm: SoftwareTpm, tmp_path: Path
) -> None:
    assert tpm.tcti
    device = Device(workshop, tmp_path)
    bundle = device.install(epoch=2)
    shutil.rmtree(device.state.parent)
    for use in (device.open, lambda: device.install(epoch=3)):
        with pytest.raises(RollbackError, match="or was lost"):
            use()
    (tmp_path / "again").mkdir()
    again = Device(workshop, tmp_path / "again")
    again.install(epoch=3)
    again.open()
    with pytest.raises(KeepError):
        workshop.open(bundle, identity=again.identity())


def test_granting_an_older_release_is_no_way_to_open_it(workshop: Workshop) -> None:
    admin = workshop.new_device("admin")
    old = workshop.seal(epoch=1, admins=[admin.with_suffix(".pub")])
    new = workshop.seal(epoch=2, admins=[admin.with_suffix(".pub")])
    identity = workshop.identity(admin)
    install_one(workshop, new, "admin.keep", identity=identity)
    grant(old, identity=identity, to=[workshop.device.with_suffix(".pub")], verifier=workshop.verifier())
    with pytest.raises(RollbackError):
        workshop.open(old, identity=identity)


@pytest.mark.parametrize("counts", [False, True])
def test_taking_the_lock_away_while_two_changes_overlap(*, counts: bool) -> None:
    state = new_state(PaperCounter() if counts else None)
    install_on_paper(state, 1, epoch=1)
    other = DeviceState(state._store._key)
    stage(state, 2, epoch=2)
    with pytest.raises(RollbackError, match="meanwhile"), state.committing(MODEL, name(2), EVERYBODY):
        lock_of(state).unlink()
        install_on_paper(other, 3, epoch=3)
        other.see(SeenTrust(9, frozenset({bytes(32)}), 1))
    assert epoch_of(state) == 3
    assert [entry.number for entry in state.look().trust] == [9]


def lock_of(state: DeviceState) -> Path:
    return state.path.with_name(f"{state.path.name}.lock")


class Meddled(PaperCounter):
    """Somebody does something right before the counter counts."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Callable[[], None] = lambda: None

    def advance(self) -> int:
        meddle, self.meddle = self.meddle, lambda: None
        meddle()
        return super().advance()


def test_two_states_written_for_one_number() -> None:
    # Both believe that they hold the lock, and foresee the same number.
    counter = Meddled()
    state = new_state(counter)
    install_on_paper(state, 1, epoch=1)
    other = DeviceState(state._store._key)
    stage(state, 2, epoch=2)

    def overwrite() -> None:
        held = lock_of(state).with_suffix(".held")
        lock_of(state).rename(held)
        counter.crash_before = True
        with pytest.raises(CrashError):
            other.see(SeenTrust(9, frozenset({bytes(32)}), 1))
        counter.crash_before = False
        held.rename(lock_of(state))

    with pytest.raises(RollbackError, match="meanwhile"), state.committing(MODEL, name(2), EVERYBODY):
        counter.meddle = overwrite
    assert epoch_of(state) == 1
