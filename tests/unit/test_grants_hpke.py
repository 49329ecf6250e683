import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from modelkeep.errors import KeyStoreError, MalformedError, TamperedError, UnavailableError, UsageError
from modelkeep.grants.agreement_key import AgreementKey
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader
from modelkeep.grants.hpke import MLKEM768_X25519, P256, PUBLIC_BYTES, X25519, HpkeHandle, HpkeRecipient
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity

BUNDLE = os.urandom(16)
SECP256R1 = ec.SECP256R1()


def p256() -> HpkeHandle:
    return HpkeHandle(ec.generate_private_key(SECP256R1))


def curve25519() -> HpkeHandle:
    return HpkeHandle(x25519.X25519PrivateKey.generate())


def hybrid() -> HpkeHandle:
    return HpkeHandle((mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()))


every_type = pytest.mark.parametrize("make", [p256, curve25519, hybrid])


@pytest.fixture
def data_key() -> DataKey:
    return DataKey.from_buffer(bytearray(range(32)))


class Token(AgreementKey):
    """A key whose agreement happens elsewhere."""

    def __init__(self) -> None:
        self._inside = ec.generate_private_key(SECP256R1)
        self.asked = 0

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        self.asked += 1
        return self._inside.exchange(algorithm, peer_public_key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._inside.public_key()


class FailingToken(Token):
    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self._failure = failure

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        raise self._failure


class TruncatingToken(Token):
    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        return super().exchange(algorithm, peer_public_key)[:-1]


@every_type
def test_round_trip(make: Callable[[], HpkeHandle], data_key: DataKey) -> None:
    handle = make()
    constraints = Constraints(not_after=10)
    issued = issue(handle.recipient("pi-17"), BUNDLE, data_key, constraints)
    grant = Grant.from_bytes(issued.to_bytes())
    assert grant == issued
    identity = Identity(handle)
    with identity.unwrap(identity.select([grant], BUNDLE), BUNDLE) as unwrapped:
        assert bytes(unwrapped.data_key.view) == bytes(range(32))
        assert (unwrapped.device_id, unwrapped.constraints) == ("pi-17", constraints)


@every_type
def test_two_grants_for_one_device_share_nothing_but_the_key_id(
    make: Callable[[], HpkeHandle], data_key: DataKey
) -> None:
    recipient = make().recipient()
    one, other = issue(recipient, BUNDLE, data_key), issue(recipient, BUNDLE, data_key)
    elsewhere = issue(recipient, os.urandom(16), data_key)
    assert one.header == other.header
    assert one.wrapped != other.wrapped
    assert one.header.key_id != elsewhere.header.key_id


@every_type
def test_device_id_does_not_show_in_the_grant(make: Callable[[], HpkeHandle], data_key: DataKey) -> None:
    handle = make()
    short, long = (issue(handle.recipient(name), BUNDLE, data_key) for name in ("a", "a" * 64))
    assert len(short.to_bytes()) == len(long.to_bytes())


def test_a_public_key_has_one_form() -> None:
    key = ec.generate_private_key(SECP256R1).public_key()
    full, short = (
        key.public_bytes(serialization.Encoding.X962, form)
        for form in (
            serialization.PublicFormat.UncompressedPoint,
            serialization.PublicFormat.CompressedPoint,
        )
    )
    HpkeRecipient("hpke-p256", full)
    with pytest.raises(MalformedError, match="has 65 bytes"):
        HpkeRecipient("hpke-p256", short)


@every_type
def test_changed_header_does_not_open(make: Callable[[], HpkeHandle], data_key: DataKey) -> None:
    handle = make()
    grant = issue(handle.recipient(), BUNDLE, data_key, Constraints(not_after=10))
    for constraints in (
        Constraints(),
        Constraints(not_after=11),
        Constraints(10, 10),
        Constraints(delegate=True),
    ):
        header = grant.header._replace(constraints=constraints)
        with pytest.raises(TamperedError, match="damaged"):
            Identity(handle).unwrap(Grant(header, header.to_bytes(), grant.wrapped), BUNDLE)


@every_type
def test_every_flipped_bit_of_a_header_is_noticed(make: Callable[[], HpkeHandle], data_key: DataKey) -> None:
    handle = make()
    grant = issue(handle.recipient(), BUNDLE, data_key)
    for position in range(len(grant.header_bytes)):
        flipped = bytearray(grant.header_bytes)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(TamperedError):
            handle.unwrap(replace(grant, header_bytes=bytes(flipped)))


@every_type
def test_every_flipped_byte_of_the_wrapped_key_is_noticed(
    make: Callable[[], HpkeHandle], data_key: DataKey
) -> None:
    handle = make()
    grant = issue(handle.recipient(), BUNDLE, data_key)
    for position in range(0, len(grant.wrapped), 5):
        flipped = bytearray(grant.wrapped)
        flipped[position] ^= 0x80
        with pytest.raises(TamperedError):
            handle.unwrap(replace(grant, wrapped=bytes(flipped)))
    for wrapped in (b"", grant.wrapped[:-1], grant.wrapped + b"\x00", grant.wrapped[:40]):
        with pytest.raises(TamperedError):
            handle.unwrap(replace(grant, wrapped=wrapped))


@every_type
def test_anothers_key_does_not_open(make: Callable[[], HpkeHandle], data_key: DataKey) -> None:
    grant = issue(make().recipient(), BUNDLE, data_key)
    with pytest.raises(TamperedError):
        make().unwrap(grant)


def test_wrapped_key_is_single_shot_hpke_with_the_binding_as_info(data_key: DataKey) -> None:
    key = ec.generate_private_key(SECP256R1)
    grant = issue(HpkeHandle(key).recipient("pi"), BUNDLE, data_key)
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    secret = suite.decrypt(grant.wrapped, key, info=b"modelkeep/v1/grant" + grant.binding)
    assert secret == bytes(range(32)) + b"\x02pi" + bytes(69)
    assert len(grant.wrapped) == 65 + 104 + 16


def test_opened_secret_of_the_wrong_form_is_refused() -> None:
    # Anybody can encrypt to a public key, whatever they like.
    key = ec.generate_private_key(SECP256R1)
    handle = HpkeHandle(key)
    header = handle.recipient().header(BUNDLE, Constraints())
    bare = Grant(header, header.to_bytes(), b"")
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    for secret in (b"", bytes(32), bytes(103) + b"\x01", bytes(105)):
        wrapped = suite.encrypt(secret, key.public_key(), info=b"modelkeep/v1/grant" + bare.binding)
        with pytest.raises(MalformedError, match="grant secret"):
            Identity(handle).unwrap(replace(bare, wrapped=wrapped), BUNDLE)


def test_key_in_hardware_opens_a_grant(data_key: DataKey) -> None:
    token = Token()
    handle = HpkeHandle(token, "pi-17")
    grant = issue(handle.recipient(), BUNDLE, data_key)
    with Identity(handle).unwrap(grant, BUNDLE) as unwrapped:
        assert bytes(unwrapped.data_key.view) == bytes(range(32))
    assert token.asked == 1


def test_points_off_the_curve_never_reach_the_hardware(data_key: DataKey) -> None:
    token = Token()
    handle = HpkeHandle(token)
    grant = issue(handle.recipient(), BUNDLE, data_key)
    off_curve = bytearray(grant.wrapped)
    off_curve[64] ^= 1
    compressed = bytes([2 + (grant.wrapped[64] & 1)]) + grant.wrapped[1:33] + bytes(32) + grant.wrapped[65:]
    for wrapped in (bytes(off_curve), bytes(65) + grant.wrapped[65:], compressed, b"\x04" + bytes(184)):
        with pytest.raises(TamperedError):
            handle.unwrap(replace(grant, wrapped=wrapped))
    assert token.asked == 0


def test_failing_hardware_is_not_reported_as_a_damaged_grant(data_key: DataKey) -> None:
    failures: list[tuple[BaseException, type[BaseException]]] = [
        (OSError("pin=1234"), KeyStoreError),
        (UnavailableError("the token is locked"), UnavailableError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ]
    for failure, expected in failures:
        handle = HpkeHandle(FailingToken(failure))
        grant = issue(handle.recipient(), BUNDLE, data_key)
        for use in (lambda handle=handle, grant=grant: handle.unwrap(grant), handle.local_key):
            with pytest.raises(expected) as caught:
                use()
            assert "1234" not in str(caught.value)


def test_hardware_that_drops_leading_zeros_is_named(data_key: DataKey) -> None:
    handle = HpkeHandle(TruncatingToken())
    with pytest.raises(KeyStoreError, match="31 bytes"):
        handle.unwrap(issue(handle.recipient(), BUNDLE, data_key))


def test_hardware_keys_do_nothing_else() -> None:
    token: Any = Token()
    for attempt in (
        lambda: token.sign(b"", None),
        token.private_numbers,
        lambda: token.private_bytes(None, None, None),
    ):
        with pytest.raises(Exception, match="only agrees"):
            attempt()
    assert token.key_size == 256


def test_closed_handle_says_so(data_key: DataKey) -> None:
    handle = p256()
    grant = issue(handle.recipient(), BUNDLE, data_key)
    handle.close()
    with pytest.raises(KeyStoreError, match="closed"):
        handle.unwrap(grant)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()])
def test_other_curves_are_no_device_keys(curve: ec.EllipticCurve) -> None:
    with pytest.raises(KeyStoreError, match="not a key that opens models"):
        HpkeHandle(ec.generate_private_key(curve))


@pytest.mark.parametrize(
    ("kind", "public"),
    [
        (P256, b"\x04" + bytes(64)),
        (P256, bytes(65)),
        (P256, b"\x06" + p256().public[1:]),
        (P256, p256().public[:33]),
        (X25519, bytes(31)),
        (MLKEM768_X25519, b"\xff" * PUBLIC_BYTES[MLKEM768_X25519]),
        (MLKEM768_X25519, bytes(1184)),
        ("fleet", bytes(32)),
        ("hpke-p521", bytes(133)),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_what_is_no_public_key_is_no_recipient(kind: str, public: bytes) -> None:
    with pytest.raises(MalformedError, match="recipient"):
        HpkeRecipient(kind, public)


def test_low_order_public_keys_are_refused(data_key: DataKey) -> None:
    for recipient in (
        HpkeRecipient(X25519, bytes(32)),
        HpkeRecipient(MLKEM768_X25519, hybrid().public[:1184] + bytes(32)),
    ):
        with pytest.raises(UsageError, match="low order"):
            issue(recipient, BUNDLE, data_key)


def test_low_order_points_in_a_grant_are_refused(data_key: DataKey) -> None:
    handle = curve25519()
    grant = issue(handle.recipient(), BUNDLE, data_key)
    with pytest.raises(TamperedError):
        handle.unwrap(replace(grant, wrapped=bytes(32) + grant.wrapped[32:]))


def test_nothing_secret_in_reprs(data_key: DataKey) -> None:
    handle = p256()
    grant = issue(handle.recipient("pi"), BUNDLE, data_key)
    assert repr(handle) == "HpkeHandle(hpke-p256)"
    assert repr(handle.recipient("pi")) == "HpkeRecipient(hpke-p256, 'pi')"
    assert "wrapped" not in repr(grant)
    assert isinstance(grant.header, GrantHeader)
