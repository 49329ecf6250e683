"""HPKE on the wire, computed from RFC 9180's own steps instead of through the library's suite."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from modelkeep.keys.constraints import Constraints
from modelkeep.keys.data_key import DataKey
from modelkeep.keys.hpke import HpkeHandle, PrivateKey
from modelkeep.keys.recipient import issue

P256_KEM, X25519_KEM, MLKEM768_X25519_KEM = 0x0010, 0x0020, 0x647A
BUNDLE = bytes(range(16))


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labeled).derive(secret)


def open_base(kem: int, shared_secret: bytes, ciphertext: bytes, info: bytes) -> bytes:
    """RFC 9180 sections 5.1 and 5.2: key schedule in base mode, first message, AES-256-GCM."""
    suite = b"HPKE" + kem.to_bytes(2, "big") + b"\x00\x01\x00\x02"
    context = (
        b"\x00"
        + labeled_extract(suite, b"", b"psk_id_hash", b"")
        + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, shared_secret, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 32)
    nonce = labeled_expand(suite, secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def dhkem(kem: int, exchanged: bytes, enc: bytes, public: bytes) -> bytes:
    """RFC 9180 section 4.1."""
    suite = b"KEM" + kem.to_bytes(2, "big")
    extracted = labeled_extract(suite, b"", b"eae_prk", exchanged)
    return labeled_expand(suite, extracted, b"shared_secret", enc + public, 32)


def p256_secret(key: ec.EllipticCurvePrivateKey, enc: bytes) -> bytes:
    public = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
    return dhkem(P256_KEM, key.exchange(ec.ECDH(), peer), enc, public)


def x25519_secret(key: x25519.X25519PrivateKey, enc: bytes) -> bytes:
    exchanged = key.exchange(x25519.X25519PublicKey.from_public_bytes(enc))
    return dhkem(X25519_KEM, exchanged, enc, key.public_key().public_bytes_raw())


def hybrid_secret(keys: tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey], enc: bytes) -> bytes:
    """X-Wing's combiner: both secrets, the X25519 ciphertext and public key, and its label."""
    post_quantum = keys[0].decapsulate(enc[:1088])
    classical = keys[1].exchange(x25519.X25519PublicKey.from_public_bytes(enc[1088:]))
    parts = (post_quantum, classical, enc[1088:], keys[1].public_key().public_bytes_raw())
    return hashlib.sha3_256(b"".join(parts) + rb"\.//^\ "[:6]).digest()


@pytest.mark.parametrize("kind", ["p256", "x25519", "hybrid"])
def test_a_grant_opens_by_the_steps_of_the_specification(kind: str) -> None:
    p256, curve25519 = ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()
    hybrid = (mlkem.MLKEM768PrivateKey.generate(), curve25519)
    with DataKey.generate() as data_key:
        expected = bytes(data_key.view)
        keys: dict[str, PrivateKey] = {"p256": p256, "x25519": curve25519, "hybrid": hybrid}
        handle = HpkeHandle(keys[kind])
        grant = issue(handle.recipient("pi-17"), BUNDLE, data_key, Constraints(not_after=9))
    info = b"modelkeep/v1/grant" + hashlib.sha256(grant.header_bytes).digest()
    if kind == "p256":
        enc, ciphertext = grant.wrapped[:65], grant.wrapped[65:]
        secret = open_base(P256_KEM, p256_secret(p256, enc), ciphertext, info)
    elif kind == "x25519":
        enc, ciphertext = grant.wrapped[:32], grant.wrapped[32:]
        secret = open_base(X25519_KEM, x25519_secret(curve25519, enc), ciphertext, info)
    else:
        enc, ciphertext = grant.wrapped[: 1088 + 32], grant.wrapped[1088 + 32 :]
        secret = open_base(MLKEM768_X25519_KEM, hybrid_secret(hybrid, enc), ciphertext, info)
    assert secret == expected + b"\x05pi-17" + bytes(104 - 38)
