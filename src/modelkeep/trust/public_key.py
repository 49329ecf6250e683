"""Public keys of signers: reading them, naming them."""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse, storage
from modelkeep.errors import UsageError

LARGEST_FILE = 2**16

TrustedKey = bytes | str | os.PathLike[str] | ec.EllipticCurvePublicKey


def load(key: TrustedKey) -> ec.EllipticCurvePublicKey:
    """Returns the P-256, P-384 or P-521 key given as PEM bytes, path of a PEM file, or key object.

    Raises:
        StorageError: the file cannot be read.
        UsageError: not such a key.
    """
    if isinstance(key, str | os.PathLike):
        key = storage.read_small(key, LARGEST_FILE, "a public key")
    parsed = _parse(key) if isinstance(key, bytes) else key
    if not isinstance(parsed, ec.EllipticCurvePublicKey):
        raise UsageError("not an elliptic-curve public key", hint="use a P-256, P-384 or P-521 key")
    dsse.hash_for(parsed)
    return parsed


def to_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the key as a PEM SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def to_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the key as a DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Returns the hexadecimal SHA-256 of the PEM form.

    Source: OMS writes this value as the hint of a signature made with a bare key.
    """
    return hashlib.sha256(to_pem(key)).hexdigest()


def _parse(data: bytes) -> object:
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("not a PEM public key", hint=_hint(data)) from None


def _hint(data: bytes) -> str:
    if b"PRIVATE KEY-----" in data:
        return "this is a private key; pass the public key that belongs to it"
    if data.lstrip().startswith(b"{"):
        return "if it is a trust file, name the keys of its roots with --trust-root"
    if b"BEGIN CERTIFICATE-----" in data:
        return "pass certificates through CertificateRoots"
    return "expected the text that begins with -----BEGIN PUBLIC KEY-----"
