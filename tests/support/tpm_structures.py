"""A TPM's structures and statements, written with keys in software: what a TPM would say, and would not."""

from __future__ import annotations

import datetime
import hashlib
import struct
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from modelkeep.posture.challenge import Asked
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.judging import Anchors, ask
from modelkeep.posture.tpm2.attest import Kind, Signed
from modelkeep.posture.tpm2.evidence import TpmEvidence
from modelkeep.posture.tpm2.reader import sized
from support.event_logs import VARIABLE, digests, event, event_log, secure_boot

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = int(START.timestamp()) + 86_400

DEVICE_KEY, ATTESTER, ENDORSEMENT = 0x204B2, 0x50472, 0x300B2
SHA256, NULL, ECDSA, ECDH, AES, CFB = 0x000B, 0x0010, 0x0018, 0x0019, 0x0006, 0x0043
_MAKER = {"2.23.133.2.1": "id:49465800", "2.23.133.2.2": "SLB9670", "2.23.133.2.3": "id:00070055"}


def curve_area(key: ec.EllipticCurvePublicKey, attributes: int, scheme: int, policy: bytes = b"") -> bytes:
    """Returns TPMT_PUBLIC of a P-256 key."""
    numbers = key.public_numbers()
    return (
        struct.pack(">HHI", 0x0023, SHA256, attributes)
        + sized(policy)
        + struct.pack(">HHHHH", NULL, scheme, SHA256, 0x0003, NULL)
        + sized(numbers.x.to_bytes(32))
        + sized(numbers.y.to_bytes(32))
    )


def rsa_area(key: rsa.RSAPublicKey, attributes: int = ENDORSEMENT) -> bytes:
    """Returns TPMT_PUBLIC of an endorsement key."""
    return (
        struct.pack(">HHI", 0x0001, SHA256, attributes)
        + sized(bytes(32))
        + struct.pack(">HHHHHI", AES, 128, CFB, NULL, key.key_size, 0)
        + sized(key.public_numbers().n.to_bytes(key.key_size // 8))
    )


def name_of(area: bytes) -> bytes:
    """Returns an object's name."""
    return struct.pack(">H", SHA256) + hashlib.sha256(area).digest()


def attested(kind: int, qualifying: bytes, body: bytes) -> bytes:
    """Returns TPMS_ATTEST."""
    front = struct.pack(">IH", 0xFF544347, kind) + sized(name_of(b"signer")) + sized(qualifying)
    return front + struct.pack(">QIIBQ", 1000, 2, 0, 1, 0x70055) + body


def quote_body(values: dict[int, bytes]) -> bytes:
    """Returns what a quote is about."""
    bits = sum(1 << index for index in values)
    selected = struct.pack(">IHB", 1, SHA256, 3) + bits.to_bytes(3, "little")
    return selected + sized(hashlib.sha256(b"".join(values[index] for index in sorted(values))).digest())


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class PaperTpm:
    """A TPM whose keys are in software, certified by a maker: its statements verify like a real one's."""

    endorsement: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    attester: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    device: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    maker: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    @property
    def point(self) -> bytes:
        """The device's public key."""
        return point_of(self.device.public_key())

    @property
    def anchors(self) -> Anchors:
        """Its maker is believed."""
        return Anchors((self._certificate(authority=True),))

    def introduction(self) -> Evidence:
        """Returns what the device shows unasked."""
        certificate = self._certificate(authority=False).public_bytes(Encoding.DER)
        tpm = TpmEvidence(
            curve_area(self.device.public_key(), DEVICE_KEY, ECDH, b"\x11" * 32),
            rsa_area(self.endorsement.public_key()),
            (certificate,),
            curve_area(self.attester.public_key(), ATTESTER, ECDSA),
        )
        return Evidence(self.point, tpm=tpm)

    def ask(self) -> Asked:
        """Returns a question to this device."""
        return ask("acme", NOW, self.introduction(), self.anchors)

    def answer(self, asked: Asked) -> Evidence:
        """Returns an answer in which everything holds."""
        introduction, nonce = self.introduction(), asked.challenge.nonce
        assert introduction.tpm is not None
        device = introduction.tpm.device
        (measured,) = digests(secure_boot(on=True))
        values = {0: bytes(32), 7: hashlib.sha256(bytes(32) + measured).digest()}
        vouched = sized(name_of(device)) + sized(name_of(b"qualified"))
        tpm = replace(
            introduction.tpm,
            opened=asked.secrets,
            certified=self.signed(asked, Kind.CERTIFY, vouched),
            created=self.signed(asked, Kind.CREATION, vouched),
            quoted=self.signed(asked, Kind.QUOTE, quote_body(values)),
            pcrs=values,
            log=event_log([event(7, VARIABLE, secure_boot(on=True))]),
        )
        return replace(introduction, nonce=nonce, tpm=tpm)

    def signed(self, asked: Asked, kind: int, body: bytes) -> Signed:
        """Returns a statement that answers a question."""
        message = attested(kind, asked.challenge.for_key(self.point), body)
        return Signed(message, self.attester.sign(message, ec.ECDSA(hashes.SHA256())))

    def _certificate(self, *, authority: bool) -> x509.Certificate:
        key = self.maker.public_key() if authority else self.endorsement.public_key()
        builder = (
            x509.CertificateBuilder()
            .public_key(key)
            .subject_name(_named("Acme TPM maker") if authority else x509.Name([]))
            .issuer_name(_named("Acme TPM maker"))
            .serial_number(7)
            .not_valid_before(START)
            .not_valid_after(START + datetime.timedelta(days=3650))
        )
        for each, critical in _extensions(authority=authority):
            builder = builder.add_extension(each, critical=critical)
        return builder.sign(self.maker, hashes.SHA384())


def _extensions(*, authority: bool) -> list[tuple[x509.ExtensionType, bool]]:
    if authority:
        return [(x509.BasicConstraints(ca=True, path_length=0), True)]
    said = [x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in _MAKER.items()]
    return [
        (x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(said))]), True),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.1")]), False),
    ]


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
