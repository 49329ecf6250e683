"""Attested keys as an Android device makes them, under a root of our own.

Shapes follow real chains: key, attestation certificate, intermediate with a serial number in its name (put in
at the factory) or Google's name (renewed every few weeks), root.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from modelkeep.posture.android.key_description import EXTENSION
from support import der_writer as der

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = int(datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC).timestamp())
DAYS = datetime.timedelta(days=365)

AGREE_KEY, SIGN, ATTEST_KEY = 6, 2, 7
SIGNER = hashlib.sha256(b"the application's certificate").digest()


def root_of_trust(*, locked: bytes = b"\xff", state: int = 0) -> bytes:
    """Returns tag 704: what the boot loader found."""
    return der.sequence(
        der.octets(b"\x11" * 32), der.value(b"\x01", locked), der.enumerated(state), der.octets(b"\x22" * 32)
    )


def hardware_list(
    *, purposes: Sequence[int] = (AGREE_KEY,), origin: int = 0, root: bytes | None = None, patch: int = 202605
) -> dict[int, bytes]:
    """Returns the list that hardware enforces, of a device key on a locked device."""
    return {
        1: der.collection([der.integer(purpose) for purpose in purposes]),
        2: der.integer(3),
        3: der.integer(256),
        10: der.integer(1),
        503: b"\x05\x00",
        702: der.integer(origin),
        704: root_of_trust() if root is None else root,
        705: der.integer(160000),
        706: der.integer(patch),
        718: der.integer(20260505),
    }


def software_list() -> dict[int, bytes]:
    """Returns the list that Android says."""
    package = der.sequence(der.octets(b"com.acme.sensor"), der.integer(7))
    application = der.sequence(der.collection([package]), der.collection([der.octets(SIGNER)]))
    return {701: der.integer(1_780_000_000_000), 709: der.octets(application)}


def authorizations(members: Mapping[int, bytes]) -> bytes:
    """Returns an authorization list, in the order that is given."""
    return der.sequence(*[der.tagged(number, inner) for number, inner in members.items()])


def description(
    challenge: bytes,
    *,
    hardware: Mapping[int, bytes] | None = None,
    software: Mapping[int, bytes] | None = None,
    level: int = 1,
) -> bytes:
    """Returns the extension's value."""
    return der.sequence(
        *(der.integer(300), der.enumerated(level), der.integer(300), der.enumerated(level)),
        *(der.octets(challenge), der.octets(b"")),
        authorizations(software_list() if software is None else software),
        authorizations(hardware_list() if hardware is None else hardware),
    )


@dataclass
class Maker:
    """A root, an intermediate and an attestation key, like a manufacturer's."""

    factory: bool = True
    root: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    middle: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP384R1())
    )
    attestation: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the root's public key."""
        key = self.root.public_key()
        return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()

    def attest(self, key: ec.EllipticCurvePublicKey, extension: bytes | None) -> list[bytes]:
        """Returns the chain of a key, key first, in DER."""
        names = [_name("Android Keystore Key"), _name("TEE"), self._middle_name(), _name("root")]
        links = [
            certificate(key, names[0], self.attestation, names[1], extension=extension, authority=False),
            certificate(self.attestation.public_key(), names[1], self.middle, names[2]),
            certificate(self.middle.public_key(), names[2], self.root, names[3]),
            certificate(self.root.public_key(), names[3], self.root, names[3]),
        ]
        return [link.public_bytes(Encoding.DER) for link in links]

    def _middle_name(self) -> x509.Name:
        if self.factory:
            return x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "87f4514475ba0a2b")])
        return _name("Droid CA2")


def certificate(
    key: ec.EllipticCurvePublicKey,
    name: x509.Name,
    issuer: ec.EllipticCurvePrivateKey,
    issuer_name: x509.Name,
    *,
    extension: bytes | None = None,
    authority: bool = True,
) -> x509.Certificate:
    """Returns a certificate of one link."""
    builder = (
        x509.CertificateBuilder()
        .public_key(key)
        .subject_name(name)
        .issuer_name(issuer_name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + DAYS)
    )
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if extension is not None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(EXTENSION), extension)
        builder = builder.add_extension(unknown, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
