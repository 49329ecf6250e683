from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelkeep import public_key
from modelkeep.errors import ExpiredError, MalformedError, SignatureError, UntrustedSignerError, UsageError
from modelkeep.signer_id import SignerId, TypedSubject
from modelkeep.trust import oms, plain
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.certificates import signing_key
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement
from modelkeep.trust.verifier import Verifier
from support.certificates import START, certificate, common_name

MIDDLE = int(START.timestamp()) + 100 * 86_400
STATEMENT = Statement("model", {"manifest.json": bytes(range(32))})

Extensions = Sequence[x509.ExtensionType]


@dataclass(frozen=True)
class Holder:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def usage(*, sign: bool = False, issue: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, issue, False, False, False)


def issue(
    name: str,
    extensions: Extensions,
    issuer: Holder | None = None,
    *,
    days: int = 365,
    curve: ec.EllipticCurve | None = None,
) -> Holder:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    marked = [(extension, isinstance(extension, x509.BasicConstraints)) for extension in extensions]
    lasts = datetime.timedelta(days=days)
    return Holder(key, certificate(common_name(name), key, marked, issuer, lasts=lasts))


AUTHORITY = (x509.BasicConstraints(True, None), usage(issue=True))
CODE_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
ANY_USE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
TLS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ROOT = issue("root", AUTHORITY, days=3650)
MIDDLE_AUTHORITY = issue("middle", (x509.BasicConstraints(True, 0),), ROOT)
LEAF = issue("publisher", (usage(sign=True), CODE_SIGNING), MIDDLE_AUTHORITY)
CHAIN = (LEAF.certificate, MIDDLE_AUTHORITY.certificate)
ROOTS = CertificateRoots([ROOT.certificate])


def verify(signer: Signer, roots: CertificateRoots, moment: int = MIDDLE) -> str:
    verifier = Verifier(roots, model="acme/detector", clock=lambda: moment)
    verified = verifier.verify_statement(oms.sign(STATEMENT, signer))
    assert verified.statement == STATEMENT
    return str(verified.signer)


def test_chain_to_a_root_is_accepted_and_named() -> None:
    assert verify(Signer(LEAF.key, CHAIN), ROOTS) == "certificate 'CN=publisher'"


def test_root_may_be_part_of_the_chain() -> None:
    assert verify(Signer(LEAF.key, (*CHAIN, ROOT.certificate)), ROOTS)


def test_roots_come_as_path_or_bytes(tmp_path: Path) -> None:
    pem = ROOT.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "roots.pem").write_bytes(pem)
    for roots in (pem, tmp_path / "roots.pem", str(tmp_path / "roots.pem")):
        assert verify(Signer(LEAF.key, CHAIN), CertificateRoots(roots))


def test_signer_reads_its_certificates_from_a_file_leaf_first(tmp_path: Path) -> None:
    key, chain, reversed_chain = tmp_path / "key.pem", tmp_path / "chain.pem", tmp_path / "reversed.pem"
    key.write_bytes(LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    pems = [certificate.public_bytes(Encoding.PEM) for certificate in CHAIN]
    chain.write_bytes(b"".join(pems))
    reversed_chain.write_bytes(b"".join(reversed(pems)))
    assert verify(Signer.from_pem(key, certificates=chain), ROOTS)
    with pytest.raises(UsageError, match="not for this private key"):
        Signer.from_pem(key, certificates=reversed_chain)


def test_other_root_of_the_same_name_is_refused() -> None:
    impostor = issue("root", AUTHORITY)
    with pytest.raises(UntrustedSignerError, match="does not lead to a trusted root"):
        verify(Signer(LEAF.key, CHAIN), CertificateRoots([impostor.certificate]))


def test_missing_intermediate_is_refused() -> None:
    with pytest.raises(UntrustedSignerError):
        verify(Signer(LEAF.key, CHAIN[:1]), ROOTS)


def test_second_root_set_is_tried_when_the_first_refuses() -> None:
    other = CertificateRoots([issue("other", AUTHORITY).certificate])
    verifier = Verifier(other, ROOTS, model="acme/detector", clock=lambda: MIDDLE)
    assert verifier.verify_statement(oms.sign(STATEMENT, Signer(LEAF.key, CHAIN)))


@pytest.mark.parametrize("day", [-1, 366])
def test_certificate_outside_its_time_is_refused(day: int) -> None:
    with pytest.raises(ExpiredError, match="valid from 2025-01-01 to 2026-01-01"):
        verify(Signer(LEAF.key, CHAIN), ROOTS, int(START.timestamp()) + day * 86_400)


def test_fixed_time_takes_the_place_of_the_clock() -> None:
    fixed = CertificateRoots([ROOT.certificate], time=START + datetime.timedelta(days=10))
    assert verify(Signer(LEAF.key, CHAIN), fixed, MIDDLE + 10 * 365 * 86_400)


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="time zone"):
        CertificateRoots([ROOT.certificate], time=datetime.datetime(2025, 1, 1))


@pytest.mark.parametrize("revoked", [LEAF, MIDDLE_AUTHORITY, ROOT])
def test_revoked_serial_anywhere_in_the_chain_is_refused(revoked: Holder) -> None:
    serials = frozenset({revoked.certificate.serial_number})
    with pytest.raises(UntrustedSignerError, match="is revoked"):
        verify(Signer(LEAF.key, CHAIN), CertificateRoots([ROOT.certificate], revoked_serials=serials))


def test_subject_is_a_name_with_its_kind() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("signer.acme.test"), x509.RFC822Name("ml@acme.test")])
    leaf = issue("publisher", (CODE_SIGNING, names), ROOT)
    for subject in ("CN=publisher", "DNS=signer.acme.test", "email=ml@acme.test", "DN=CN=publisher"):
        assert verify(
            Signer(leaf.key, (leaf.certificate,)), CertificateRoots([ROOT.certificate], subject=subject)
        )
    for other in (
        "CN=acme.test",
        "CN=signer.acme.test",
        "DNS=publisher",
        "URI=ml@acme.test",
        "EMAIL=publisher",
    ):
        with pytest.raises(UntrustedSignerError, match=f"'CN=publisher', not by '{other}'"):
            verify(Signer(leaf.key, (leaf.certificate,)), CertificateRoots([ROOT.certificate], subject=other))


@pytest.mark.parametrize("subject", ["publisher", "CN=", "=publisher", "OU=models", ""])
def test_subject_without_its_kind_is_refused(subject: str) -> None:
    with pytest.raises(UsageError, match="a subject needs its kind"):
        CertificateRoots([ROOT.certificate], subject=subject)


@pytest.mark.parametrize("extensions", [(CODE_SIGNING,), (usage(sign=True), CODE_SIGNING)])
def test_extended_usage_makes_a_signing_certificate(extensions: Extensions) -> None:
    leaf = issue("publisher", extensions, ROOT)
    assert verify(Signer(leaf.key, (leaf.certificate,)), ROOTS)


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ((), "does not say that its key signs code"),
        ((usage(sign=True),), "does not say that its key signs code"),
        ((TLS,), "codeSigning"),
        ((usage(sign=True), TLS), "codeSigning"),
        ((usage(issue=True), CODE_SIGNING), "digitalSignature"),
        ((x509.BasicConstraints(True, None), usage(sign=True, issue=True)), "cA must not be asserted"),
    ],
)
def test_certificate_for_other_purposes_is_refused(extensions: Extensions, reason: str) -> None:
    leaf = issue("publisher", extensions, ROOT)
    with pytest.raises(UntrustedSignerError) as caught:
        verify(Signer(leaf.key, (leaf.certificate,)), ROOTS)
    assert caught.value.hint is not None
    assert reason in caught.value.hint


@pytest.mark.parametrize(
    "extensions",
    [(), (x509.BasicConstraints(False, None),), (x509.BasicConstraints(True, None), usage(sign=True))],
)
def test_issuer_that_is_no_authority_is_refused(extensions: Extensions) -> None:
    issuer = issue("customer", extensions, ROOT)
    leaf = issue("publisher", (CODE_SIGNING,), issuer)
    with pytest.raises(UntrustedSignerError):
        verify(Signer(leaf.key, (leaf.certificate, issuer.certificate)), ROOTS)


@pytest.mark.parametrize("uses", [(CODE_SIGNING,), (x509.ExtendedKeyUsage([ANY_USE]),), (TLS,)])
def test_an_authority_for_other_uses_gives_no_signing_certificates(uses: Extensions) -> None:
    issuer = issue("customers", (*AUTHORITY, *uses), ROOT)
    leaf = issue("publisher", (CODE_SIGNING,), issuer)
    signer = Signer(leaf.key, (leaf.certificate, issuer.certificate))
    if uses != (TLS,):
        assert verify(signer, ROOTS)
        return
    with pytest.raises(UntrustedSignerError) as refusal:
        verify(signer, ROOTS)
    assert "for other uses than signing code" in (refusal.value.hint or "")


def test_path_length_is_respected() -> None:
    deeper = issue("deeper", AUTHORITY, MIDDLE_AUTHORITY)
    leaf = issue("publisher", (CODE_SIGNING,), deeper)
    chain = (leaf.certificate, deeper.certificate, MIDDLE_AUTHORITY.certificate)
    with pytest.raises(UntrustedSignerError):
        verify(Signer(leaf.key, chain), ROOTS)


def test_certificate_of_a_trusted_key_needs_no_root() -> None:
    verifier = Verifier(LEAF.key.public_key(), model="acme/detector")
    assert verifier.verify_statement(oms.sign(STATEMENT, Signer(LEAF.key, CHAIN)))


def test_chain_is_refused_where_only_keys_are_trusted() -> None:
    verifier = Verifier(ROOT.key.public_key(), model="acme/detector")
    with pytest.raises(UntrustedSignerError, match="CN=publisher"):
        verifier.verify_statement(oms.sign(STATEMENT, Signer(LEAF.key, CHAIN)))


def test_valid_chain_with_a_foreign_signature_is_refused() -> None:
    class Thief:
        """Signs with its own key and shows the publisher's certificates."""

        public_key = ROOT.key.public_key()
        certificates = CHAIN

        def sign(self, message: bytes) -> bytes:
            return Signer(ROOT.key).sign(message)

    verifier = Verifier(ROOTS, model="acme/detector", clock=lambda: MIDDLE)
    with pytest.raises(SignatureError, match="does not verify"):
        verifier.verify_statement(oms.sign(STATEMENT, Thief()))


def test_certificate_for_another_curve_is_refused() -> None:
    leaf = issue("publisher", (usage(sign=True),), ROOT, curve=ec.SECP256K1())
    with pytest.raises(SignatureError, match="not for a P-256"):
        signing_key(leaf.certificate)


def with_undecodable_name(issuer: Holder) -> Holder:
    """A valid certificate whose common name is marked as UTF-8 and is not."""
    leaf = issue("publisher", (CODE_SIGNING,), issuer)
    old = leaf.certificate.tbs_certificate_bytes
    new = old.replace(b"publisher", b"pub\xff\xffsher")
    signature = issuer.key.sign(new, ec.ECDSA(hashes.SHA256()))
    bits = b"\x03" + bytes([len(signature) + 1, 0]) + signature
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    body = new + algorithm + bits
    der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    return Holder(leaf.key, x509.load_der_x509_certificate(der))


def test_certificate_of_unknown_version_is_refused_everywhere(tmp_path: Path) -> None:
    der = LEAF.certificate.public_bytes(Encoding.DER).replace(
        bytes.fromhex("a003020102"), bytes.fromhex("a003020163")
    )
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    document = json.loads(oms.sign(STATEMENT, Signer(LEAF.key, CHAIN)))
    certificates = document["verificationMaterial"]["x509CertificateChain"]["certificates"]
    certificates[0]["rawBytes"] = base64.b64encode(der).decode()
    with pytest.raises(MalformedError, match="not an X"):
        oms.parse(json.dumps(document).encode())
    with pytest.raises(UsageError, match="no certificates"):
        CertificateRoots(pem)
    (tmp_path / "data").write_bytes(b"data")
    with pytest.raises(UsageError, match="neither"):
        plain.verify(tmp_path / "data", b"", pem)


def test_undecodable_name_matches_no_subject() -> None:
    leaf = with_undecodable_name(ROOT)
    signer = Signer(leaf.key, (leaf.certificate,))
    assert verify(signer, ROOTS) == "certificate an unreadable subject"
    with pytest.raises(UntrustedSignerError, match="unreadable subject, not by 'CN=publisher'"):
        verify(signer, CertificateRoots([ROOT.certificate], subject="CN=publisher"))


def test_moment_beyond_the_calendar_is_late_not_an_accident() -> None:
    with pytest.raises(ExpiredError):
        verify(Signer(LEAF.key, CHAIN), ROOTS, 2**53)


@pytest.mark.parametrize("roots", [b"", b"nonsense", []])
def test_roots_without_certificates_are_refused(roots: bytes | list[x509.Certificate]) -> None:
    with pytest.raises(UsageError):
        CertificateRoots(roots)


def who(roots: CertificateRoots, *chain: Holder) -> SignerId:
    certificates = tuple(holder.certificate for holder in chain)
    verifier = Verifier(roots, model="acme/detector", clock=lambda: MIDDLE)
    return verifier.verify_statement(oms.sign(STATEMENT, Signer(chain[0].key, certificates))).signer


def test_a_signer_stays_the_same_when_the_certificate_is_renewed() -> None:
    renewed = issue("publisher", (usage(sign=True), CODE_SIGNING), ROOT)
    before, after = who(ROOTS, LEAF, MIDDLE_AUTHORITY), who(ROOTS, renewed)
    assert before.key != after.key
    assert (before.root, before.subject) == (after.root, after.subject)
    assert before.subject == TypedSubject("cn", "publisher")
    for roots in (ROOTS, CertificateRoots([ROOT.certificate], subject="CN=publisher")):
        verifier = Verifier(roots, model="acme/detector", clock=lambda: 0)
        assert verifier.vouches("acme/detector", before)
        assert verifier.vouches("acme/detector", after)


def test_whose_word_counts_no_more() -> None:
    signer = who(ROOTS, LEAF, MIDDLE_AUTHORITY)
    other = issue("other", AUTHORITY)
    for roots in (
        CertificateRoots([other.certificate]),
        CertificateRoots([ROOT.certificate], subject="CN=somebody"),
        CertificateRoots([ROOT.certificate], subject="DNS=publisher"),
        CertificateRoots([ROOT.certificate], revoked_keys=[signer.key.hex()]),
        CertificateRoots([ROOT.certificate], revoked_keys=[(signer.root or b"").hex()]),
    ):
        assert not roots.vouches(signer)
    # A key that is trusted by itself is another signer than one with a certificate of these roots.
    assert not ROOTS.vouches(SignerId(signer.key))
    assert Verifier(LEAF.key.public_key(), model="acme/detector").vouches("a", signer)


def test_a_revoked_key_has_no_other_certificate_either() -> None:
    key = public_key.fingerprint(LEAF.key.public_key())
    with pytest.raises(UntrustedSignerError, match="is revoked"):
        verify(Signer(LEAF.key, CHAIN), CertificateRoots([ROOT.certificate], revoked_keys=[key]))
