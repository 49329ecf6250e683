"""A prover with a TPM who lies: statements of other TPMs, of no TPM, of other times, about other keys."""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import PostureError, UntrustedSignerError
from modelkeep.posture.challenge import Asked
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.judging import Anchors, ask, judge
from modelkeep.posture.policy import AllOf, MaximumAge, Policy, Prove
from modelkeep.posture.tpm2.attest import Signed
from modelkeep.posture.tpm2.evidence import TpmEvidence
from support.attesting import AttestedKey, answered, introduced, quoted_for
from support.event_logs import VARIABLE, digests, event, event_log, secure_boot
from support.swtpm import SoftwareTpm, copy_of, manufacture

# The certificates are made after this line, and count from then on.
NOW = int(time.time()) + 3600
IN_TPM = Prove("key-protection", ("tpm",))
MEASURED = AllOf(MaximumAge(600), IN_TPM, Prove("pcr-7"))
SECURE = AllOf(IN_TPM, Prove("secure-boot", (True,)))


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A maker of TPMs, with the state of a new one."""
    folder = tmp_path_factory.mktemp("maker")
    manufacture(folder)
    return folder


@pytest.fixture(scope="module")
def anchors(maker: Path) -> Anchors:
    """The maker is believed."""
    pem = (maker / "authority" / "issuercert.pem").read_bytes()
    return Anchors(tuple(x509.load_pem_x509_certificates(pem)))


@pytest.fixture
def tpm(maker: Path, tmp_path: Path) -> Iterator[SoftwareTpm]:
    """The TPM of a device."""
    yield from running(maker, tmp_path / "tpm")


@pytest.fixture
def another(tmp_path: Path) -> Iterator[SoftwareTpm]:
    """The TPM of another device."""
    manufacture(tmp_path / "other maker")
    yield from running(tmp_path / "other maker", tmp_path / "another")


def running(manufactured: Path, folder: Path) -> Iterator[SoftwareTpm]:
    device = copy_of(manufactured, folder)
    device.start()
    yield device
    device.stop(clean=False)


def refused(evidence: Evidence, asked: Asked, anchors: Anchors, policy: Policy = MEASURED) -> str:
    verdict = judge(evidence.to_bytes(), asked, anchors, policy, NOW)
    assert not verdict.accepted
    return "; ".join(verdict.refusals)


def with_tpm(evidence: Evidence, **changes: Any) -> Evidence:
    assert evidence.tpm is not None
    return replace(evidence, tpm=replace(evidence.tpm, **changes))


def tpm_of(evidence: Evidence) -> TpmEvidence:
    assert evidence.tpm is not None
    return evidence.tpm


def test_a_replayed_answer_is_refused(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked, later = (ask("acme", NOW, introduced(key), anchors) for _ in range(2))
    old = answered(key, asked.challenge)
    assert judge(old.to_bytes(), asked, anchors, MEASURED, NOW).accepted
    assert "another question" in refused(old, later, anchors)
    # The nonce alone is easily exchanged; what the TPM signed with it is not.
    assert "did not open" in refused(replace(old, nonce=later.challenge.nonce), later, anchors)
    fresh = answered(key, later.challenge)
    assert "another question" in refused(with_tpm(fresh, quoted=tpm_of(old).quoted), later, anchors)


def test_an_answer_for_another_asker_is_refused(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    relayed = replace(asked.challenge, origin="somebody else")
    assert "another question" in refused(answered(key, relayed), asked, anchors)


def test_the_quote_of_another_tpm_proves_nothing(
    tpm: SoftwareTpm, another: SoftwareTpm, anchors: Anchors
) -> None:
    # The device's own state is bad, so that it shows the honest quote of another device.
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    own = answered(key, asked.challenge)
    helper = AttestedKey(another)
    foreign = tpm_of(quoted_for(helper, asked.challenge, key.point))
    mixed = with_tpm(own, attester=foreign.attester, quoted=foreign.quoted, certified=None, pcrs=foreign.pcrs)
    # Its key opened no credential; claiming the other key's answer is found out.
    assert "did not open" in refused(mixed, asked, anchors)
    opened = {"device": tpm_of(own).opened["device"]}
    silent = with_tpm(mixed, opened=opened)
    assert "pcr-7 is only claimed" in refused(silent, asked, anchors)


def test_a_key_in_a_file_does_not_borrow_a_tpm(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    file_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = file_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    asked = ask("acme", NOW, introduced(key), anchors)
    lent = replace(answered(key, asked.challenge), device_key=point)
    assert "another key than the device's" in refused(lent, asked, anchors)
    # With a public area made up for the key there is no TPM that opens the credential bound to its name.
    forged = area_of(tpm_of(lent).device, point)
    mine = with_tpm(lent, device=forged)
    assert "did not open" in refused(mine, asked, anchors)
    with pytest.raises(PostureError):
        ask("acme", NOW, replace(introduced(key), device_key=point), anchors)


def area_of(area: bytes, point: bytes) -> bytes:
    """Returns a public area with another key in it."""
    return area[:-68] + struct.pack(">H", 32) + point[1:33] + struct.pack(">H", 32) + point[33:]


def test_a_quote_that_software_signed_proves_nothing(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    own = ec.generate_private_key(ec.SECP256R1())
    point = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    honest = introduced(key)
    lie = with_tpm(honest, attester=area_of(tpm_of(honest).attester, point))
    asked = ask("acme", NOW, lie, anchors)
    plain = replace(asked.challenge, credentials={"device": asked.challenge.credentials["device"]})
    answer = with_tpm(answered(key, plain), attester=tpm_of(lie).attester, certified=None)
    quoted = tpm_of(answer).quoted
    assert quoted is not None
    green = {**tpm_of(answer).pcrs, 7: b"\7" * 32}
    attested = with_values(quoted.attested, green)
    forged = Signed(attested, own.sign(attested, ec.ECDSA(hashes.SHA256())))
    assert "pcr-7 is only claimed" in refused(with_tpm(answer, quoted=forged, pcrs=green), asked, anchors)


def with_values(attested: bytes, values: dict[int, bytes]) -> bytes:
    composite = hashlib.sha256(b"".join(values[index] for index in sorted(values))).digest()
    return attested[:-32] + composite


def test_values_that_were_not_quoted_are_refused(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    honest = answered(key, asked.challenge)
    values = dict(tpm_of(honest).pcrs)
    other = with_tpm(honest, pcrs=values | {7: b"\7" * 32})
    assert "other PCR values" in refused(other, asked, anchors)
    fewer = with_tpm(honest, pcrs={index: value for index, value in values.items() if index != 4})
    assert "other PCRs" in refused(fewer, asked, anchors)
    unquoted = with_tpm(honest, quoted=None)
    assert "pcr-7 is only claimed: not quoted" in refused(unquoted, asked, anchors)


def test_a_secret_that_was_guessed_is_refused(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    honest = answered(key, asked.challenge)
    guessed = with_tpm(honest, opened=dict(tpm_of(honest).opened) | {"device": bytes(32)})
    assert "did not open" in refused(guessed, asked, anchors)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (0x204B2 & ~0x2, "may leave the TPM"),
        (0x204B2 & ~0x10, "may leave the TPM"),
        (0x204B2 & ~0x20, "may leave the TPM"),
        (0x204B2 & ~0x80, "used without its policy"),
        (0x204B2 | 0x40, "used without its policy"),
        (0x204B2 | 0x40000, "used without its policy"),
    ],
)
def test_a_key_that_is_not_bound_to_its_tpm_is_refused(
    tpm: SoftwareTpm, anchors: Anchors, attributes: int, why: str
) -> None:
    honest = introduced(AttestedKey(tpm))
    area = tpm_of(honest).device
    other = area[:4] + struct.pack(">I", attributes) + area[8:]
    assert struct.unpack_from(">I", area, 4) == (0x204B2,)
    assert ask("acme", NOW, honest, anchors)
    with pytest.raises(PostureError, match=why):
        ask("acme", NOW, with_tpm(honest, device=other), anchors)


def test_a_tpm_of_a_maker_that_nobody_knows_is_refused(
    another: SoftwareTpm, tpm: SoftwareTpm, anchors: Anchors
) -> None:
    unknown, known = AttestedKey(another), AttestedKey(tpm)
    with pytest.raises(UntrustedSignerError):
        ask("acme", NOW, introduced(unknown), anchors)
    # Nor does the certificate of a TPM that is known help.
    borrowed = with_tpm(introduced(unknown), certificates=tpm_of(introduced(known)).certificates)
    with pytest.raises(PostureError, match="another endorsement key"):
        ask("acme", NOW, borrowed, anchors)


def test_a_log_counts_as_far_as_the_quote_goes(tpm: SoftwareTpm, anchors: Anchors) -> None:
    (measured,) = digests(secure_boot(on=False))
    tpm.extend(7, measured)
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    off, on = (event_log([event(7, VARIABLE, secure_boot(on=state))]) for state in (False, True))
    relabelled = event_log([event(7, VARIABLE, secure_boot(on=True), measured)])
    assert "secure-boot is no" in refused(answered(key, asked.challenge, off), asked, anchors, SECURE)
    for log in (on, relabelled, b""):
        answer = answered(key, asked.challenge, log)
        assert "secure-boot is not shown" in refused(answer, asked, anchors, SECURE)


def test_a_device_that_started_with_secure_boot_is_accepted(tpm: SoftwareTpm, anchors: Anchors) -> None:
    (measured,) = digests(secure_boot(on=True))
    tpm.extend(7, measured)
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    log = event_log([event(7, VARIABLE, secure_boot(on=True))])
    assert judge(answered(key, asked.challenge, log).to_bytes(), asked, anchors, SECURE, NOW).accepted
