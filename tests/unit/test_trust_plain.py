from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from modelkeep import dsse
from modelkeep.errors import SignatureError, StorageError, UsageError
from modelkeep.trust import oms, plain
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.statement import Statement


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_signing_key(tmp_path / "plain.pem", "plain")
    return tmp_path / "plain.pem"


def public_pem(path: Path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def write_key(
    path: Path, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("content", [b"", b"D", b"DSSEv1", b"x" * (2**20 + 1)], ids=["0", "1", "6", "1M+1"])
def test_signed_file_verifies_until_it_changes(tmp_path: Path, key_file: Path, content: bytes) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    signature = plain.sign(path, key_file)
    plain.verify(path, signature, public_pem(key_file))
    path.write_bytes(content + b"\0")
    with pytest.raises(SignatureError, match="does not verify"):
        plain.verify(path, signature, public_pem(key_file))


@pytest.mark.parametrize("signature", [b"", b"\x30", b"garbage", bytes(72)])
def test_garbage_is_no_signature(tmp_path: Path, key_file: Path, signature: bytes) -> None:
    (tmp_path / "data").write_bytes(b"data")
    with pytest.raises(SignatureError):
        plain.verify(tmp_path / "data", signature, public_pem(key_file))


def test_bundle_key_does_not_sign_plain_files(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "bundle.pem")
    (tmp_path / "data").write_bytes(b"data")
    with pytest.raises(UsageError, match="this key signs bundles, and is not for anything else"):
        plain.sign(tmp_path / "data", tmp_path / "bundle.pem")


def test_file_that_is_a_bundle_to_be_signed_is_refused_both_ways(tmp_path: Path) -> None:
    # A P-256 signature over these bytes would be a valid bundle signature.
    key = ec.generate_private_key(ec.SECP256R1())
    key_path = write_key(tmp_path / "unmarked.pem", key)
    document = dsse.pae(oms.PAYLOAD_TYPE, Statement("model", {"manifest.json": bytes(32)}).to_bytes())
    (tmp_path / "data").write_bytes(document)
    with pytest.raises(UsageError, match="signatures of another kind cover"):
        plain.sign(tmp_path / "data", key_path)
    with pytest.raises(SignatureError, match="signatures of another kind cover"):
        plain.verify(tmp_path / "data", Signer(key).sign(document), public_pem(key_path))


def test_short_rsa_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"data")
    path = write_key(tmp_path / "rsa.pem", rsa.generate_private_key(65537, 1024))
    with pytest.raises(UsageError, match="RSA key of 1024 bits"):
        plain.sign(tmp_path / "data", path)
    with pytest.raises(UsageError, match="RSA key of 1024 bits"):
        plain.verify(tmp_path / "data", bytes(128), public_pem(path))


def test_other_kinds_of_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"data")
    ed = write_key(tmp_path / "ed.pem", ed25519.Ed25519PrivateKey.generate())
    k1 = write_key(tmp_path / "k1.pem", ec.generate_private_key(ec.SECP256K1()))
    for path in (ed, k1):
        with pytest.raises(UsageError):
            plain.sign(tmp_path / "data", path)
        with pytest.raises(UsageError):
            plain.verify(tmp_path / "data", bytes(64), public_pem(path))


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_text_without_public_key_is_refused(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "data").write_bytes(b"data")
    with pytest.raises(UsageError, match="neither a PEM public key nor a PEM certificate"):
        plain.verify(tmp_path / "data", b"", pem)


def test_missing_files_are_named(tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(StorageError, match="absent"):
        plain.sign(tmp_path / "absent", key_file)
    with pytest.raises(StorageError, match="absent"):
        plain.verify(tmp_path / "absent", b"", public_pem(key_file))
    (tmp_path / "data").write_bytes(b"data")
    with pytest.raises(StorageError, match="absent"):
        plain.sign(tmp_path / "data", tmp_path / "absent")
