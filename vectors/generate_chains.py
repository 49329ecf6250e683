"""Writes the vectors of certificate chains into vectors/v1/chains.json."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from modelkeep import public_key
from modelkeep.errors import KeepError
from modelkeep.trust.certificate_roots import CertificateRoots
from support.certificates import START, YEAR, Extension, Key, certificate, common_name

TARGET = Path(__file__).parent / "v1" / "chains.json"
NOW = int((START + YEAR / 2).timestamp())

SIGNS_CODE: Extension = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
MAIL: Extension = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
ANY_USE: Extension = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)


def authority(longest: int | None = None) -> Extension:
    """Returns what makes a certificate one of an authority."""
    return x509.BasicConstraints(True, longest), True


def usage(*, signs: bool = False, issues: bool = False) -> Extension:
    """Returns a key usage with one or both of two bits."""
    return x509.KeyUsage(
        signs, False, not signs and not issues, False, False, issues, False, False, False
    ), True


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    key: Key
    certificate: x509.Certificate


def issue(
    name: str | x509.Name,
    *extensions: Extension,
    issuer: Holder | None = None,
    key: Key | None = None,
    end: datetime.timedelta = YEAR,
) -> Holder:
    """Returns a new certificate; self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = common_name(name) if isinstance(name, str) else name
    return Holder(key, certificate(subject, key, extensions, issuer, lasts=end))


class ChainVectors:
    """Notes chains with what a reader must make of them."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.root = issue("root", authority())
        self.publisher = issue("publisher", SIGNS_CODE, issuer=self.root)

    def add(self, name: str, error: str | None, *chain: Holder, **options: Any) -> None:
        """Adds a case, and holds it against this reader."""
        root = options.pop("root", self.root)
        now = options.pop("now", NOW)
        case = {
            "name": name,
            "roots": root.certificate.public_bytes(Encoding.PEM).decode(),
            "chain": [
                base64.b64encode(each.certificate.public_bytes(Encoding.DER)).decode() for each in chain
            ],
            "subject": options.get("subject"),
            "revoked_serials": [str(serial) for serial in options.get("revoked_serials", ())],
            "revoked_keys": list(options.get("revoked_keys", ())),
            "now": now,
            "error": error,
        }
        try:
            signer = CertificateRoots([root.certificate], **options).check(
                [each.certificate for each in chain], now
            )
            case["signer"] = signer.to_json()
            found = None
        except KeepError as refusal:
            found = type(refusal).__name__
        if found != error:
            raise SystemExit(f"{name}: expected {error}, found {found}")
        self.cases.append(case)

    def chains(self) -> None:
        """Paths from a certificate to a root."""
        root, publisher = self.root, self.publisher
        office = issue("office", authority(), issuer=root)
        below = issue("publisher", SIGNS_CODE, issuer=office)
        self.add("plain", None, publisher)
        self.add("with the root", None, publisher, root)
        self.add("over an office", None, below, office)
        self.add("out of order", None, below, root, publisher, office)
        self.add("the office is missing", "UntrustedSignerError", below)
        self.add("another root", "UntrustedSignerError", publisher, root=issue("root", authority()))
        self.add("self-made", "UntrustedSignerError", issue("publisher", SIGNS_CODE))
        deputy = issue("deputy", SIGNS_CODE, issuer=publisher)
        self.add("a publisher appoints nobody", "UntrustedSignerError", deputy, publisher)
        leaf = issue("office", authority(), SIGNS_CODE, issuer=root)
        self.add("an authority signs no models", "UntrustedSignerError", leaf)
        narrow = issue("narrow", authority(0), issuer=root)
        inner = issue("inner", authority(), issuer=narrow)
        too_long = issue("publisher", SIGNS_CODE, issuer=inner)
        self.add("longer than the authority allows", "UntrustedSignerError", too_long, inner, narrow)

    def uses(self) -> None:
        """What certificates are for."""
        refused = "UntrustedSignerError"
        for name, extensions, error in [
            ("no use stated", (), refused),
            ("mail", (MAIL,), refused),
            ("any use", (ANY_USE,), refused),
            ("key usage signs", (SIGNS_CODE, usage(signs=True)), None),
            ("key usage does not sign", (SIGNS_CODE, usage()), refused),
            ("unknown critical extension", (SIGNS_CODE, self.unknown(is_critical=True)), refused),
            ("unknown extension", (SIGNS_CODE, self.unknown(is_critical=False)), None),
        ]:
            self.add(name, error, issue("publisher", *extensions, issuer=self.root))
        for name, extensions, error in [
            ("an authority for code", (authority(), SIGNS_CODE), None),
            ("an authority for any use", (authority(), ANY_USE), None),
            ("an authority for mail", (authority(), MAIL), refused),
            ("an authority that issues", (authority(), usage(issues=True)), None),
            ("an authority that does not issue", (authority(), usage(signs=True)), refused),
            ("no authority", (), refused),
        ]:
            office = issue("office", *extensions, issuer=self.root)
            self.add(name, error, issue("publisher", SIGNS_CODE, issuer=office), office)
        mail_root = issue("root", authority(), MAIL)
        under = issue("publisher", SIGNS_CODE, issuer=mail_root)
        self.add("a root for mail", refused, under, root=mail_root)

    @staticmethod
    def unknown(*, is_critical: bool) -> Extension:
        """Returns an extension that nobody knows."""
        return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), is_critical

    def times_and_lists(self) -> None:
        """Times, serial numbers and keys."""
        last = int((START + YEAR).timestamp())
        self.add("last second", None, self.publisher, now=last)
        self.add("too late", "ExpiredError", self.publisher, now=last + 1)
        self.add("too early", "ExpiredError", self.publisher, now=int(START.timestamp()) - 1)
        brief = issue("office", authority(), issuer=self.root, end=YEAR / 4)
        under = issue("publisher", SIGNS_CODE, issuer=brief)
        self.add("the authority has ended", "UntrustedSignerError", under, brief)
        old_root = issue("root", authority(), end=YEAR / 4)
        under = issue("publisher", SIGNS_CODE, issuer=old_root)
        self.add("the root has ended", "UntrustedSignerError", under, root=old_root)
        serial = self.publisher.certificate.serial_number
        self.add(
            "revoked serial", "UntrustedSignerError", self.publisher, revoked_serials=frozenset({serial})
        )
        key = self.publisher.certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        revoked = [public_key.fingerprint(key)]
        self.add("revoked key", "UntrustedSignerError", self.publisher, revoked_keys=revoked)

    def names(self) -> None:
        """Names and their kinds."""
        self.add("the common name", None, self.publisher, subject="CN=publisher")
        self.add("another name", "UntrustedSignerError", self.publisher, subject="CN=publishers")
        others = x509.SubjectAlternativeName(
            [
                x509.RFC822Name("models@acme.example"),
                x509.DNSName("acme.example"),
                x509.UniformResourceIdentifier("https://acme.example/models"),
            ]
        )
        customer = issue("customer", SIGNS_CODE, (others, False), issuer=self.root)
        for subject in [
            "EMAIL=models@acme.example",
            "dns=acme.example",
            "URI=https://acme.example/models",
            "DN=CN=customer",
        ]:
            self.add(subject, None, customer, subject=subject)
        self.add("a mail address is no name", "UntrustedSignerError", customer, subject="CN=acme.example")
        for name in self.odd_names():
            whole = name.rfc4514_string()
            holder = issue(name, SIGNS_CODE, issuer=self.root)
            self.add(f"whole name {whole!r}", None, holder, subject=f"DN={whole}")

    @staticmethod
    def odd_names() -> Sequence[x509.Name]:
        """Returns subjects whose text needs care."""

        def attribute(kind: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
            return x509.NameAttribute(kind, value)

        return [
            x509.Name(
                [
                    attribute(NameOID.COUNTRY_NAME, "DE"),
                    attribute(NameOID.ORGANIZATION_NAME, 'Müller, "Söhne" + Co; <KG>'),
                    attribute(NameOID.COMMON_NAME, "#1 \\ models "),
                ]
            ),
            x509.Name(
                [attribute(NameOID.EMAIL_ADDRESS, "a@b.example"), attribute(NameOID.COMMON_NAME, " x")]
            ),
            x509.Name(
                [
                    x509.RelativeDistinguishedName(
                        [attribute(NameOID.COMMON_NAME, "one"), attribute(NameOID.USER_ID, "two")]
                    ),
                    x509.RelativeDistinguishedName([attribute(NameOID.DOMAIN_COMPONENT, "example")]),
                ]
            ),
        ]

    def keys(self) -> None:
        """Kinds of keys."""
        curve = issue("publisher", SIGNS_CODE, issuer=self.root, key=ec.generate_private_key(ec.SECP521R1()))
        self.add("P-521", None, curve)
        for name, size, error in [("RSA 2048", 2048, None), ("RSA 1024", 1024, "UntrustedSignerError")]:
            root = issue("root", authority(), key=rsa.generate_private_key(65537, size))
            self.add(name, error, issue("publisher", SIGNS_CODE, issuer=root), root=root)


def main() -> None:
    """Makes all of them."""
    vectors = ChainVectors()
    for group in (vectors.chains, vectors.uses, vectors.times_and_lists, vectors.names, vectors.keys):
        group()
    text = json.dumps({"format": "modelkeep/chains", "version": 1, "chains": vectors.cases}, indent=1)
    TARGET.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
