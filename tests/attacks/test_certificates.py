"""Certificate chains that look right to everybody but the roots, the clock and the revocation list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from modelkeep.errors import ExpiredError, SignatureError, UntrustedSignerError
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.signer import Signer
from modelkeep.trust.verifier import Verifier
from support.attacker import Forgery
from support.certificates import START, YEAR, certificate, common_name
from support.command_line import CommandLine
from support.workshop import MODEL_ID, Workshop

MIDYEAR = int((START + YEAR / 2).timestamp())

AUTHORITY = (x509.BasicConstraints(True, None),)
SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]),)


@dataclass(frozen=True)
class Holder:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def _issue(name: str, extensions: Sequence[x509.ExtensionType], issuer: Holder | None = None) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = [(extension, False) for extension in extensions]
    return Holder(key, certificate(common_name(name), key, signed, issuer))


ROOT = _issue("root", AUTHORITY)
PUBLISHER = _issue("publisher", SIGNING, ROOT)


def _check(workshop: Workshop, *chain: Holder, moment: int = MIDYEAR, **options: Any) -> None:
    """Signs a bundle with the first of `chain`, sends all its certificates along, and opens it."""
    signer = Signer(chain[0].key, tuple(holder.certificate for holder in chain))
    roots = CertificateRoots([ROOT.certificate], **options)
    verifier = Verifier(roots, model=MODEL_ID, clock=lambda: moment)
    workshop.open(workshop.seal(signer=signer), verifier=verifier).close()


def test_the_publishers_chain_is_accepted(workshop: Workshop) -> None:
    _check(workshop, PUBLISHER)


def test_a_root_of_the_attackers_own_is_refused(workshop: Workshop) -> None:
    root = _issue("root", AUTHORITY)
    with pytest.raises(UntrustedSignerError, match="does not lead to a trusted root"):
        _check(workshop, _issue("publisher", SIGNING, root), root)


def test_a_self_made_certificate_is_refused(workshop: Workshop) -> None:
    with pytest.raises(UntrustedSignerError):
        _check(workshop, _issue("publisher", SIGNING))


def test_a_publisher_cannot_appoint_publishers(workshop: Workshop) -> None:
    with pytest.raises(UntrustedSignerError):
        _check(workshop, _issue("deputy", SIGNING, PUBLISHER), PUBLISHER)


def test_a_certificate_for_another_use_is_refused(workshop: Workshop) -> None:
    server = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),)
    with pytest.raises(UntrustedSignerError):
        _check(workshop, _issue("publisher", server, ROOT))


def test_a_certificate_that_does_not_say_that_it_signs_code_is_refused(workshop: Workshop) -> None:
    with pytest.raises(UntrustedSignerError):
        _check(workshop, _issue("publisher", (), ROOT))


def test_an_authority_for_mail_gives_nobody_a_signing_certificate(workshop: Workshop) -> None:
    mail = (*AUTHORITY, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]))
    office = _issue("mail office", mail, ROOT)
    with pytest.raises(UntrustedSignerError):
        _check(workshop, _issue("publisher", SIGNING, office), office)


def test_a_mail_address_that_looks_like_the_publishers_name_is_not_it(workshop: Workshop) -> None:
    names = x509.SubjectAlternativeName([x509.RFC822Name("publisher"), x509.DNSName("publisher")])
    customer = _issue("somebody else", (*SIGNING, names), ROOT)
    with pytest.raises(UntrustedSignerError, match="not by 'CN=publisher'"):
        _check(workshop, customer, subject="CN=publisher")


def test_the_command_line_asks_whose_certificate_counts(shop: CommandLine) -> None:
    (shop.folder / "root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    refused = shop.shell("modelkeep verify model.keep -t root.pem")
    assert (refused.code, "--subject CN=NAME" in refused.err) == (2, True)
    assert shop.shell("modelkeep verify model.keep -t root.pem --subject CN=publisher").code == 3


@pytest.mark.parametrize("years", [-1, 2])
def test_a_certificate_outside_its_time_is_refused(workshop: Workshop, years: int) -> None:
    moment = int((START + years * YEAR).timestamp())
    with pytest.raises(ExpiredError, match="valid from 2025-01-01"):
        _check(workshop, PUBLISHER, moment=moment)


def test_a_revoked_certificate_is_refused(workshop: Workshop) -> None:
    revoked = frozenset({PUBLISHER.certificate.serial_number})
    with pytest.raises(UntrustedSignerError, match="revoked"):
        _check(workshop, PUBLISHER, revoked_serials=revoked)


def test_another_customer_of_the_same_authority_is_refused(workshop: Workshop) -> None:
    with pytest.raises(UntrustedSignerError, match="not by 'CN=publisher'"):
        _check(workshop, _issue("somebody else", SIGNING, ROOT), subject="CN=publisher")


def test_a_certificate_with_a_name_of_an_unknown_kind_is_refused(workshop: Workshop) -> None:
    names = x509.UnrecognizedExtension(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3006a30430020200")
    )
    with pytest.raises(UntrustedSignerError, match="does not lead to a trusted root"):
        _check(workshop, _issue("publisher", (*SIGNING, names), ROOT))


def test_somebody_elses_certificate_does_not_lend_its_name(workshop: Workshop) -> None:
    attacker = _issue("attacker", SIGNING)
    forgery = Forgery(workshop.seal(signer=Signer(PUBLISHER.key, (PUBLISHER.certificate,))))
    borrowed = forgery.files["model.sig"]
    forgery.sign(Signer(attacker.key))
    signed, forgery.files["model.sig"] = forgery.files["model.sig"], borrowed
    envelope = json.loads(signed)["dsseEnvelope"]
    forgery.edit_signature(lambda document: document.update(dsseEnvelope=envelope))
    verifier = Verifier(CertificateRoots([ROOT.certificate]), model=MODEL_ID, clock=lambda: MIDYEAR)
    with pytest.raises(SignatureError, match="does not verify"):
        workshop.open(forgery.write(workshop.folder / "forged.keep"), verifier=verifier)


def test_a_certificate_wrapped_around_a_trusted_key_adds_no_name(workshop: Workshop) -> None:
    flattering = _issue("the ministry", SIGNING)
    forgery = Forgery(workshop.seal(signer=Signer(flattering.key)))
    forgery.sign(Signer(flattering.key, (flattering.certificate,)))
    verifier = Verifier(flattering.key.public_key(), model=MODEL_ID)
    with workshop.open(forgery.write(workshop.folder / "named.keep"), verifier=verifier) as session:
        assert session.report.signer is not None
        assert session.report.signer.startswith("key sha256:")
