import os
from itertools import chain, count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from modelkeep.clock import Now
from modelkeep.errors import ExpiredError, MalformedError, NotForThisDeviceError, TamperedError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.passphrase import PassphraseHandle, PassphraseRecipient
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key
from modelkeep.passphrase_source import keep

BUNDLE = os.urandom(16)


@pytest.fixture
def data_key() -> DataKey:
    return DataKey.from_buffer(bytearray(range(32)))


@pytest.fixture
def identity() -> Identity:
    return Identity(HpkeHandle(ec.generate_private_key(ec.SECP256R1())))


def foreign(kind: str = "hpke-p256", number: int = 0) -> Grant:
    header = GrantHeader(BUNDLE, kind, number.to_bytes(16, "big"))
    return Grant(header, header.to_bytes(), b"wrapped")


def test_identity_opens_from_a_path(tmp_path: Path, data_key: DataKey) -> None:
    recipient = create_key(tmp_path / "pi-17.pem")
    assert recipient is not None
    grant = issue(recipient, BUNDLE, data_key)
    for named in (tmp_path / "pi-17.pem", str(tmp_path / "pi-17.pem"), f"file:{tmp_path / 'pi-17.pem'}"):
        with Identity(named) as identity, identity.unwrap(grant, BUNDLE) as unwrapped:
            assert unwrapped.device_id == "pi-17"


def test_select_finds_the_own_grant_among_many(identity: Identity, data_key: DataKey) -> None:
    own = issue(identity.recipient(), BUNDLE, data_key)
    others = [foreign(number=number) for number in range(50)]
    assert identity.select([*others, own, *others], BUNDLE) is own


def test_select_reads_no_further_than_the_match(identity: Identity, data_key: DataKey) -> None:
    own = issue(identity.recipient(), BUNDLE, data_key)
    endless = (foreign(number=number) for number in count())
    grants = chain([foreign()], [own], endless)
    assert identity.select(grants, BUNDLE) is own
    assert next(endless).header.key_id == bytes(16)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([], "no grant fits this identity; the bundle has no grants"),
        (["fleet"], "no grant fits this identity; the bundle has 1 grant: fleet"),
        (["hpke-p256", "fleet"], "no grant fits this identity; the bundle has 2 grants: fleet, hpke-p256"),
        (["newer-kind"] * 3, "no grant fits this identity; the bundle has 3 grants: newer-kind"),
        (["passphrase"], "no grant fits this identity; the bundle has 1 grant: passphrase"),
    ],
)
def test_foreign_identity_is_told_what_there_is(identity: Identity, kinds: list[str], message: str) -> None:
    with pytest.raises(NotForThisDeviceError) as caught:
        identity.select([foreign(kind, number) for number, kind in enumerate(kinds)], BUNDLE)
    assert str(caught.value) == message
    assert caught.value.hint is not None
    assert "modelkeep grant" in caught.value.hint


def test_invented_kinds_do_not_fill_the_message(identity: Identity) -> None:
    with pytest.raises(NotForThisDeviceError) as caught:
        identity.select((foreign(f"kind-{number}") for number in range(1000)), BUNDLE)
    assert "1000 grants" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_same_key_for_another_type_or_bundle_does_not_fit(data_key: DataKey) -> None:
    key = x25519.X25519PrivateKey.generate()
    identity = Identity(HpkeHandle(key))
    with pytest.raises(NotForThisDeviceError):
        identity.select([issue(identity.recipient(), os.urandom(16), data_key)], BUNDLE)


def test_grant_of_another_bundle_is_tampering(identity: Identity, data_key: DataKey) -> None:
    grant = issue(identity.recipient(), os.urandom(16), data_key)
    with pytest.raises(TamperedError, match="another bundle"):
        identity.unwrap(grant, BUNDLE)


def test_grant_relabelled_for_this_bundle_is_tampering(identity: Identity, data_key: DataKey) -> None:
    grant = issue(identity.recipient(), os.urandom(16), data_key)
    header = identity.recipient().header(BUNDLE, Constraints())
    moved = Grant(header, header.to_bytes(), grant.wrapped)
    assert identity.select([moved], BUNDLE) is moved
    with pytest.raises(TamperedError, match="damaged"):
        identity.unwrap(moved, BUNDLE)


def test_unwrap_refuses_grants_of_another_type(identity: Identity) -> None:
    with pytest.raises(NotForThisDeviceError, match="is for fleet, this identity is hpke-p256"):
        identity.unwrap(foreign("fleet"), BUNDLE)


def test_renewed_grant_is_found_behind_an_expired_one(identity: Identity, data_key: DataKey) -> None:
    recipient = identity.recipient()
    old = issue(recipient, BUNDLE, data_key, Constraints(not_after=10))
    older = issue(recipient, BUNDLE, data_key, Constraints(not_after=5))
    new = issue(recipient, BUNDLE, data_key, Constraints(not_after=99))

    def accept(grant: Grant) -> None:
        grant.header.constraints.check(Now(50, 50))

    assert identity.select([old], BUNDLE) is old
    assert identity.select([old, foreign(), new], BUNDLE, accept=accept) is new
    with pytest.raises(ExpiredError, match="00:00:10Z"):
        identity.select([old, older], BUNDLE, accept=accept)


def test_passphrase_beside_others_is_refused_for_everybody(data_key: DataKey) -> None:
    passphrase = keep(memoryview(b"secret"))
    alone = issue(PassphraseRecipient(passphrase, log_n=14), BUNDLE, data_key)
    device = FleetDevice.derive(bytearray(32), "pi-17")
    own = issue(device, BUNDLE, data_key)
    for identity in (Identity(PassphraseHandle(passphrase)), Identity(device)):
        for grants in ([alone, own], [alone, alone], [foreign(), alone]):
            with pytest.raises(MalformedError, match="only grant"):
                identity.select(grants, BUNDLE)
    assert Identity(PassphraseHandle(passphrase)).select([alone], BUNDLE) is alone


def test_leaving_the_block_wipes_the_data_key(identity: Identity, data_key: DataKey) -> None:
    with identity.unwrap(issue(identity.recipient(), BUNDLE, data_key), BUNDLE) as unwrapped:
        view = unwrapped.data_key.view
        assert any(view)
    assert not any(view)


def test_repr_shows_the_type_alone(identity: Identity) -> None:
    assert repr(identity) == "Identity(hpke-p256)"


def test_closed_identity_of_a_fleet_device_cannot_unwrap(data_key: DataKey) -> None:
    identity = Identity(FleetDevice.derive(bytearray(32), "pi-17"))
    grant = issue(identity.recipient(), BUNDLE, data_key)
    with identity:
        identity.unwrap(grant, BUNDLE).data_key.close()
    with pytest.raises(UsageError, match="closed"):
        identity.unwrap(grant, BUNDLE)


def test_a_glance_knows_the_own_grant_from_others(identity: Identity, data_key: DataKey) -> None:
    glance = identity.glance(BUNDLE)
    assert glance is not None
    assert glance.may_fit(issue(identity.recipient(), BUNDLE, data_key).to_bytes())
    assert not glance.may_fit(foreign().to_bytes())
