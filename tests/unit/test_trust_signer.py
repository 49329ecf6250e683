from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelkeep import dsse
from modelkeep.errors import KeyStoreError, StorageError, UsageError
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key


def write_key(
    path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_generated_key_signs_what_its_public_key_verifies(tmp_path: Path, curve: str) -> None:
    public = serialization.load_pem_public_key(create_signing_key(tmp_path / "key.pem", f"signing-{curve}"))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    signature = Signer.from_pem(tmp_path / "key.pem").sign(dsse.pae("text/plain", b"hello"))
    dsse.verify(public, signature, "text/plain", b"hello")


def test_generated_key_file_is_private_and_marked(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key.pem").read_bytes().startswith(b"modelkeep purpose: bundle\n-----BEGIN ")


def test_unknown_curve_and_an_existing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such kind"):
        create_signing_key(tmp_path / "key.pem", "signing-p192")
    create_signing_key(tmp_path / "key.pem")
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        create_signing_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_bytes() == before


def test_encrypted_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    create_signing_key(path, passphrase=b"correct horse")
    assert Signer.from_pem(path, passphrase=b"correct horse").public_key
    with pytest.raises(KeyStoreError, match="is encrypted"):
        Signer.from_pem(path)
    with pytest.raises(KeyStoreError, match="not its passphrase"):
        Signer.from_pem(path, passphrase=b"wrong")


def test_needless_or_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty passphrase"):
        create_signing_key(tmp_path / "key.pem", passphrase=b"")
    create_signing_key(tmp_path / "key.pem")
    with pytest.raises(KeyStoreError, match="is not encrypted"):
        Signer.from_pem(tmp_path / "key.pem", passphrase=b"needless")


def test_sec1_key_is_accepted(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    path.chmod(0o600)
    assert Signer.from_pem(path).public_key == key.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    create_signing_key(path)
    path.chmod(mode)
    with pytest.raises(KeyStoreError, match="others may read or change this key") as caught:
        Signer.from_pem(path)
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_key_marked_plain_does_not_sign_bundles(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "key.pem", "plain")
    with pytest.raises(UsageError, match="this key signs plain files"):
        Signer.from_pem(tmp_path / "key.pem")


def test_unmarked_key_signs_bundles(tmp_path: Path) -> None:
    path = write_key(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    assert b"purpose" not in path.read_bytes()
    assert Signer.from_pem(path).certificates == ()


def test_other_kinds_of_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="elliptic-curve"):
        Signer.from_pem(write_key(tmp_path / "ed.pem", ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(UsageError, match="secp256k1"):
        Signer.from_pem(write_key(tmp_path / "k1.pem", ec.generate_private_key(ec.SECP256K1())))


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_file_without_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyStoreError, match="not a PEM private key"):
        Signer.from_pem(path)


def test_missing_or_oversized_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        Signer.from_pem(tmp_path / "absent.pem")
    (tmp_path / "big.pem").write_bytes(b" " * (2**16 + 1))
    (tmp_path / "big.pem").chmod(0o600)
    with pytest.raises(KeyStoreError, match="too large"):
        Signer.from_pem(tmp_path / "big.pem")


def test_certificate_file_must_exist_and_hold_certificates(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "key.pem")
    with pytest.raises(StorageError):
        Signer.from_pem(tmp_path / "key.pem", certificates=tmp_path / "absent.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(UsageError, match="no certificates"):
        Signer.from_pem(tmp_path / "key.pem", certificates=tmp_path / "empty.pem")
