"""Granting and what is read of grants, at the edges: which grant is taken, and what is said of those made."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import modelkeep as mk
from modelkeep import canonical, public_key
from modelkeep.bundle import access
from modelkeep.bundle.access import Access
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.clock import LATEST_TIME
from modelkeep.device import authenticated
from modelkeep.device.contents import Installed, ModelState, Stage
from modelkeep.errors import KeepError, MalformedError, RollbackError, StorageError, UsageError
from modelkeep.grants import grant_lines, recipient_text, sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant, standing_alone
from modelkeep.grants.header import GrantHeader, key_id
from modelkeep.grants.hpke import HpkeHandle, HpkeRecipient
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.recipient import issue
from modelkeep.keys.file import FileStore
from modelkeep.manifest import Manifest
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import trust_payload
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.trust_file import TrustFile
from support.paper import mark, name
from support.workshop import Workshop

HANDLE = HpkeHandle(ec.generate_private_key(ec.SECP256R1()), "pi")
BUNDLE = bytes(range(16))


def grant_for(handle: HpkeHandle, constraints: Constraints | None = None, bundle: bytes = BUNDLE) -> Grant:
    return issue(handle.recipient(), bundle, DataKey.generate(), constraints or Constraints())


def test_of_ones_own_grants_the_one_that_allows_granting_is_taken(workshop: Workshop) -> None:
    admin, own, other = (workshop.new_device(each) for each in ("admin", "own", "other"))
    public = [each.with_suffix(".pub") for each in (admin, own, other)]
    bundle = workshop.seal(to=public[1], admins=public[0])
    verifier = workshop.verifier()
    made = mk.grant(bundle, identity=workshop.identity(admin), verifier=verifier, admins=public[1])
    assert ([each.device_id for each in made.admins], made.recipients) == (["own"], ())
    assert made.constraints == Constraints()
    # Its first grant lets it open alone; the second one is the admin's.
    one = mk.grant(
        bundle, identity=workshop.identity(own), verifier=verifier, to=public[2], output=bundle.parent / "a"
    )
    assert (one.constraints, one.path) == (Constraints(), bundle.parent / "a")
    many = mk.grant_all(
        bundle, public[2], bundle.parent / "b", identity=workshop.identity(own), verifier=verifier
    )
    assert (many.total, many.new, many.recipients, many.admins) == (1, 1, ("other",), ())
    assert many.constraints == Constraints()
    for path in ("a", "b"):
        (made_grant,) = sidecar.read(bundle.parent / path)
        assert made_grant.header.constraints == Constraints()
        assert workshop.read(bundle, identity=workshop.identity(other), grant_file=bundle.parent / path)


def test_a_file_of_grants_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    nothing: Any = SimpleNamespace(path=tmp_path / "bundle", embedded_grants=lambda: iter(()))
    with pytest.raises(StorageError, match="no such file"):
        list(access.grants_of(nothing, tmp_path / "grants"))
    assert list(access.grants_of(nothing)) == []


def test_a_slot_that_changes_meanwhile_is_looked_at_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    generations, looks = iter([b"1", b"2", b"2"]), []

    @contextmanager
    def remembering(*_arguments: object) -> Any:
        yield SimpleNamespace(contents=SimpleNamespace(generation=next(generations)))

    def refuse(*_arguments: object) -> None:
        looks.append(1)
        raise RollbackError("older")

    monkeypatch.setattr(access, "remembering", remembering)
    monkeypatch.setattr(access, "_unlock_at", refuse)
    monkeypatch.setattr(SlotFolder, "read", lambda path: SlotFolder(path, "m"))
    monkeypatch.setattr(SlotFolder, "current_file", lambda folder, _contents: folder.path)
    stack: Any = None
    with Access(workshop.identity(), workshop.verifier()) as opened, pytest.raises(RollbackError):
        access._unlock_slot(Path("slots"), opened, stack)
    assert len(looks) == 3


def test_what_is_on_trial_is_that_alone() -> None:
    state = ModelState()
    for number, at in ((1, Stage.TRIAL), (2, Stage.STAGED), (3, Stage.CURRENT)):
        state.installations[name(number)] = Installed(mark(number, 1), bytes(32), at)
    assert state.on_trial(name(1)) is state.installations[name(1)]
    for number in (2, 3, 4):
        with pytest.raises(RollbackError, match="not on trial any more"):
            state.on_trial(name(number))
    with pytest.raises(RollbackError, match="another installation was made meanwhile"):
        state.set_stage(name(4), Stage.TRIAL)


def test_the_key_of_a_states_digest_is_wiped() -> None:
    keys: list[bytearray] = []

    class Local:
        def wrap(self, secret: memoryview, _context: bytes) -> bytes:
            return bytes(secret)

        def unwrap(self, wrapped: bytes, _context: bytes) -> bytearray:
            keys.append(bytearray(wrapped))
            return keys[-1]

    local: Any = Local()
    data = authenticated.authenticated(local, b"body", b"context")
    assert authenticated.body_of(local, data, b"context", "test", 4) == b"body"
    assert len(keys) == 2
    assert not any(map(any, keys))
    wrapped = canonical.decode(data, "test")["key"]
    assert wrapped != canonical.decode(authenticated.authenticated(local, b"body", b"c"), "test")["key"]
    with pytest.raises(MalformedError):
        authenticated.body_of(local, data, b"context", "test", 3)


def test_floats_are_read_where_they_are_asked_for_alone() -> None:
    assert canonical.decode_lenient(b"[1.5]", "test", floats=True) == [1.5]
    with pytest.raises(MalformedError, match="floating-point"):
        canonical.decode_lenient(b"[1.5]", "test")


def test_members_that_are_left_out_where_they_are_empty(workshop: Workshop) -> None:
    with mk.Bundle(workshop.seal()) as bundle:
        members = canonical.decode(bundle.read("manifest.json"), "test")
    assert Manifest.from_bytes(canonical.encode(members)).to_bytes() == canonical.encode(members)
    empties: list[dict[str, object]] = [{"grant_issuers": []}, {"upstream": ""}]
    for empty in empties:
        with pytest.raises(MalformedError, match="must not be empty when present"):
            Manifest.from_bytes(canonical.encode(members | empty))
    for key in ("ab" * 513, "AB", "zz", "abc", 5):
        with pytest.raises(MalformedError, match="must list public keys"):
            Manifest.from_bytes(canonical.encode(members | {"grant_issuers": [key]}))


def test_lists_of_a_trust_file_stand_in_order_and_once() -> None:
    floors = {"a": ReleaseOrder(1, 2), "b": ReleaseOrder(3, 4)}
    ids = frozenset({bytes(16), bytes([1]) * 16})
    signs = Publisher(ec.generate_private_key(ec.SECP256R1()).public_key(), ("m",))
    trust = TrustFile(1, LATEST_TIME, (signs,), void=ids, revoked_bundles=ids, floors=floors)
    members = canonical.decode(trust_payload.encode(trust), "test")
    assert TrustFile(**trust_payload.decode(canonical.encode(members))) == trust
    first, (publisher,) = members["floors"][0], members["publishers"]
    for changed in (
        {"floors": members["floors"][::-1]},
        {"floors": [first, first]},
        {"void": members["void"][::-1]},
        {"void": members["void"][:1] * 2},
        {"publishers": [publisher | {"models": [5]}]},
        {"publishers": [publisher | {"families": "f"}]},
    ):
        with pytest.raises(MalformedError):
            trust_payload.decode(canonical.encode(members | changed))


def test_keys_of_a_folder_are_listed_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore()
    (tmp_path / "keys").mkdir()
    store.create(str(tmp_path / "keys" / "pi.pem"))
    (tmp_path / "keys" / "other.pem").write_text("no key")
    monkeypatch.chdir(tmp_path)
    assert list(store.list("")) == []
    assert list(store.list("keys")) == ["keys/pi.pem"]
    monkeypatch.chdir(tmp_path / "keys")
    assert list(store.list("")) == ["pi.pem"]


def test_a_glance_leaves_what_may_be_ones_own() -> None:
    own = grant_for(HANDLE)
    glance = Glance(HANDLE.type, own.header.key_id)
    other = grant_for(HpkeHandle(ec.generate_private_key(ec.SECP256R1())))
    assert glance.may_fit(own.to_bytes())
    assert not glance.may_fit(other.to_bytes())
    assert glance.kinds == {"hpke-p256": 1}
    for odd in (b"", b"{}", b'{"header":"====",', b'{"header":"AAAA",'):
        assert glance.may_fit(odd)
    assert not Glance("other", own.header.key_id).may_fit(own.to_bytes())


def test_names_of_recipients_are_short() -> None:
    named, nameless = HANDLE.recipient(), HpkeRecipient(HANDLE.type, HANDLE.public)
    assert (recipient_text.short_name(named), HANDLE.recipient("a").device_id) == ("pi", "a")
    assert (
        recipient_text.short_name(nameless) == f"hpke-p256 {recipient_text.format_recipient(nameless)[10:18]}"
    )
    assert recipient_text.public_of(recipient_text.format_recipient(named)) == HANDLE.public
    assert named.named("pi") is named
    assert (named.named("b").device_id, named.device_id) == ("b", "pi")
    for wrong in ("", "a b"):
        with pytest.raises(UsageError):
            nameless.named(wrong)


def test_an_issuer_makes_what_is_demanded_each_time() -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    issuer = GrantIssuer(BUNDLE, DataKey.generate(), Constraints(not_after=100), signer)
    for end, found in ((50, 50), (200, 100), (None, 100), (50, 50)):
        grant = issuer.issue(HANDLE.recipient(), Constraints(not_after=end))
        assert grant.header.constraints == Constraints(not_after=found)
        assert grant.header == issuer.header(HANDLE.recipient(), Constraints(not_after=end))
        grant.check_issuer((public_key.to_der(signer.public_key),))
    with pytest.raises(UsageError, match="never counts"):
        issuer.issue(HANDLE.recipient(), Constraints(not_before=101))
    assert GrantIssuer(BUNDLE, DataKey.generate(), Constraints()).fingerprint is None


def test_a_line_that_nothing_can_be_granted_to_is_named() -> None:
    issuer = GrantIssuer(BUNDLE, DataKey.generate(), Constraints(not_after=100))
    recipient = recipient_text.format_recipient(HANDLE.recipient())
    line = canonical.encode({"not_before": 200, "recipient": recipient})
    with pytest.raises(MalformedError, match="line 3: .*never counts"):
        grant_lines.issued(issuer, [(3, line)])


def test_a_grant_shows_its_header_and_no_more() -> None:
    grant = replace(grant_for(HANDLE), issuer=b"issuer", signature=b"signature")
    assert repr(grant) == f"Grant(header={grant.header!r})"
    read = Grant.from_bytes(grant_for(HANDLE).to_bytes())
    assert (read.received is not None, read == replace(read, received=None)) == (True, True)


def test_a_passphrase_in_company_is_none() -> None:
    def of(kind: str) -> Any:
        return SimpleNamespace(header=GrantHeader(BUNDLE, kind, key_id(BUNDLE, kind, b"")))

    one, other = of("passphrase"), of("hpke-p256")
    assert list(standing_alone([one])) == [one]
    assert list(standing_alone([other, other])) == [other, other]
    assert list(standing_alone([other], {"hpke-p256": 1})) == [other]
    for grants, passed_over in (([one, other], {}), ([other, one], {}), ([one, one], {}), ([one], {"x": 1})):
        with pytest.raises(KeepError, match="must be the only grant"):
            list(standing_alone(grants, passed_over))
