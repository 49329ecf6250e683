"""HPKE computed from RFC 9180's own steps instead of through the library's suite."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

P256_KEM, X25519_KEM, MLKEM768_X25519_KEM = 0x0010, 0x0020, 0x647A
HKDF_SHA256 = 0x0001
AES_256_GCM, CHACHA20_POLY1305 = 0x0002, 0x0003

HybridKeys = tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]
AEADS: dict[int, type[AESGCM] | type[ChaCha20Poly1305]] = {
    AES_256_GCM: AESGCM,
    CHACHA20_POLY1305: ChaCha20Poly1305,
}


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labeled).derive(secret)


@dataclass(frozen=True)
class Context:
    """What the key schedule gives: an AEAD with its key and the nonce of the first message."""

    aead: int
    key: bytes
    base_nonce: bytes

    def encrypt(self, plain: bytes, associated: bytes = b"") -> bytes:
        return AEADS[self.aead](self.key).encrypt(self.base_nonce, plain, associated)

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        return AEADS[self.aead](self.key).decrypt(self.base_nonce, ciphertext, associated)


def base_context(kem: int, shared_secret: bytes, info: bytes, aead: int = AES_256_GCM) -> Context:
    """RFC 9180 section 5.1: key schedule in base mode."""
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem, HKDF_SHA256, aead))
    context = (
        b"\x00"
        + labeled_extract(suite, b"", b"psk_id_hash", b"")
        + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, shared_secret, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 32)
    return Context(aead, key, labeled_expand(suite, secret, b"base_nonce", context, 12))


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


def hybrid_secret(keys: HybridKeys, enc: bytes) -> bytes:
    """X-Wing's combiner: both secrets, the X25519 ciphertext and public key, and its label."""
    post_quantum = keys[0].decapsulate(enc[:1088])
    classical = keys[1].exchange(x25519.X25519PublicKey.from_public_bytes(enc[1088:]))
    parts = (post_quantum, classical, enc[1088:], keys[1].public_key().public_bytes_raw())
    return hashlib.sha3_256(b"".join(parts) + rb"\.//^\ "[:6]).digest()


def hybrid_keys(seed: bytes) -> HybridKeys:
    """The keys that X-Wing's private key, a seed of 32 bytes, stands for."""
    expanded = hashlib.shake_256(seed).digest(96)
    post_quantum = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    return post_quantum, x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
