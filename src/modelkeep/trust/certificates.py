"""X.509 certificates (RFC 5280): read, their keys and their names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from modelkeep import dsse, storage
from modelkeep.errors import SignatureError, UsageError
from modelkeep.signer_id import LONGEST_SUBJECT, TypedSubject

LARGEST_FILE = 2**22

CertificateSource = bytes | str | os.PathLike[str] | Iterable[x509.Certificate]

# What cryptography.x509 raises while it looks at a certificate that somebody may have made to annoy.
UNFIT = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def load(source: CertificateSource) -> tuple[x509.Certificate, ...]:
    """Returns certificates given as PEM bytes, as path of a PEM file, or ready made.

    Raises:
        StorageError: the file cannot be read.
        UsageError: no certificate in it.
    """
    if isinstance(source, str | os.PathLike):
        return storage.read_as(source, LARGEST_FILE, "certificates", load)
    if isinstance(source, bytes):
        source = _parse(source)
    certificates = tuple(source)
    if not certificates or not all(isinstance(item, x509.Certificate) for item in certificates):
        raise UsageError("expected at least one X.509 certificate")
    return certificates


def signing_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Returns the P-256, P-384 or P-521 key that a certificate speaks for.

    Raises:
        SignatureError: the certificate is for another kind of key.
    """
    try:
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            dsse.ecdsa_for(key)
            return key
    except (ValueError, UnsupportedAlgorithm, UsageError):
        pass
    raise SignatureError("the signing certificate is not for a P-256, P-384 or P-521 key")


def name_of(certificate: x509.Certificate) -> str:
    """Returns the subject in printable form (RFC 4514)."""
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        return "an unreadable subject"
    return repr(text[:200])


def _parse(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except UNFIT:
        raise UsageError(
            "no certificates in PEM form",
            hint="expected the text that begins with -----BEGIN CERTIFICATE-----",
        ) from None


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Returns that of a certificate's key (32 bytes), which outlives the certificate."""
    # Roots may have keys of other kinds than signers.
    pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).digest()


def names_of(certificate: x509.Certificate) -> list[TypedSubject]:
    """Returns the names of a certificate, the one that it goes by first."""
    return [*_common_names(certificate), *_alternative_names(certificate), _whole_name(certificate)]


def _common_names(certificate: x509.Certificate) -> list[TypedSubject]:
    try:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [_subject("cn", item.value) for item in attributes if isinstance(item.value, str)]
    except ValueError:
        # Names that cannot be decoded are nobody's names.
        return []


def _alternative_names(certificate: x509.Certificate) -> list[TypedSubject]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*UNFIT, x509.ExtensionNotFound):
        return []
    kinds = {x509.DNSName: "dns", x509.RFC822Name: "email", x509.UniformResourceIdentifier: "uri"}
    return [_subject(kinds[type(name)], name.value) for name in found if type(name) in kinds]


def _whole_name(certificate: x509.Certificate) -> TypedSubject:
    try:
        return _subject("dn", certificate.subject.rfc4514_string())
    except ValueError:
        return _subject("dn", "")


def _subject(kind: str, value: str) -> TypedSubject:
    return TypedSubject(kind, value[:LONGEST_SUBJECT])
