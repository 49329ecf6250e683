"""Modes where files are made, not only where callers see them; and secrets that are wiped, not collected.

Memory that nobody closes is wiped when it is collected, and tests that let go of it would not see the
difference. Here every page and every buffer is held until the end.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import modelkeep as mk
from modelkeep import keywrap, storage
from modelkeep.device import state_lock
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.kept_file import KeptFile
from modelkeep.keys import software_key
from modelkeep.memory import Pages, wiping
from modelkeep.memory.pages import Memory
from modelkeep.partial import Partial
from support.states import path_of
from support.workshop import MODEL_ID, Workshop


@pytest.fixture(autouse=True)
def _everybody_may_do_everything() -> Iterator[None]:
    """Lets nothing but the code itself keep others out."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_files_and_folders_are_private_from_their_first_moment(tmp_path: Path) -> None:
    folder, file = Partial(tmp_path / "folder"), Partial(tmp_path / "file", mode=0o600)
    kept = KeptFile(tmp_path / "kept", "01234567")
    try:
        assert [mode(each.path) for each in (folder, file, kept)] == [0o700, 0o600, 0o600]
        assert mode(folder.path / ".modelkeep-partial") == 0o600
    finally:
        for each in (folder, file, kept):
            each.discard()
    with state_lock.locked(tmp_path / "states" / "one.lock"):
        assert mode(tmp_path / "states" / "one.lock") == 0o600
    assert mode(tmp_path / "states") == 0o700
    storage.make_folder(tmp_path / "above" / "below")
    assert mode(tmp_path / "above" / "below") == 0o700


def test_files_have_the_mode_that_was_asked_for_while_they_are_written(tmp_path: Path) -> None:
    for wanted in (0o600, 0o644):
        with storage.Replacement(tmp_path / f"{wanted}", mode=wanted) as new:
            assert stat.S_IMODE(os.fstat(new.descriptor).st_mode) == wanted
            new.commit()
        assert mode(tmp_path / f"{wanted}") == wanted
    with storage.Replacement(tmp_path / "usual") as new:
        assert stat.S_IMODE(os.fstat(new.descriptor).st_mode) == 0o644


def test_what_a_device_keeps_is_its_own(workshop: Workshop) -> None:
    access = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    installed = workshop.folder / "installed.keep"
    mk.install(workshop.seal(), installed, **access)  # type: ignore[arg-type]
    state = path_of(workshop.identity())
    assert [mode(path) for path in (installed, state, state.parent)] == [0o600, 0o600, 0o700]
    assert {mode(path) for path in state.parent.iterdir()} == {0o600}
    mk.extract(
        installed,
        workshop.folder / "clear",
        unsafe_plaintext=True,
        **access,  # type: ignore[arg-type]
    )
    assert mode(workshop.folder / "clear") == 0o700
    assert {mode(path) for path in (workshop.folder / "clear").iterdir()} == {0o600}
    assert mode(workshop.device) == 0o600


def test_folders_within_what_is_extracted_are_private(workshop: Workshop) -> None:
    model = workshop.folder / "model"
    (model / "below" / "deep").mkdir(parents=True)
    (model / "below" / "deep" / "file").write_bytes(b"x")
    access = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    target = workshop.folder / "clear"
    bundle = workshop.seal(model, format="files")
    mk.extract(bundle, target, unsafe_plaintext=True, **access)  # type: ignore[arg-type]
    assert [mode(path) for path in (target, *target.rglob("*"))] == [0o700, 0o700, 0o700, 0o600]


class Held:
    """Everything secret that was made while it watched."""

    def __init__(self) -> None:
        self.memory: list[Memory] = []
        self.buffers: list[bytearray] = []

    def kept(self, returning: Callable[..., bytearray]) -> Callable[..., bytearray]:
        """Returns what does the same, and keeps what it returns, which its callers are to wipe."""

        def noted(*arguments: Any, **options: Any) -> bytearray:
            self.buffers.append(returning(*arguments, **options))
            return self.buffers[-1]

        return noted

    def check(self) -> None:
        assert self.memory or self.buffers
        assert [each for each in self.memory if not each.closed] == []
        assert [each for each in self.buffers if any(each)] == []


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Holds every page that is allocated and every buffer that is to be wiped."""
    everything, allocate, wiped = Held(), Pages.allocate.__func__, wiping.wiped  # type: ignore[attr-defined]

    def holding(kind: type[Pages], /, size: int, **options: Any) -> Pages:
        pages: Pages = allocate(kind, size, **options)
        everything.memory.append(pages)
        return pages

    @contextlib.contextmanager
    def noting(size: int) -> Iterator[bytearray]:
        with wiped(size) as buffer:
            everything.buffers.append(buffer)
            yield buffer

    monkeypatch.setattr(Pages, "allocate", classmethod(holding))
    for module in (
        "device.state",
        "device.authenticated",
        "keys.fleet",
        "keys.pkcs8",
        "passphrase_source",
    ):
        monkeypatch.setattr(f"modelkeep.{module}.wiped", noting)
    monkeypatch.setattr("modelkeep.private_file.wiped", noting)
    for place, name in ((keywrap, "unwrap"), (HpkeHandle, "unwrap"), (software_key, "to_pem")):
        monkeypatch.setattr(place, name, everything.kept(getattr(place, name)))
    return everything


def works(workshop: Workshop, held: Held) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yields what handles secrets, by name; each once, in an order that works."""
    access = {"identity": f"file:{workshop.device}", "verifier": workshop.verifier()}
    admin = workshop.device.with_suffix(".pub")
    bundle, installed = workshop.folder / "model.keep", workshop.folder / "installed.keep"
    other = workshop.new_device("pi-18").with_suffix(".pub")

    def seal() -> None:
        mk.seal(workshop.model(), model=MODEL_ID, to=[], admins=admin, signer=workshop.signer).save(bundle)

    def run(path: Path) -> Callable[[], None]:
        return lambda: mk.open(path, **access).close()  # type: ignore[arg-type]

    def list_of_devices() -> Path:
        path = workshop.folder / "devices"
        path.write_text(other.read_text())
        return path

    def locked_key() -> None:
        uri = f"file:{workshop.folder / 'locked.pem'}?passphrase-file={workshop.folder / 'word'}"
        (workshop.folder / "word").touch(mode=0o600)
        (workshop.folder / "word").write_text("secret")
        mk.create_key(uri)
        mk.Identity(uri).close()

    def fleet_key() -> None:
        master = str(workshop.folder / "master.key")
        mk.create_key(f"fleet:{master}", "master")
        mk.Identity(f"fleet:{master}?device=pi-1").close()

    yield "seal", seal
    yield "grant", lambda: mk.grant(bundle, to=other, **access)  # type: ignore[arg-type]
    yield (
        "grant_all",
        lambda: mk.grant_all(bundle, list_of_devices(), workshop.folder / "all", **access),  # type: ignore[arg-type]
    )
    yield "open", run(bundle)
    yield "install", lambda: mk.install(bundle, installed, **access)  # type: ignore[arg-type]
    yield "open what is installed", run(installed)
    yield (
        "extract",
        lambda: mk.extract(installed, workshop.folder / "clear", unsafe_plaintext=True, **access),  # type: ignore[arg-type]
    )
    yield "a key with a passphrase", locked_key
    yield "keys of a fleet", fleet_key


def test_every_secret_is_closed_and_not_left_to_be_collected(workshop: Workshop, held: Held) -> None:
    for name, work in works(workshop, held):
        work()
        try:
            held.check()
        except AssertionError:
            raise AssertionError(name) from None
        held.memory.clear()
        held.buffers.clear()


def test_a_failure_closes_them_as_well(workshop: Workshop, held: Held) -> None:
    bundle = workshop.seal()
    stranger = workshop.new_device("stranger")
    for refused in (
        {"identity": f"file:{stranger}"},
        {"verifier": workshop.verifier(model="another/model")},
        {"verifier": workshop.verifier(minimum_epoch=9)},
    ):
        settings = {"identity": f"file:{workshop.device}", "verifier": workshop.verifier()} | refused
        with pytest.raises(mk.KeepError):
            mk.open(bundle, **settings)  # type: ignore[arg-type]
        with pytest.raises(mk.KeepError):
            mk.install(bundle, workshop.folder / "i.keep", **settings)  # type: ignore[arg-type]
        held.check()
