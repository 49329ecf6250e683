"""Public keys of signers: reading them, naming them."""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from modelkeep import dsse, storage
from modelkeep.errors import UsageError

LARGEST_FILE = 2**16
FINGERPRINT_BYTES = 32

TrustedKey = bytes | str | os.PathLike[str] | ec.EllipticCurvePublicKey
SigningPublicKey = ec.EllipticCurvePublicKey | MLDSA65PublicKey

_FORMAT = serialization.PublicFormat.SubjectPublicKeyInfo


def load(key: TrustedKey) -> ec.EllipticCurvePublicKey:
    """Returns the P-256, P-384 or P-521 key given as PEM bytes, path of a PEM file, or key object.

    Raises:
        StorageError: the file cannot be read.
        UsageError: not such a key.
    """
    if isinstance(key, str | os.PathLike):
        with storage.named(key):
            return load(storage.read_small(key, LARGEST_FILE, "a public key"))
    parsed = from_pem(key) if isinstance(key, bytes) else key
    if not isinstance(parsed, ec.EllipticCurvePublicKey):
        raise UsageError("not an elliptic-curve public key", hint="use a P-256, P-384 or P-521 key")
    dsse.ecdsa_for(parsed)
    return parsed


def from_pem(data: bytes) -> object:
    """Returns whatever public key a PEM text holds.

    Raises:
        UsageError: none that is known, or something besides it: who trusts two keys names two files.
    """
    if data.count(b"-----BEGIN ") > 1:
        raise UsageError("holds more than one key or certificate", hint="put each into a file of its own")
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("not a PEM public key", hint=_hint(data)) from None


def to_pem(key: SigningPublicKey) -> bytes:
    """Returns the key as a PEM SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.PEM, _FORMAT)


def to_der(key: SigningPublicKey) -> bytes:
    """Returns the key as a DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, _FORMAT)


def fingerprint(key: SigningPublicKey) -> str:
    """Returns the hexadecimal SHA-256 of the PEM form, 64 digits: the one name of a signer's key.

    Source: OMS writes this value as the hint of a signature made with a bare key.
    """
    return hashlib.sha256(to_pem(key)).hexdigest()


def _hint(data: bytes) -> str:
    if b"PRIVATE KEY-----" in data:
        return "this is a private key; pass the public key that belongs to it"
    if data.lstrip().startswith(b"{"):
        return "if it is a trust file, name the keys of its roots with --trust-root"
    if b"BEGIN CERTIFICATE-----" in data:
        return "pass certificates through CertificateRoots"
    if data.startswith(b"hpke-"):
        return "this is a device's public line, which models are sealed for; pass its publisher's key"
    if data.startswith((b"ssh-", b"ecdsa-sha2-")):
        return "this is an SSH key; `ssh-keygen -e -m PKCS8 -f FILE` prints the form that is read here"
    return "expected the text that begins with -----BEGIN PUBLIC KEY-----"
