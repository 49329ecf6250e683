"""Certificates that end, and times that somebody says they signed at."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME, Clock
from modelkeep.errors import ExpiredError, RefusedError, UntrustedSignerError
from modelkeep.grants.constraints import Constraints
from modelkeep.trust import timestamps
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.attacker import Forgery
from support.time_authority import TimeAuthority
from support.workshop import MODEL_ID, Workshop

DAY = 86_400


@dataclass
class Stage:
    """A publisher with a certificate of one day, an authority of time, and a device two years later."""

    workshop: Workshop
    authority: TimeAuthority
    root: x509.Certificate
    certificate: x509.Certificate
    signer: Signer

    def verifier(self, days: float = 730, *, believed: bool = True, **options: Any) -> Verifier:
        return Verifier(
            CertificateRoots([self.root], **options),
            model=MODEL_ID,
            clock=lambda: time.time() + days * DAY,
            time_authorities=[self.authority.root] if believed else None,
        )

    def seal(self, **options: Any) -> Path:
        settings: dict[str, Any] = {"signer": self.signer, "timestamp": self.authority.url}
        return self.workshop.seal(**(settings | options))

    def opens(self, path: Path, verifier: Verifier) -> None:
        self.workshop.open(path, verifier=verifier).close()


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    root_key, root = issue("root", x509.BasicConstraints(True, None), days=3650)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    key, certificate = issue("publisher", usage, days=1, issuer=(root_key, root))
    authority = TimeAuthority(tmp_path / "authority")
    with authority.serving():
        yield Stage(workshop, authority, root, certificate, Signer(key, (certificate,)))


def issue(
    name: str,
    extension: x509.ExtensionType,
    *,
    days: float,
    issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(extension, critical=False)
    )
    return key, builder.sign(key if issuer is None else issuer[0], hashes.SHA256())


def test_a_model_outlives_the_certificate_that_signed_it(stage: Stage) -> None:
    bundle = stage.seal()
    installed = stage.workshop.folder / "installed.keep"
    install(bundle, installed, identity=stage.workshop.identity(), verifier=stage.verifier(0))
    for path in (bundle, installed):
        stage.opens(path, stage.verifier())
        with pytest.raises(ExpiredError, match="certificate"):
            stage.opens(path, stage.verifier(believed=False))


def test_without_timestamp_a_certificate_ends(stage: Stage) -> None:
    plain = stage.seal(timestamp=None)
    stage.opens(plain, stage.verifier(0))
    with pytest.raises(ExpiredError, match="certificate"):
        stage.opens(plain, stage.verifier())


def test_a_certificate_that_ended_before_the_timestamp_signs_nothing(stage: Stage) -> None:
    key, root = issue("root of before", x509.BasicConstraints(True, None), days=3650)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    thief, certificate = issue("publisher", usage, days=-0.5, issuer=(key, root))
    late = stage.seal(signer=Signer(thief, (certificate,)))
    verifier = Verifier(CertificateRoots([root]), model=MODEL_ID, time_authorities=[stage.authority.root])
    with pytest.raises(ExpiredError, match="certificate"):
        stage.opens(late, verifier)


def test_a_revoked_certificate_is_not_saved_by_a_timestamp(stage: Stage) -> None:
    bundle = stage.seal()
    key = public_key.fingerprint(stage.signer.public_key)
    serial = stage.certificate.serial_number
    for revoked in ({"revoked_serials": frozenset({serial})}, {"revoked_keys": [key]}):
        with pytest.raises(UntrustedSignerError, match="revoked"):
            stage.opens(bundle, stage.verifier(**revoked))


def test_the_timestamp_of_another_signature_says_nothing(stage: Stage) -> None:
    first, second = Forgery(stage.seal()), Forgery(stage.seal())
    said = json.loads(first.files["model.sig"])["verificationMaterial"]["timestampVerificationData"]

    def borrow(document: dict[str, Any]) -> None:
        document["verificationMaterial"]["timestampVerificationData"] = said

    first.edit_signature(borrow)
    stage.opens(first.write(stage.workshop.folder / "own.keep"), stage.verifier())
    second.edit_signature(borrow)
    with pytest.raises(ExpiredError, match="certificate"):
        stage.opens(second.write(stage.workshop.folder / "borrowed.keep"), stage.verifier())


def test_a_device_without_a_clock_learns_the_time_from_what_it_installs(stage: Stage) -> None:
    workshop = stage.workshop
    publisher = Publisher(workshop.signer.public_key, ("*",))
    trust = TrustFile(1, LATEST_TIME, (publisher,), authorities=(stage.authority.root,))
    # Time is remembered for those who signed the file.
    trust = workshop.signed(trust)
    unset = Clock(lambda: 0, is_vouched=lambda: False, built=0)
    verifier = Verifier.from_trust_file(trust, model=UnsafeAnyModel(), clock=unset)
    began = workshop.seal(model="acme/classifier", constraints=Constraints(not_before=int(time.time()) - 60))
    with pytest.raises(ExpiredError, match="not valid before"):
        stage.opens(began, verifier)
    bundle = stage.seal(signer=workshop.signer)
    install(bundle, workshop.folder / "it.keep", identity=workshop.identity(), verifier=verifier)
    stage.opens(began, verifier)
    later = workshop.seal(model="acme/other", constraints=Constraints(not_before=int(time.time()) + 3600))
    with pytest.raises(ExpiredError, match="not valid before"):
        stage.opens(later, verifier)


def test_an_authority_of_the_attackers_own_says_nothing(stage: Stage, tmp_path: Path) -> None:
    other = TimeAuthority(tmp_path / "other")
    with other.serving():
        bundle = stage.seal(timestamp=other.url)
    with pytest.raises(ExpiredError, match="certificate"):
        stage.opens(bundle, stage.verifier())


def test_a_time_of_sealing_after_the_timestamp_is_a_lie(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(timestamps, "_TOLERANCE", 2**40)
        patch.setattr(time, "time", lambda: real() + 365 * DAY)
        bundle = stage.seal(signer=stage.workshop.signer)
    verifier = stage.workshop.verifier(time_authorities=[stage.authority.root])
    with pytest.raises(RefusedError, match="sealed later than the time that was signed"):
        stage.opens(bundle, verifier)
