"""Files that are no private key in PEM are called what they are; curve parameters in front change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import file_kind
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.keys.identity import Identity
from modelkeep.keys.software_key import generate, to_pem
from modelkeep.public_key import from_pem
from modelkeep.trust.signer import Signer

KEY = ec.generate_private_key(ec.SECP256R1())
SEC1 = KEY.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
SSH_PUBLIC = KEY.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)

OTHERS = {
    "an SSH private key": KEY.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
    ),
    "an SSH public key": SSH_PUBLIC,
    "a public key": KEY.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo),
    "a certificate": b"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
    "a certificate request": b"-----BEGIN CERTIFICATE REQUEST-----\nMII=\n",
    "a PuTTY key": b"PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\n",
    "a PGP key": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
    "a device's public line": b"hpke-p256 BAhj device\n",
    "a file in DER form": KEY.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption()),
}
USES: tuple[Callable[[Path], object], ...] = (lambda path: Identity(f"file:{path}"), Signer.from_pem)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "key"
    path.touch(0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("use", USES, ids=("device", "signer"))
def test_other_files_are_called_what_they_are(tmp_path: Path, use: Callable[[Path], object]) -> None:
    for words, content in OTHERS.items():
        with pytest.raises(KeyStoreError, match=f"key: {words}, not a private key"):
            use(written(tmp_path, content))


@pytest.mark.parametrize("use", USES, ids=("device", "signer"))
def test_parameters_of_the_curve_may_stand_in_front(tmp_path: Path, use: Callable[[Path], object]) -> None:
    use(written(tmp_path, PARAMETERS + SEC1))


def test_who_trusts_an_ssh_key_is_told_how_to_print_it() -> None:
    with pytest.raises(UsageError) as caught:
        from_pem(SSH_PUBLIC)
    assert "ssh-keygen -e -m PKCS8" in str(caught.value.hint)


def test_our_own_keys_are_told_without_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(_kind: bytes) -> NoReturn:
        raise AssertionError("an expression was compiled")

    pem = bytes(to_pem(generate("p256")))
    monkeypatch.setattr(file_kind, "_pattern", compiled)
    for own in (pem, bytes(Purpose.OPEN.mark) + pem):
        assert file_kind.not_private(memoryview(own)) is None
    with pytest.raises(AssertionError, match="was compiled"):
        file_kind.not_private(memoryview(SEC1))
