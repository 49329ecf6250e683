"""Keys in a TPM pass the key-store suite, live against a software TPM."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreCheck, KeyStoreSubject
from support.swtpm import SoftwareTpm

PASSPHRASE = b"correct horse"


@pytest.fixture(params=["", "&handle=0x81010017", "&pcrs=none"], ids=["file", "persistent", "no-pcrs"])
def subject(
    request: pytest.FixtureRequest, tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> KeyStoreSubject:
    path = tmp_path / "pi-17.tpm"
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE.decode())
    monkeypatch.setenv("WRONG_PASSPHRASE", "incorrect horse")
    uri = f"tpm2:{path}?auth-env=KEY_PASSPHRASE{request.param}"

    def restart() -> None:
        tpm.restart()
        monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)

    def delete() -> None:
        store_delete(uri)

    return KeyStoreSubject(
        uri,
        locked_uri=f"tpm2:{path}?auth-env=WRONG_PASSPHRASE",
        secrets=(PASSPHRASE, b"incorrect horse"),
        delete=delete,
        restart=restart,
    )


def store_delete(uri: str) -> None:
    from modelkeep.keys.tpm2.store import TpmStore

    TpmStore().delete(uri.removeprefix("tpm2:"))


@pytest.mark.parametrize("check", KEY_STORE_CHECKS, ids=lambda check: check.__name__)
def test_tpm_store_conforms(check: KeyStoreCheck, subject: KeyStoreSubject) -> None:
    check(subject)
