"""Keys at their edges: which grant is theirs, what a store may do, and what a device could do better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep import keywrap, plugins
from modelkeep.errors import (
    ExpiredError,
    KeyStoreError,
    NotForThisDeviceError,
    RefusedError,
    TamperedError,
    UsageError,
)
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.grant import Grant
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.passphrase import PassphraseHandle
from modelkeep.grants.recipient import issue
from modelkeep.keys import advice, management, pkcs8, point, registry
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import Level, Protection, StoreReport
from modelkeep.memory import Pages

HANDLE, OTHER = (HpkeHandle(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
BUNDLE = bytes(range(16))


def grant_for(handle: Any, end: int | None = None, bundle: bytes = BUNDLE) -> Grant:
    return issue(handle.recipient(), bundle, DataKey.generate(), Constraints(not_after=end))


def refusing(grant: Grant) -> None:
    if grant.header.constraints.not_after is not None:
        raise ExpiredError(f"over at {grant.header.constraints.not_after}")


def test_the_first_grant_that_is_accepted_is_taken_and_no_more_are_read() -> None:
    over, later, good = grant_for(HANDLE, 5), grant_for(HANDLE, 6), grant_for(HANDLE)
    read: list[int] = []

    def given(*grants: Grant) -> Iterator[Grant]:
        for number, each in enumerate(grants):
            read.append(number)
            yield each

    identity = Identity(HANDLE)
    grants = given(grant_for(OTHER), over, good, later)
    assert identity.select(grants, BUNDLE, accept=refusing) is good
    assert read == [0, 1, 2]
    assert identity.select([over, good], BUNDLE) is over
    with pytest.raises(ExpiredError, match="over at 5"):
        identity.select([over, later], BUNDLE, accept=refusing)
    for found, words in (
        ([], "the bundle has no grants$"),
        ([grant_for(OTHER)], "has 1 grant: hpke-p256$"),
        ([grant_for(OTHER), grant_for(HANDLE, bundle=bytes(16))], "has 2 grants: hpke-p256$"),
    ):
        with pytest.raises(NotForThisDeviceError, match=words):
            identity.select(found, BUNDLE)
    with pytest.raises(NotForThisDeviceError, match="has 3 grants: fleet, hpke-p256$"):
        identity.select([grant_for(OTHER)], BUNDLE, passed_over=Counter({"fleet": 2}))


def test_a_grant_of_another_bundle_or_kind_is_not_opened() -> None:
    identity = Identity(HANDLE)
    with identity.unwrap(grant_for(HANDLE, 7), BUNDLE) as opened:
        assert (len(opened.data_key.view), opened.device_id, opened.constraints.not_after) == (32, "", 7)
    with pytest.raises(UsageError):
        _ = opened.data_key.view
    with pytest.raises(TamperedError, match="made for another bundle"):
        identity.unwrap(grant_for(HANDLE), bytes(16))
    with pytest.raises(NotForThisDeviceError, match="is for hpke-p256, this identity is hpke-x25519"):
        Identity(HpkeHandle(x25519.X25519PrivateKey.generate())).unwrap(grant_for(HANDLE), BUNDLE)
    identity.close()
    with pytest.raises(KeyStoreError, match="is closed"):
        identity.unwrap(grant_for(HANDLE), BUNDLE)


def test_a_fleets_device_is_known_by_its_own_name_alone() -> None:
    device = FleetDevice.derive(bytearray(32), "pi-17")
    same = FleetDevice.from_buffer(device.view, "pi-17")
    assert (same.public, bytes(same.view)) == (device.public, bytes(device.view))
    assert device.recipient() is device.recipient("pi-17") is device
    with pytest.raises(UsageError, match="of device 'pi-17', not of 'pi-18'"):
        device.recipient("pi-18")
    grant = grant_for(device)
    assert Identity(device).select([grant], BUNDLE) is grant
    secret = bytearray(range(40))
    wrapped = keywrap.wrap(device.view, secret, b"context")
    assert keywrap.unwrap(device.view, wrapped, b"context") == secret
    with pytest.raises(TamperedError, match="the grant is damaged"):
        keywrap.unwrap(device.view, wrapped, b"other")


def report(scheme: str, protection: Protection | None, usable: bool = True, hint: str = "") -> StoreReport:
    return StoreReport(scheme, usable, protection, f"the {scheme}", hint)


def test_the_best_store_is_the_strongest_and_then_the_most_usual(tmp_path: Path) -> None:
    file, ring = report("file", Protection.FILE), report("keyring", Protection.ENCRYPTED)
    system, odd = report("systemd", Protection.SYSTEM), report("acme", Protection.SYSTEM)
    passing = report("kernel", Protection.SYSTEM)
    assert advice.advise([file, ring, passing], tmp_path).best is ring
    assert advice.advise([passing], tmp_path).best is passing
    assert advice.advise([file, odd, system], tmp_path).best is system
    none = advice.advise([report("tpm2", Protection.TPM, usable=False), report("acme", None)], tmp_path)
    assert (none.best, none.better) == (None, ("tpm2 (TPM): the tpm2",))
    assert advice.advise([file], tmp_path).better == ("take a device with a TPM 2.0, a TEE, or a token",)
    missing = report("tpm2", Protection.TPM, usable=False, hint="do this")
    unknown, weaker = report("acme", None, usable=False), report("weak", Protection.FILE, usable=False)
    assert advice.advise([system, missing, unknown, weaker], tmp_path).better == (
        "tpm2 (TPM): the tpm2; do this",
        "acme: the acme",
    )
    for reached in (Protection.TPM, Protection.HARDWARE):
        assert advice.advise([report("best", reached)], tmp_path).better == ()
    (tmp_path / "tee0").touch()
    (step,) = advice.advise([report("tpm2", Protection.TPM)], tmp_path).better
    assert step.startswith("pkcs11 (TEE): this device has a TEE")
    for reached in (Protection.TEE, Protection.HARDWARE):
        assert advice.advise([report("best", reached)], tmp_path).better == ()
    assert [each.level for each in (file, system, report("x", None))] == [Level.SOFTWARE, Level.SYSTEM, None]


class Able:
    def open(self, address: str) -> Any:
        raise NotImplementedError

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> None:
        if address == "broken":
            raise ZeroDivisionError("secret")
        assert (address, kind, force) == ("place", "kind", True)

    def list(self, address: str) -> list[str]:
        return [f"{address}b", f"{address}a"]


class AbleToMore(Able):
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def delete(self, address: str) -> None:
        self.asked.append(("delete", address))

    def describe(self, address: str) -> dict[str, Any]:
        return {"address": address}

    def approve(self, address: str, **options: Any) -> None:
        self.asked.append(("approve", address, options))


def test_stores_do_what_they_can_and_their_failures_are_told_without_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def calling(scheme: str) -> Iterator[Any]:
        if scheme == "gone":
            raise KeyStoreError("gone", hint="look")
        yield more if scheme == "more" else Able()

    more = AbleToMore()
    monkeypatch.setattr(management, "calling_store", calling)
    management.delete_key("more:x")
    management.approve_key("more:y", pcr=7)
    assert more.asked == [("delete", "x"), ("approve", "y", {"pcr": 7})]
    assert management.describe_key("more:z") == {"address": "z"}
    assert management.list_keys("acme", "x") == ("acme:xa", "acme:xb")
    for refused in (management.delete_key, management.describe_key, management.approve_key):
        with pytest.raises(UsageError, match="keys of scheme 'acme' do not support"):
            refused("acme:x")
    monkeypatch.setattr(management, "schemes", lambda: ("acme", "gone"))
    assert management.examine_stores() == (StoreReport("gone", False, None, "gone", "look"),)
    monkeypatch.setattr(registry, "_store", lambda _scheme: Able())
    assert registry.create_key("acme:place", "kind", force=True) is None
    with pytest.raises(KeyStoreError, match="^key scheme 'acme' failed: ZeroDivisionError$"):
        registry.create_key("acme:broken")


def test_what_installs_a_store_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> NoReturn:
        raise ImportError

    for name, hint in (("tpm2", "pip install 'modelkeep[tpm2]'"), ("acme", "reinstall the package")):
        point = SimpleNamespace(name=name, load=missing)
        monkeypatch.setattr(plugins, "find", lambda _group, _scheme, point=point: [point])
        with pytest.raises(KeyStoreError) as caught:
            registry._store(name)
        assert hint in (caught.value.hint or "")


def test_a_key_that_is_read_as_a_point_is_one_of_a_curve(tmp_path: Path) -> None:
    for made, path in (
        (ec.generate_private_key(ec.SECP256R1()), tmp_path / "p256.pub"),
        (ed25519.Ed25519PrivateKey.generate(), tmp_path / "ed25519.pub"),
    ):
        public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(public)
    assert point.public_from_pem(tmp_path / "p256.pub").curve.name == "secp256r1"
    with pytest.raises(UsageError, match="not an elliptic-curve key"):
        point.public_from_pem(tmp_path / "ed25519.pub")


def test_points_have_two_coordinates_of_their_length() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    x, y = point.coordinates_of(key)
    assert (point.point_of(key), len(x), len(y)) == (b"\x04" + x + y, 32, 32)
    assert point.public_from_coordinates(x.lstrip(b"\0"), y.lstrip(b"\0")) == key
    assert point.padded(b"\1") == bytes(31) + b"\1"


def test_what_is_no_device_installs_nothing_and_what_is_closed_opens_nothing() -> None:
    assert Identity(FleetDevice.from_buffer(bytearray(32), "pi")).device_state() is not None
    with Identity(PassphraseHandle(Pages.allocate(5))) as somebody:
        assert (somebody.device_state(), somebody.glance(BUNDLE)) == (None, None)
        with pytest.raises(UsageError, match="a passphrase cannot install a model"):
            somebody.local_key()
    with DataKey.generate() as key:
        assert len(key.view) == 32
    with pytest.raises(UsageError, match="closed"):
        _ = key.view
    with Identity(HpkeHandle(ec.generate_private_key(ec.SECP256R1()))) as identity:
        assert identity.local_key() is not None
    with pytest.raises((KeyStoreError, RefusedError)):
        identity.local_key()


def test_lengths_of_elements_are_short_or_long() -> None:
    for length, front in ((0x7F, b"\x04\x7f"), (0x80, b"\x04\x81\x80"), (0x100, b"\x04\x82\x01\x00")):
        assert pkcs8._element(4, bytes(length)) == front + bytes(length)
    for value, content in ((0x7F, b"\x7f"), (0x80, b"\x00\x80"), (0x4000, b"\x40\x00")):
        assert pkcs8._integer(value) == bytes([2, len(content)]) + content
