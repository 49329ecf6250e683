"""Evidence of a software TPM: asked, answered, judged; and the TPM's own tools agree about quotes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelkeep.errors import KeyStoreError
from modelkeep.posture.challenge import Asked, Challenge
from modelkeep.posture.finding import Finding
from modelkeep.posture.judging import Anchors, ask, judge
from modelkeep.posture.policy import AllOf, Claim, MaximumAge, Prove, UnsafeNoPolicy
from modelkeep.posture.tpm2.public_area import PublicArea
from modelkeep.posture.verdict import Verdict
from support.attesting import AttestedKey, answered, introduced
from support.needs import require
from support.swtpm import SoftwareTpm, copy_of, manufacture

# The certificates are made after this line, and count from then on.
NOW = int(time.time()) + 3600
PROVEN = AllOf(MaximumAge(600), Prove("key-protection", ("tpm",)), Prove("pcr-7", ("0" * 64,)))


@pytest.fixture(scope="module")
def manufactured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a new TPM and the authority that certified it."""
    folder = tmp_path_factory.mktemp("manufactured")
    manufacture(folder)
    return folder


@pytest.fixture
def tpm(manufactured: Path, tmp_path: Path) -> Iterator[SoftwareTpm]:
    """A running TPM."""
    device = copy_of(manufactured, tmp_path / "tpm")
    device.start()
    yield device
    device.stop(clean=False)


@pytest.fixture(scope="module")
def anchors(manufactured: Path) -> Anchors:
    """The maker of these TPMs."""
    pem = (manufactured / "authority" / "issuercert.pem").read_bytes()
    return Anchors(tuple(x509.load_pem_x509_certificates(pem)))


def found(verdict: Verdict) -> dict[str, Finding]:
    return {finding.name: finding for finding in verdict.findings}


def test_a_device_key_is_proven_to_be_in_its_tpm(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked = Asked.from_bytes(ask("acme", NOW, introduced(key), anchors).to_bytes())
    evidence = answered(key, Challenge.from_bytes(asked.challenge.to_bytes()))
    verdict = judge(evidence.to_bytes(), asked, anchors, PROVEN, NOW + 5)
    verdict.require()
    assert verdict.device_key == key.point
    assert verdict.hardware.startswith("tpm:")
    assert verdict.age == 5
    assert found(verdict)["key-policy"].value == key.policy.hex()
    assert found(verdict)["tpm-model"].value == "swtpm"
    assert all(finding.proven for finding in verdict.findings)


@pytest.mark.parametrize("left_out", ["device", "attester"])
def test_either_way_of_tying_the_key_to_the_tpm_suffices(
    tpm: SoftwareTpm, anchors: Anchors, left_out: str
) -> None:
    from dataclasses import replace

    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    evidence = answered(key, asked.challenge)
    assert evidence.tpm is not None
    opened = {name: secret for name, secret in evidence.tpm.opened.items() if name != left_out}
    weaker = replace(evidence, tpm=replace(evidence.tpm, opened=opened))
    verdict = judge(weaker.to_bytes(), asked, anchors, Prove("key-protection"), NOW)
    assert verdict.accepted
    # Without a credential for the key that signs, what it signs is not the TPM's word.
    assert found(verdict)["pcr-7"].proven == (left_out == "device")


def test_a_device_in_another_state_shows_that_state(tpm: SoftwareTpm, anchors: Anchors) -> None:
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    tpm.extend(7, b"\1" * 32)
    with pytest.raises(KeyStoreError, match="state"):
        answered(key, asked.challenge)
    # The device can still show that it is the one, and in which state, for somebody to approve that.
    evidence = answered(key, asked.challenge, unapproved=True)
    assert evidence.tpm is not None
    assert (evidence.tpm.certified, set(evidence.tpm.opened)) == (None, {"attester"})
    verdict = judge(evidence.to_bytes(), asked, anchors, PROVEN, NOW)
    assert verdict.refusals == (f"pcr-7 is {evidence.tpm.pcrs[7].hex()}, not {'0' * 64}",)
    assert "created" in found(verdict)["key-protection"].why


def test_introductions_prove_nothing(tpm: SoftwareTpm, anchors: Anchors) -> None:
    evidence = introduced(AttestedKey(tpm)).to_bytes()
    verdict = judge(evidence, None, anchors, UnsafeNoPolicy(), NOW)
    assert verdict.accepted
    assert not any(finding.proven for finding in verdict.findings)
    assert not judge(evidence, None, anchors, Prove("key-protection"), NOW).accepted
    assert judge(evidence, None, anchors, Claim("key-protection", ("tpm",)), NOW).accepted


def test_a_credential_for_another_tpm_is_not_opened(
    manufactured: Path, tpm: SoftwareTpm, anchors: Anchors, tmp_path: Path
) -> None:
    other_folder = tmp_path / "other"
    manufacture(other_folder)
    other = copy_of(other_folder, tmp_path / "second")
    other.start()
    try:
        asked = ask("acme", NOW, introduced(AttestedKey(tpm)), anchors)
        with pytest.raises(KeyStoreError):
            answered(AttestedKey(other), asked.challenge)
    finally:
        other.stop(clean=False)


def test_the_tools_of_the_tpm_agree_about_a_quote(tpm: SoftwareTpm, anchors: Anchors, tmp_path: Path) -> None:
    require("tpm2_checkquote", "tpm2-tools")
    key = AttestedKey(tpm)
    asked = ask("acme", NOW, introduced(key), anchors)
    evidence = answered(key, asked.challenge).tpm
    assert evidence is not None
    assert evidence.quoted is not None
    public = PublicArea.parse(evidence.attester, "attester").key
    qualifying = asked.challenge.for_key(key.point)
    good = (evidence.quoted.attested, evidence.quoted.signature, qualifying)
    flipped = good[0][:-1] + bytes([good[0][-1] ^ 1])
    (tmp_path / "key.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert checkquote(tmp_path, *good)
    assert not checkquote(tmp_path, flipped, *good[1:])
    assert not checkquote(tmp_path, *good[:2], bytes(32))


def checkquote(folder: Path, attested: bytes, signature: bytes, qualifying: bytes) -> bool:
    (folder / "message").write_bytes(attested)
    (folder / "signature").write_bytes(signature)
    command = ["tpm2_checkquote", "-u", "key.pem", "-m", "message", "-s", "signature", "-q", qualifying.hex()]
    command += ["-g", "sha256"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["EK-RSA2048", "EK-ECC256"])
def test_credentials_for_every_kind_of_endorsement_key_open_in_the_tpm(tpm: SoftwareTpm, kind: str) -> None:
    from tpm2_pytss import ESYS_TR, TPM2B_SENSITIVE_CREATE
    from tpm2_pytss.utils import NVReadEK, create_ek_template

    from modelkeep.keys.tpm2.device import connected
    from modelkeep.posture.tpm2.credential import make_credential
    from modelkeep.probes.tpm2_endorsement import open_credential
    from modelkeep.probes.tpm2_evidence import attesting_key

    with connected(tpm.tcti) as connection:
        _, template = create_ek_template(kind, NVReadEK(connection.esapi))
        created = connection.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
        key, public = created[0], created[1]
        connection.flush_later(key)
        endorsement = PublicArea.parse(bytes(public.publicArea.marshal()), "endorsement key")
        with attesting_key(connection) as (attester, area):
            name = PublicArea.parse(area, "attesting key").name
            good = make_credential(endorsement, name, b"secret" * 5)
            opened = open_credential(connection, key, attester, ESYS_TR.PASSWORD, good)
            assert opened == b"secret" * 5
    # Under the name of another object the TPM opens nothing.
    other = make_credential(endorsement, name[:-1] + b"\0", b"secret")
    with pytest.raises(KeyStoreError), connected(tpm.tcti) as connection:
        created = connection.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
        key = connection.flush_later(created[0])
        with attesting_key(connection) as (attester, _):
            open_credential(connection, key, attester, ESYS_TR.PASSWORD, other)
