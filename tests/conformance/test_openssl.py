"""Both directions with `openssl dgst`: it verifies our plain signatures, we verify its."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelkeep.errors import SignatureError
from modelkeep.trust import plain
from modelkeep.trust.signing_keys import create_signing_key
from support.needs import require

KINDS = {
    "rsa-2048": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "rsa-3072": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"),
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
}


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    require("openssl")
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, check=False)


def must(result: subprocess.CompletedProcess[bytes]) -> None:
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module", params=KINDS)
def key(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key made by openssl, with its public key beside it."""
    path = tmp_path_factory.mktemp(request.param) / "key.pem"
    must(openssl("genpkey", *KINDS[request.param], "-out", path))
    must(openssl("pkey", "-in", path, "-pubout", "-out", path.with_suffix(".pub")))
    return path


@pytest.fixture(params=[0, 1, 2**20 + 3], ids=["empty", "byte", "pieces"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(b"\xa5" * request.param)
    return path


def test_openssl_verifies_our_signature(key: Path, data: Path, tmp_path: Path) -> None:
    signature = tmp_path / "signature"
    signature.write_bytes(plain.sign(data, key))
    command = ("dgst", "-sha256", "-verify", key.with_suffix(".pub"), "-signature", signature, data)
    must(openssl(*command))
    data.write_bytes(data.read_bytes() + b"!")
    assert openssl(*command).returncode != 0


def test_we_verify_the_signature_of_openssl(key: Path, data: Path, tmp_path: Path) -> None:
    signature = tmp_path / "signature"
    must(openssl("dgst", "-sha256", "-sign", key, "-out", signature, data))
    public = key.with_suffix(".pub").read_bytes()
    plain.verify(data, signature.read_bytes(), public)
    data.write_bytes(data.read_bytes() + b"!")
    with pytest.raises(SignatureError):
        plain.verify(data, signature.read_bytes(), public)


def test_certificate_stands_for_its_key(key: Path, data: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    must(openssl("req", "-x509", "-new", "-key", key, "-subj", "/CN=signer", "-out", certificate))
    plain.verify(data, plain.sign(data, key), certificate.read_bytes())


def test_openssl_reads_our_marked_and_encrypted_key(data: Path, tmp_path: Path) -> None:
    path, signature = tmp_path / "key.pem", tmp_path / "signature"
    public = create_signing_key(path, "plain", passphrase=b"correct horse")
    unlocked = ("-sign", path, "-passin", "pass:correct horse")
    must(openssl("dgst", "-sha256", *unlocked, "-out", signature, data))
    plain.verify(data, signature.read_bytes(), public)
    plain.verify(data, plain.sign(data, path, b"correct horse"), public)
