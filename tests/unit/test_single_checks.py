"""Checks that another check hides: each is tried where it stands alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, plugins, storage
from modelkeep.bundle.install_record import InstallHeader
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.lease import check_leasable
from modelkeep.container import names, order
from modelkeep.container.folder import Folder
from modelkeep.device import state_lock
from modelkeep.device.contents import Contents
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.device.state import DeviceState
from modelkeep.device.state_lock import StateLock
from modelkeep.device.state_store import StateStore
from modelkeep.errors import (
    KeyStoreError,
    MalformedError,
    RollbackError,
    StorageError,
    TamperedError,
    UsageError,
)
from modelkeep.extraction import _create
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.recipient import issue
from modelkeep.manifest import Suite
from modelkeep.trust.signers import open_signer
from modelkeep.trust.signing_keys import create_signing_key
from support.paper import EVERYBODY, MODEL, PaperCounter, install, name, stage
from support.workshop import Workshop

SEEN = SeenTrust(5, frozenset({b"r" * 32}), 1)
# Long enough for a thread that does not wait, and nothing that a result depends on.
MEANWHILE = 0.3


def two_views(counter: PaperCounter | None = None) -> tuple[DeviceState, DeviceState]:
    key = ec.generate_private_key(ec.SECP256R1())
    return tuple(DeviceState(HpkeHandle(key, counter=counter)) for _ in range(2))  # type: ignore[return-value]


def in_the_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def attempt() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join(MEANWHILE)
    return thread, results


def test_a_trust_file_that_is_seen_during_a_commit_waits_and_is_not_lost() -> None:
    one, other = two_views()
    install(one, 1)
    stage(one, 2, epoch=2)
    with one.committing(MODEL, name(2), EVERYBODY):
        thread, results = in_the_background(lambda: other.see(SEEN))
        assert not results
    thread.join(10)
    assert isinstance(results[0], Contents)
    assert [each.number for each in one.look().trust] == [5]
    assert name(2) in one.look().models[MODEL].installations


def test_a_look_between_counting_and_the_new_name_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = PaperCounter()
    one, other = two_views(counter)
    install(one, 1)
    stage(one, 2, epoch=2)
    advance, looks = counter.advance, []

    def counted() -> int:
        number = advance()
        # Here the file has the old number, and the next one the new.
        looks.append(in_the_background(other.look))
        return number

    monkeypatch.setattr(counter, "advance", counted)
    with one.committing(MODEL, name(2), EVERYBODY):
        pass
    assert len(looks) == 2
    for thread, results in looks:
        thread.join(10)
        assert isinstance(results[0], Contents)
    assert one.look().counter == counter.number


def test_a_lock_that_was_taken_away_while_somebody_waited_for_it_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, really = tmp_path / "one.lock", storage.wait_for_lock

    def wait(descriptor: int, of: Path) -> None:
        really(descriptor, of)
        monkeypatch.setattr(state_lock, "wait_for_lock", really)
        path.unlink()

    monkeypatch.setattr(state_lock, "wait_for_lock", wait)
    with state_lock.locked(path) as lock:
        assert lock.is_in_place


@pytest.mark.parametrize("write", [StateStore.write, StateStore.write_counted])
def test_nothing_is_written_when_the_lock_was_taken_away(
    write: Callable[[StateStore, Contents, StateLock], None],
) -> None:
    one, _ = two_views()
    install(one, 1)
    before = one.path.read_bytes()
    with pytest.raises(RollbackError, match="changed by somebody else"), one._store.locked() as lock:
        contents = one._store.settled()
        one.path.with_suffix(".state.lock").unlink()
        write(one._store, contents, lock)
    assert one.path.read_bytes() == before


def test_what_counts_is_looked_at_when_something_is_staged_and_when_it_is_to_count() -> None:
    one, _ = two_views()
    # Two at one place, as two publishers can seal them: none is older, and only one can count.
    for number in (1, 2, 4):
        stage(one, number, epoch=5)
    one.try_out(MODEL, name(4))
    with one.committing(MODEL, name(1), EVERYBODY):
        pass
    with (
        pytest.raises(RollbackError, match="another release stands at the place"),
        one.committing(MODEL, name(2), EVERYBODY),
    ):
        raise AssertionError
    with pytest.raises(RollbackError, match="another release stands at the place"):
        one.commit(MODEL, name(4), EVERYBODY)
    with pytest.raises(RollbackError, match="is older than"):
        stage(one, 3, epoch=4)


def test_a_state_is_not_written_under_a_counter_that_has_gone_on() -> None:
    counter = PaperCounter()
    one, _ = two_views(counter)
    install(one, 1)
    before = one.path.read_bytes()
    with one._store.locked() as lock:
        contents = one._store.settled()
        counter.advance()
        with pytest.raises(RollbackError, match="changed by somebody else"):
            one._store.write(contents, lock)
    assert one.path.read_bytes() == before


def test_a_state_whose_number_somebody_else_took_is_not_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = PaperCounter()
    one, _ = two_views(counter)
    install(one, 1)
    stage(one, 2, epoch=2)
    before, advance = one.path.read_bytes(), counter.advance
    monkeypatch.setattr(counter, "advance", lambda: advance() and advance())
    with (
        pytest.raises(RollbackError, match="changed by somebody else"),
        one.committing(MODEL, name(2), EVERYBODY),
    ):
        raise AssertionError
    assert one.path.read_bytes() == before


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [("format", "modelkeep/grant", "format"), ("version", 2, "of a version that")],
)
def test_a_header_of_another_document_is_no_install_header(member: str, value: object, words: str) -> None:
    header = InstallHeader(bytes(16), bytes(32), "m", 1, Suite.AES256_GCM_HKDF_1MB, Constraints(), "")
    assert InstallHeader.from_bytes(header.to_bytes()) == header
    changed = canonical.decode(header.to_bytes(), "header") | {member: value}
    with pytest.raises(MalformedError, match=words):
        InstallHeader.from_bytes(canonical.encode(changed))


def test_a_bundle_on_leases_has_ends_but_for_those_who_may_grant() -> None:
    issuers = [b"issuer"]
    check_leasable(issuers, [Constraints(not_after=5), Constraints(delegate=True)])
    with pytest.raises(UsageError, match="no grant without end"):
        check_leasable(issuers, [Constraints(not_after=5), Constraints()])


def test_keys_of_objects_stand_in_the_order_of_utf_16_in_either_direction() -> None:
    # U+1F511 is D83D DD11 in UTF-16 and comes before U+FB33; as code points they stand the other way.
    assert canonical.encode({"\ufb33": 1, "\U0001f511": 2}) == '{"\U0001f511":2,"\ufb33":1}'.encode()
    assert canonical.decode('{"\U0001f511":2,"\ufb33":1}'.encode(), "text") == {"\ufb33": 1, "\U0001f511": 2}
    with pytest.raises(MalformedError):
        canonical.decode('{"\ufb33":1,"\U0001f511":2}'.encode(), "text")


@pytest.mark.parametrize("sizes", [{}, {"payload/0": 9}, {"payload/0": 32, "payload/1": 32, "payload/2": 32}])
def test_an_installation_has_the_members_that_its_manifest_lists(sizes: dict[str, int]) -> None:
    installation = SimpleNamespace(sizes={"install.json": 5, **sizes})
    manifest = SimpleNamespace(members=[SimpleNamespace(size=0), SimpleNamespace(size=0)])
    with pytest.raises(TamperedError, match="not those that its manifest lists"):
        Installation._check_sizes(installation, manifest)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [order.BUNDLE, order.INSTALLATION])
def test_every_file_that_a_form_needs_is_missed(form: order.Form) -> None:
    for missing in form.required:
        walk = order.Order(form)
        for section in form.sections:
            if section in form.required and section != missing:
                walk.check(f"{section}/0" if section in (names.PAYLOAD, names.LEAVES) else section, 1)
        with pytest.raises(MalformedError):
            walk.finish()


def test_no_link_is_followed_where_something_is_written_or_read_by_name(tmp_path: Path) -> None:
    dear = tmp_path / "dear"
    dear.write_bytes(b"dear")
    link = tmp_path / "link"
    link.symlink_to(dear)
    with pytest.raises(StorageError):
        sidecar.append_encoded(link, [b"grant"])
    with pytest.raises(StorageError), state_lock.locked(link):
        raise AssertionError
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            _create(folder, "link")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "below").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError):
            _create(folder, "below/file")
    finally:
        os.close(folder)
    assert (dear.read_bytes(), list((tmp_path / "elsewhere").iterdir())) == (b"dear", [])


def test_a_file_of_a_folder_that_became_a_link_is_not_read(tmp_path: Path) -> None:
    bundle = tmp_path / "model.keep"
    (bundle / "payload").mkdir(parents=True)
    (bundle / "manifest.json").write_bytes(b"{}")
    (bundle / "payload" / "0").write_bytes(b"x")
    (bundle / "leaves").mkdir()
    (bundle / "leaves" / "0").write_bytes(b"x")
    folder = Folder(bundle)
    try:
        (bundle / "manifest.json").rename(tmp_path / "moved")
        (bundle / "manifest.json").symlink_to(tmp_path / "moved")
        with pytest.raises(StorageError), folder.open("manifest.json"):
            raise AssertionError
        (bundle / "payload").rename(tmp_path / "payload")
        (bundle / "payload").symlink_to(tmp_path / "payload")
        with pytest.raises(StorageError), folder.open("payload/0"):
            raise AssertionError
    finally:
        folder.close()


def test_a_signing_key_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "publisher.pem"
    create_signing_key(path)
    before = path.read_bytes()
    for kind in ("signing", "ml-dsa-65", "root", "approving"):
        with pytest.raises(UsageError, match="exists already"):
            create_signing_key(path, kind)
    assert path.read_bytes() == before
    create_signing_key(path, force=True)
    assert path.read_bytes() != before


class Gone(ec.EllipticCurvePrivateKey):
    """A key whose token was pulled out; what it is asked for besides is its software twin's."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, answer: object) -> None:
        self._key, self._answer = key, answer

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert isinstance(self._answer, bytes)
        return self._answer

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    curve = ec.SECP256R1()
    key_size = 256
    sign = private_numbers = private_bytes = __copy__ = __deepcopy__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("answer", [RuntimeError("unplugged"), KeyStoreError("locked"), bytes(31), b""])
def test_hardware_that_fails_in_the_agreement_is_no_damaged_grant(answer: object) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    recipient = HpkeHandle(key).recipient()
    with DataKey.generate() as data_key:
        grant = issue(recipient, bytes(16), data_key)
    with pytest.raises(KeyStoreError):
        HpkeHandle(Gone(key, answer)).unwrap(grant)


def test_a_data_key_that_was_not_committed_to_is_wiped(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, denied = workshop.seal(), list[DataKey]()

    def deny(key: DataKey, *_arguments: object) -> None:
        denied.append(key)
        raise TamperedError("another key")

    monkeypatch.setattr(DataKey, "check_commitment", deny)
    with pytest.raises(TamperedError, match="another key"):
        workshop.open(bundle)
    with pytest.raises(UsageError, match="closed"):
        _ = denied[0].view


def test_signers_that_fail_keep_what_they_said_to_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_address: str, _chain: object) -> object:
        raise RuntimeError("the secret")

    monkeypatch.setattr(plugins, "find", lambda *_names: [SimpleNamespace(load=lambda: fail)])
    with pytest.raises(KeyStoreError, match="RuntimeError") as caught:
        open_signer("acme:key")
    assert "secret" not in str(caught.value)
