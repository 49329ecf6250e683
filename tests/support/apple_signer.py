"""Signs code as Apple's tools do, under an authority of our own."""

from __future__ import annotations

import datetime
import hashlib
import plistlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support import der_writer

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = int(START.timestamp()) + 86_400
TEAM = "ACME123456"

ADHOC, RUNTIME = 0x2, 0x10000
REQUIREMENTS = struct.pack(">III", 0xFADE0C01, 12, 0)


def entitlements(**granted: Any) -> bytes:
    """Returns the entitlements blob."""
    plist = plistlib.dumps({name.replace("_", "."): value for name, value in granted.items()})
    return struct.pack(">II", 0xFADE7171, 8 + len(plist)) + plist


def mach_o(code: bytes, signature: bytes) -> bytes:
    """Returns a file for one processor, whose code begins with the header that this makes."""
    whole = header(len(code)) + code
    whole = whole.replace(b"SIZE", struct.pack("<I", len(signature)), 1)
    return whole + signature


def header(code: int) -> bytes:
    """Returns the header of a file whose code has this many bytes."""
    command = struct.pack("<III", 0x1D, 16, 48 + code) + b"SIZE"
    return struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, 2, 1, len(command), 0, 0) + command


def fat(*slices: bytes) -> bytes:
    """Returns a file for several processors."""
    head, body, offset = struct.pack(">II", 0xCAFEBABE, len(slices)), b"", 4096
    for number, each in enumerate(slices):
        head += struct.pack(">5I", 0x01000007 + number, 0, offset + len(body), len(each), 12)
        body += each
    return head.ljust(offset, b"\0") + body


@dataclass
class AppleSigner:
    """A root, an authority and a team's certificate."""

    team: str = TEAM
    usage: Any = ExtendedKeyUsageOID.CODE_SIGNING
    days: int = 365
    root: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    authority: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    leaf: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def roots(self) -> frozenset[bytes]:
        """SHA-256 of the root's public key."""
        key = self.root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return frozenset({hashlib.sha256(key).digest()})

    def sign(
        self,
        code: bytes = b"code" * 3000,
        *,
        identifier: str = "com.acme.app",
        team: str | None = None,
        flags: int = RUNTIME,
        parts: Mapping[int, bytes] | None = None,
        special: Mapping[int, bytes] | None = None,
        stamp: int | None = None,
        kind: int = 2,
    ) -> bytes:
        """Returns signed code.

        Args:
            code: what follows the header.
            identifier: what the code calls itself.
            team: the team in the code directory; the certificate's by default.
            flags: of the code directory; `ADHOC` leaves the signature out.
            parts: parts of the signature by slot, requirements by default.
            special: content of parts that are elsewhere: Info.plist (1) and CodeResources (3).
            stamp: when a timestamp says it was signed.
            kind: hash of the code directory.
        """
        parts = {2: REQUIREMENTS} if parts is None else dict(parts)
        adhoc = bool(flags & ADHOC)
        named = "" if adhoc else self.team if team is None else team
        sizes = {True: 0, False: 8192}
        space = 4096 + sum(map(len, parts.values())) + sizes[adhoc] + 64 * (len(code) // 4096)
        front = header(len(code)).replace(b"SIZE", struct.pack("<I", space)) + code
        directory = code_directory(front, identifier, named, flags, {**parts, **(special or {})}, kind)
        parts[0] = directory
        if not adhoc:
            content = self.cms(directory, stamp)
            parts[0x10000] = struct.pack(">II", 0xFADE0B01, 8 + len(content)) + content
        return front + superblob(parts).ljust(space, b"\0")

    def cms(self, directory: bytes, stamp: int | None) -> bytes:
        """Returns the signature of a code directory."""
        cdhash = hashlib.sha256(directory).digest()[:20]
        listed = plistlib.dumps({"cdhashes": [cdhash]})
        more = [("1.2.840.113635.100.9.1", core.OctetString(listed))]
        certificates = self.certificates(self.usage, self.leaf)
        stamped = None if stamp is None else partial(self.token, moment=stamp)
        return signed_data(self.leaf, certificates, "data", {}, directory, more, stamped)

    def token(self, signature: bytes, moment: int) -> bytes:
        """Returns a timestamp about a signature."""
        key = ec.generate_private_key(ec.SECP256R1())
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.2.3",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": "sha256"},
                    "hashed_message": hashlib.sha256(signature).digest(),
                },
                "serial_number": 7,
                "gen_time": datetime.datetime.fromtimestamp(moment, datetime.UTC),
            }
        )
        certificates = self.certificates(ExtendedKeyUsageOID.TIME_STAMPING, key)
        return signed_data(
            key,
            certificates,
            "tst_info",
            {"content": core.ParsableOctetString(info.dump())},
            info.dump(),
            [],
        )

    def certificates(self, usage: Any, key: ec.EllipticCurvePrivateKey) -> list[x509.Certificate]:
        """Returns leaf, authority and root."""
        names = [named(self.team, self.team), named("Authority"), named("Root")]
        ends = [self.days, 3650, 3650]
        marks = [x509.ExtendedKeyUsage([usage]), _AUTHORITY, _AUTHORITY]
        keys, issuers = [key, self.authority, self.root], [self.authority, self.root, self.root]
        above = [*names[1:], names[-1]]
        links = zip(names, above, keys, issuers, marks, ends, strict=True)
        return [certificate(*link) for link in links]


_AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


def certificate(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    mark: x509.ExtensionType,
    days: int,
) -> x509.Certificate:
    """Returns a certificate."""
    return (
        x509.CertificateBuilder()
        .public_key(key.public_key())
        .subject_name(name)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=days))
        .add_extension(mark, critical=True)
        .sign(signer, hashes.SHA256())
    )


def named(common: str, unit: str | None = None) -> x509.Name:
    """Returns a name."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if unit is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(attributes)


def signed_data(
    key: ec.EllipticCurvePrivateKey,
    certificates: list[x509.Certificate],
    kind: str,
    enclosed: Mapping[str, Any],
    content: bytes,
    more: list[tuple[str, Any]],
    stamped: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Returns SignedData with one signer."""
    loaded = [asn1_x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in certificates]
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": [kind]},
            {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
            *({"type": oid, "values": [value]} for oid, value in more),
        ]
    )
    signature = key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
    signer: dict[str, Any] = {
        "version": "v1",
        "sid": {
            "issuer_and_serial_number": {
                "issuer": loaded[0].issuer,
                "serial_number": loaded[0].serial_number,
            }
        },
        "digest_algorithm": {"algorithm": "sha256"},
        "signed_attrs": attributes,
        "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
        "signature": signature,
    }
    if stamped is not None:
        name = core.ObjectIdentifier("1.2.840.113549.1.9.16.2.14").dump()
        attribute = der_writer.sequence(name, der_writer.collection([stamped(signature)]))
        signer["unsigned_attrs"] = cms.CMSAttributes.load(der_writer.collection([attribute]))
    data = {
        "version": "v3" if enclosed else "v1",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": kind, **enclosed},
        "certificates": loaded,
        "signer_infos": [signer],
    }
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())


def code_directory(
    code: bytes, identifier: str, team: str, flags: int, special: Mapping[int, bytes], kind: int = 2
) -> bytes:
    """Returns the code directory of some code."""
    algorithm, size = {1: ("sha1", 20), 2: ("sha256", 32), 4: ("sha384", 48)}[kind]
    names = identifier.encode() + b"\0" + (team.encode() + b"\0" if team else b"")
    fixed = 88
    count = max(special, default=0)
    slots = [special.get(slot) for slot in range(count, 0, -1)]
    digests = b"".join(hashlib.new(algorithm, each).digest() if each else bytes(size) for each in slots)
    pages = [code[start : start + 4096] for start in range(0, len(code), 4096)]
    offset = fixed + len(names) + len(digests)
    digests += b"".join(hashlib.new(algorithm, page).digest() for page in pages)
    total = fixed + len(names) + len(digests)
    team_offset = fixed + len(identifier) + 1 if team else 0
    head = struct.pack(
        *(">9I4BI", 0xFADE0C02, total, 0x20400, flags, offset, fixed, count, len(pages), len(code)),
        *(size, kind, 0, 12, 0),
    )
    head += struct.pack(">IIIQQQQ", 0, team_offset, 0, 0, 0, 0, 0)
    return head + names + digests


def superblob(parts: Mapping[int, bytes]) -> bytes:
    """Returns the embedded signature."""
    index, body, offset = b"", b"", 12 + 8 * len(parts)
    for slot, part in sorted(parts.items()):
        index += struct.pack(">II", slot, offset + len(body))
        body += part
    return struct.pack(">III", 0xFADE0CC0, offset + len(body), len(parts)) + index + body
