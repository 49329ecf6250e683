"""Paths to a pinned root."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelkeep.errors import ExpiredError, MalformedError, UntrustedSignerError
from modelkeep.posture import certificates

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = int(START.timestamp()) + 86_400
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "middle", "lower", "leaf")}
AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


def issue(name: str, issuer: str, *extensions: x509.ExtensionType, days: int = 30) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .public_key(KEYS[name].public_key())
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=days))
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(KEYS[issuer], hashes.SHA256())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


ROOT = issue("root", "root", AUTHORITY)
MIDDLE = issue("middle", "root", AUTHORITY)
LOWER = issue("lower", "middle", AUTHORITY)
LEAF = issue("leaf", "lower")


def test_a_path_is_found_in_any_order() -> None:
    for others in ([MIDDLE, LOWER], [LOWER, MIDDLE], [ROOT, MIDDLE, LOWER, LOWER]):
        path = certificates.path_to_root(LEAF, others, [ROOT], NOW)
        assert path == (LEAF, LOWER, MIDDLE, ROOT)
    assert certificates.path_to_root(LEAF, [], [LOWER], NOW) == (LEAF, LOWER)


def usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def test_usages_and_lengths_that_allow_it_are_fine() -> None:
    lower = issue("lower", "middle", x509.BasicConstraints(ca=True, path_length=0), usage(sign=True))
    assert certificates.path_to_root(LEAF, [MIDDLE, lower], [ROOT], NOW)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [MIDDLE],
        [MIDDLE, issue("lower", "middle")],
        [MIDDLE, issue("lower", "middle", AUTHORITY, usage(sign=False))],
        [issue("middle", "root", x509.BasicConstraints(ca=True, path_length=0)), LOWER],
        [issue("middle", "middle", AUTHORITY), LOWER],
        [issue("middle", "lower", AUTHORITY), LOWER],
    ],
)
def test_paths_that_lead_nowhere_are_refused(others: list[x509.Certificate]) -> None:
    with pytest.raises(UntrustedSignerError):
        certificates.path_to_root(LEAF, others, [ROOT], NOW)


def test_times_count() -> None:
    with pytest.raises(ExpiredError):
        certificates.path_to_root(LEAF, [MIDDLE, LOWER], [ROOT], NOW + 40 * 86_400)
    short = issue("lower", "middle", AUTHORITY, days=1)
    with pytest.raises(ExpiredError, match="lower"):
        certificates.path_to_root(LEAF, [MIDDLE, short], [ROOT], NOW + 5 * 86_400)


def test_demands_that_are_not_known_are_refused_unless_the_caller_meets_them() -> None:
    oid = x509.ObjectIdentifier("1.2.3.4")
    leaf = issue("leaf", "root", x509.UnrecognizedExtension(oid, b"\x05\x00"))
    with pytest.raises(UntrustedSignerError, match=r"1\.2\.3\.4"):
        certificates.path_to_root(leaf, [], [ROOT], NOW)
    assert certificates.path_to_root(leaf, [], [ROOT], NOW, understood=[oid])
    assert certificates.extension(leaf, "1.2.3.4") == b"\x05\x00"
    assert certificates.extension(leaf, "1.2.3.5") is None


def test_what_is_no_certificate_is_refused() -> None:
    for junk in (b"", b"\x30\x00", bytes(20_000)):
        with pytest.raises(MalformedError):
            certificates.parse(junk, "certificate")
    with pytest.raises(MalformedError, match="1 to 16"):
        certificates.parse_all([], "chain")
