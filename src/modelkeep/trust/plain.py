"""Signatures over plain files, the same as `openssl dgst -sha256 -sign` and `-verify` make.

Source: RFC 8017 section 8.2 (RSASSA-PKCS1-v1_5) and FIPS 186-5 (ECDSA), both over SHA-256.
"""

from __future__ import annotations

import hashlib
import os

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from modelkeep import dsse, storage
from modelkeep.errors import SignatureError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust import private_key

PIECE_BYTES = 2**20
SMALLEST_RSA_BITS = 2048

_PREHASHED = Prehashed(hashes.SHA256())


def sign(
    path: str | os.PathLike[str],
    private_key_pem_path: str | os.PathLike[str],
    passphrase: bytes | None = None,
) -> bytes:
    """Returns the signature of a file: PKCS #1 v1.5 for RSA keys, DER for elliptic-curve keys.

    Raises:
        StorageError: the file cannot be read.
        KeyStoreError: the key cannot be read or unlocked.
        UsageError: the key is for bundles or of an unsupported kind, or the file could pass
            for a signed document of another kind.
    """
    key = private_key.load(private_key_pem_path, passphrase, Purpose.PLAIN)
    digest, is_document = _digest(path)
    if is_document:
        raise UsageError(
            f"{os.fspath(path)}: is what signatures of another kind cover; plain signing must not sign it",
            hint="sign the thing itself, not the encoding that a bundle signature covers",
        )
    if isinstance(key, rsa.RSAPrivateKey):
        _check_public(key.public_key())
        return key.sign(digest, padding.PKCS1v15(), _PREHASHED)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        _check_public(key.public_key())
        return key.sign(digest, ec.ECDSA(_PREHASHED))
    raise _unsupported()


def verify(path: str | os.PathLike[str], signature: bytes, public_key_pem: bytes) -> None:
    """Checks the signature of a file.

    Args:
        path: the signed file, read in pieces.
        signature: as `sign` or openssl wrote it.
        public_key_pem: a public key, or a certificate of which only the key is used.

    Raises:
        SignatureError: it does not verify, or could be the signature of another kind of document.
        StorageError: the file cannot be read.
        UsageError: the key is not of a supported kind.
    """
    key = _check_public(_load_public(public_key_pem))
    digest, is_document = _digest(path)
    if is_document:
        raise SignatureError(f"{os.fspath(path)}: is what signatures of another kind cover, not a plain file")
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), _PREHASHED)
        else:
            key.verify(signature, digest, ec.ECDSA(_PREHASHED))
    except InvalidSignature:
        raise SignatureError(f"{os.fspath(path)}: the signature does not verify") from None


def _digest(path: str | os.PathLike[str]) -> tuple[bytes, bool]:
    # The same pass decides whether this is a document, so that no other content can slip in between.
    digest = hashlib.sha256()
    with storage.opened(path) as file:
        piece = file.read(PIECE_BYTES)
        is_document = piece.startswith(dsse.PREFIX) or _is_approval(piece)
        while piece:
            digest.update(piece)
            piece = file.read(PIECE_BYTES)
    return digest.digest(), is_document


def _is_approval(content: bytes) -> bool:
    return len(content) == dsse.APPROVAL_BYTES and content.endswith(dsse.APPROVAL_LABEL)


def _load_public(data: bytes) -> PublicKeyTypes | CertificatePublicKeyTypes:
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return x509.load_pem_x509_certificate(data).public_key()
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise UsageError(
            "neither a PEM public key nor a PEM certificate",
            hint="expected the text that begins with -----BEGIN PUBLIC KEY-----",
        ) from None


def _check_public(
    key: PublicKeyTypes | CertificatePublicKeyTypes,
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA_BITS:
            raise UsageError(f"RSA key of {key.key_size} bits", hint=f"use {SMALLEST_RSA_BITS} bits or more")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        dsse.ecdsa_for(key)
        return key
    raise _unsupported()


def _unsupported() -> UsageError:
    return UsageError("this kind of key cannot sign plain files", hint="use RSA, P-256, P-384 or P-521")
