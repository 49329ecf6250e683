"""Certificates as tests and vectors need them: by whom, for what, and for how long."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

START = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
YEAR = datetime.timedelta(days=365)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
# An extension, and whether who does not know it has to refuse.
Extension = tuple[x509.ExtensionType, bool]


class Issuer(Protocol):
    """Who has a key and a certificate."""

    @property
    def key(self) -> Key: ...

    @property
    def certificate(self) -> x509.Certificate: ...


def common_name(name: str) -> x509.Name:
    """Returns a subject with nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    subject: x509.Name,
    key: Key,
    extensions: Iterable[Extension],
    issuer: Issuer | None = None,
    *,
    lasts: datetime.timedelta = YEAR,
    serial: int | None = None,
) -> x509.Certificate:
    """Returns a new certificate from `START` on; self-signed without an issuer."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + lasts)
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())
