"""Publishers' keys outside of files: whatever holds them, the bundle verifies; live."""

from __future__ import annotations

import datetime
import gc
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from modelkeep import plugins, public_key
from modelkeep.cli import main
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.keys.registry import create_key
from modelkeep.trust.envelope import Envelope
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import BundleSigner, Signer
from modelkeep.trust.signers import GROUP, open_signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.repository.ceremony import Ceremony
from support import softhsm
from support.repository import SmallRepository
from support.swtpm import SoftwareTpm
from support.tuf_reader import read_targets
from support.workshop import MODEL_ID, Workshop


def opens(workshop: Workshop, signer: BundleSigner) -> bool:
    """Seals with a signer, opens with its public key."""
    bundle = workshop.seal(signer=signer)
    trusted = public_key.to_pem(signer.public_key)
    return bool(workshop.read(bundle, verifier=Verifier(trusted, model=MODEL_ID)))


def test_key_in_a_tpm_signs_bundles(workshop: Workshop, tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'publisher.tpm'}?pcrs=none"
    create_key(uri, "signing")
    assert opens(workshop, open_signer(uri))


def test_key_in_a_token_signs_bundles(workshop: Workshop, token: str) -> None:
    create_key(f"pkcs11:{token}", "signing")
    assert opens(workshop, open_signer(f"pkcs11:{token}"))


def test_roots_in_a_file_a_tpm_and_a_token_sign_a_trust_file_one_after_the_other(
    workshop: Workshop, tpm: SoftwareTpm, token: str, tmp_path: Path
) -> None:
    create_signing_key(tmp_path / "root.pem", "root")
    uris = [f"file:{tmp_path / 'root.pem'}", f"tpm2:{tmp_path / 'root.tpm'}?pcrs=none", f"pkcs11:{token}"]
    for uri in uris[1:]:
        create_key(uri, "signing")
    trust = TrustFile(1, LATEST_TIME, (Publisher(workshop.signer.public_key, ("*",)),))
    (tmp_path / "trust.json").write_bytes(trust.to_bytes())
    for uri in uris:
        assert main(["trust", "sign", str(tmp_path / "trust.json"), "-s", uri, "--yes"]) == 0
    roots = [open_signer(uri, purpose=Purpose.ROOT).public_key for uri in uris]
    data = (tmp_path / "trust.json").read_bytes()
    assert TrustFile.from_bytes(data, roots, 3) == trust
    assert Envelope.from_bytes(data).payload == Envelope.from_bytes(trust.to_bytes()).payload


def test_roles_of_a_repository_have_their_keys_in_a_tpm_and_a_token(
    small: SmallRepository, tpm: SoftwareTpm, token: str, tmp_path: Path
) -> None:
    uris = {"phase": f"tpm2:{tmp_path / 'phase.tpm'}?pcrs=none", "online": f"pkcs11:{token}"}
    for place, uri in uris.items():
        create_key(uri, "signing")
        small.keys[place] = open_signer(uri, purpose=Purpose.CHANNEL)
    small.keys["models"] = Signer(ec.generate_private_key(ec.SECP384R1()))
    for place in (*uris, "models"):
        Ceremony(small.repository).bring(place, small.keys[place].public_key)
    assert small.advance().is_published
    name = small.publish().document.name
    (found,) = read_targets(small.folder, tmp_path / "client", small.first_root, name)
    assert found is not None


def test_key_of_a_service_signs_bundles(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "service.pub").write_bytes(create_signing_key(tmp_path / "service.pem"))
    assert opens(workshop, open_signer(f"file2:{tmp_path / 'service.pem'}#{tmp_path / 'service.pub'}"))


def test_key_of_a_service_that_is_not_the_one_expected_is_named(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "other.pub").write_bytes(create_signing_key(tmp_path / "other.pem"))
    create_signing_key(tmp_path / "service.pem")
    with pytest.raises(KeyStoreError, match="'file2' failed"):
        open_signer(f"file2:{tmp_path / 'service.pem'}#{tmp_path / 'other.pub'}")


def test_token_through_securesystemslib_signs_bundles(
    workshop: Workshop, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That library finds keys by an id of two hexadecimal digits.
    create_key(f"pkcs11:{token};id=%07", "signing")
    signer = open_signer(f"pkcs11:{token};id=%07")
    (tmp_path / "token.pub").write_bytes(public_key.to_pem(signer.public_key))
    monkeypatch.setenv("PYKCS11LIB", softhsm.module())
    monkeypatch.setenv("MODELKEEP_SIGNER_SECRET", softhsm.PIN)
    # A login is the whole process's: what others left open of the token would be in this library's way.
    del signer
    gc.collect()
    assert opens(workshop, open_signer(f"hsm:7?label=first#{tmp_path / 'token.pub'}"))


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [("nosuchkms:alias/publisher#a.pub", "unknown signer scheme"), ("awskms:alias/publisher", "public key")],
)
def test_signer_that_cannot_be_made_tells_why(uri: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        open_signer(uri)


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "securesystemslib", missing)
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", missing)
    with pytest.raises(KeyStoreError, match="cannot be loaded") as refusal:
        open_signer("awskms:alias/publisher#a.pub")
    assert "modelkeep[signers]" in (refusal.value.hint or "")
    monkeypatch.setitem(sys.modules, "modelkeep.keys.tpm2.signer", missing)
    with pytest.raises(KeyStoreError, match="cannot be loaded") as refusal:
        open_signer("tpm2:publisher.tpm")
    assert "apt-get install libtss2-dev" in (refusal.value.hint or "")
    assert "modelkeep[tpm2]" in (refusal.value.hint or "")


def test_passphrase_goes_with_files_alone() -> None:
    with pytest.raises(UsageError, match="does not take its passphrase"):
        open_signer("pkcs11:token=first;object=a", passphrase=b"secret")


def test_file_is_the_usual_place(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "publisher.pem", "signing-p384")
    signer = open_signer(tmp_path / "publisher.pem")
    assert isinstance(signer.public_key.curve, ec.SECP384R1)
    assert open_signer(f"file:{tmp_path / 'publisher.pem'}").public_key == signer.public_key


def test_two_packages_for_one_signer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(EntryPoint("twice", f"package_{number}:Signer", GROUP) for number in range(2))
    monkeypatch.setattr(plugins, "entry_points", points.select)
    with pytest.raises(KeyStoreError, match="several packages"):
        open_signer("twice:x")


def test_errors_of_foreign_signers_keep_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("odd", "builtins:int", GROUP)])
    monkeypatch.setattr(plugins, "entry_points", points.select)
    with pytest.raises(KeyStoreError, match="'odd' failed: TypeError") as refusal:
        open_signer("odd:pin=1234")
    assert "1234" not in str(refusal.value)


def test_certificates_of_another_key_are_refused(token: str, tmp_path: Path) -> None:
    create_key(f"pkcs11:{token}", "signing")
    (tmp_path / "chain.pem").write_bytes(self_signed(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(UsageError, match="not for this private key"):
        open_signer(f"pkcs11:{token}", certificates=tmp_path / "chain.pem")


def self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2036))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
