"""HPKE recipients: a grant sealed to a device's public key.

RFC 9180 base mode, single shot, KDF HKDF-SHA256, AEAD AES-256-GCM, empty associated data,
info ``modelkeep/v1/grant`` | SHA-256(header bytes); the wrapped key is enc | ciphertext.

    type                   KEM                                public value
    hpke-p256              0x0010 DHKEM(P-256, HKDF-SHA256)   uncompressed point, 65 bytes
    hpke-x25519            0x0020 DHKEM(X25519, HKDF-SHA256)  32 bytes
    hpke-mlkem768-x25519   MLKEM768-X25519 (experimental)     ML-KEM key, 1184 bytes | X25519 key, 32
"""

from __future__ import annotations

from copy import copy
from typing import Any

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from modelkeep.device.counter import StateCounter
from modelkeep.device.local_key import LocalKey, SecretLocalKey, from_secret
from modelkeep.errors import KeyStoreError, MalformedError, UsageError
from modelkeep.grants.agreement_key import Relay
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader, key_id
from modelkeep.grants.recipient import grant_context
from modelkeep.grants.secret import check_device_id
from modelkeep.keywrap import damaged

P256, X25519, MLKEM768_X25519 = "hpke-p256", "hpke-x25519", "hpke-mlkem768-x25519"
PUBLIC_BYTES = {P256: 65, X25519: 32, MLKEM768_X25519: 1184 + 32}

HybridKeys = tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]
PrivateKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | HybridKeys
PublicKey = ec.EllipticCurvePublicKey | x25519.X25519PublicKey | MLKEM768X25519PublicKey

_KEMS = {P256: KEM.P256, X25519: KEM.X25519, MLKEM768_X25519: KEM.MLKEM768_X25519}
_POINT = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


class HpkeRecipient:
    """A device known by its public key.

    Args:
        kind: one of the types in `PUBLIC_BYTES`.
        public: the public value, raw as in the table above.
        device_id: name of the device, or empty.

    Raises:
        MalformedError: not a public key of this type.
        UsageError: not a device id.
    """

    def __init__(self, kind: str, public: bytes, device_id: str = "") -> None:
        self.type = kind
        self.public = public
        self.device_id = check_device_id(device_id) if device_id else ""
        self._key = _load_public(kind, public)

    def named(self, device_id: str) -> HpkeRecipient:
        """Returns the same key under another name.

        Raises:
            UsageError: not a device id.
        """
        if device_id == self.device_id != "":
            return self
        other = copy(self)
        other.device_id = check_device_id(device_id)
        return other

    def header(self, bundle: bytes, constraints: Constraints) -> GrantHeader:
        """Returns the header of a grant for this device."""
        return GrantHeader(bundle, self.type, key_id(bundle, self.type, self.public), constraints)

    def wrap(self, secret: bytearray, context: bytes) -> bytes:
        """Returns `secret` sealed to the device's public key.

        Raises:
            UsageError: the public key is of the kind that makes every shared secret the same.
        """
        try:
            return _suite(self.type).encrypt(secret, self._key, info=context)
        except ValueError:
            raise UsageError("the recipient's public key cannot be used: it has low order") from None

    def __repr__(self) -> str:
        return f"HpkeRecipient({self.type}, {self.device_id!r})"


class HpkeHandle:
    """A private key that opens HPKE grants.

    Args:
        key: the private key; for the hybrid type the pair (ML-KEM-768, X25519). A key in
            hardware is a subclass of `modelkeep.grants.agreement_key.AgreementKey`.
        device_id: name that `recipient` gives the device when asked without one.
        counter: the hardware's counter that goes with this key, or None.

    Raises:
        KeyStoreError: no recipient type goes with this key.
    """

    def __init__(
        self,
        key: PrivateKey,
        device_id: str = "",
        counter: StateCounter | None = None,
    ) -> None:
        self.type = _type_of(key)
        self.public = _public_bytes(key)
        self._key: PrivateKey | None = key
        self._device_id = device_id
        self._counter = counter

    def public_value(self, header: GrantHeader) -> bytes:
        """Returns the raw public key, whatever the header."""
        return self.public

    def recipient(self, device_id: str = "") -> HpkeRecipient:
        """Returns the recipient whose grants this key opens."""
        return HpkeRecipient(self.type, self.public, device_id or self._device_id)

    def unwrap(self, grant: Grant) -> bytearray:
        """Returns the decrypted grant secret; wiping it is the caller's.

        Raises:
            TamperedError: the grant does not open under this key.
            KeyStoreError: the key was closed, or its hardware failed.
        """
        key = self._opened()
        relay = Relay(key) if isinstance(key, ec.EllipticCurvePrivateKey) else None
        info = grant_context(grant.binding)
        try:
            return bytearray(_suite(self.type).decrypt(grant.wrapped, relay or _private(key), info=info))
        except (InvalidTag, ValueError):
            if relay is not None:
                relay.raise_failure()
            raise damaged() from None

    def local_key(self) -> LocalKey:
        """Returns the local key that follows from the private key's agreement with its own public key.

        For the hybrid type, the seed of its ML-KEM key comes behind the agreement of its X25519 key, so that
        installations outlive either of the two. A handle whose hardware
        has something better than an agreement, which never changes, overrides this.

        Raises:
            KeyStoreError: the key was closed, or its hardware failed.
        """
        return self._agreement()

    def _agreement(self) -> SecretLocalKey:
        return from_secret(memoryview(_agree_with_itself(self._opened())))

    def counter(self) -> StateCounter | None:
        """Returns the counter that goes with this key, or None."""
        return self._counter

    def close(self) -> None:
        """Drops the key; pyca/cryptography frees, and OpenSSL wipes, what it holds."""
        self._key = None

    def _opened(self) -> PrivateKey:
        if self._key is None:
            raise KeyStoreError("the key is closed")
        return self._key

    def __repr__(self) -> str:
        return f"HpkeHandle({self.type})"


def _suite(kind: str) -> Suite:
    return Suite(_KEMS[kind], KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _type_of(key: PrivateKey) -> str:
    if isinstance(key, tuple):
        return MLKEM768_X25519
    if isinstance(key, x25519.X25519PrivateKey):
        return X25519
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256
    raise KeyStoreError(
        "not a key that opens models", hint="use a P-256, X25519 or ML-KEM-768 with X25519 key"
    )


def _public_bytes(key: PrivateKey) -> bytes:
    if isinstance(key, tuple):
        return key[0].public_key().public_bytes_raw() + key[1].public_key().public_bytes_raw()
    if isinstance(key, x25519.X25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(*_POINT)


def _private(key: PrivateKey) -> Any:
    return MLKEM768X25519PrivateKey(*key) if isinstance(key, tuple) else key


def _agree_with_itself(key: PrivateKey) -> bytes:
    if isinstance(key, tuple):
        return _agree_with_itself(key[1]) + key[0].private_bytes_raw()
    if isinstance(key, x25519.X25519PrivateKey):
        return key.exchange(key.public_key())
    relay = Relay(key)
    try:
        return relay.exchange(ec.ECDH(), key.public_key())
    except Exception:
        relay.raise_failure()
        raise


def _load_public(kind: str, public: bytes) -> PublicKey:
    if kind not in PUBLIC_BYTES:
        raise MalformedError(f"recipient: type {kind[:64]!r} is not known to this version")
    if len(public) != PUBLIC_BYTES[kind]:
        raise MalformedError(f"recipient: a public key of type {kind} has {PUBLIC_BYTES[kind]} bytes")
    try:
        return _LOADERS[kind](public)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedError(f"recipient: not a public key of type {kind}") from None


def _load_p256(public: bytes) -> PublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)


def _load_hybrid(public: bytes) -> PublicKey:
    mlkem_key = mlkem.MLKEM768PublicKey.from_public_bytes(public[:1184])
    return MLKEM768X25519PublicKey(mlkem_key, x25519.X25519PublicKey.from_public_bytes(public[1184:]))


_LOADERS = {P256: _load_p256, X25519: x25519.X25519PublicKey.from_public_bytes, MLKEM768_X25519: _load_hybrid}
