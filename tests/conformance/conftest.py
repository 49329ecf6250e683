"""Hardware for the conformance tests, started by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import softhsm


@pytest.fixture(scope="session")
def softhsm_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """SoftHSM's folder: its library reads the configuration once a process."""
    library, folder = softhsm.module(), tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(softhsm.configure(folder)))
        patch.setenv("PKCS11_MODULE", library)
        softhsm.initialise("first")
        softhsm.initialise("second")
        yield folder


@pytest.fixture
def token(softhsm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token's URI attributes, with a key name of the test's own; the PIN is in the environment."""
    monkeypatch.setenv("PKCS11_MODULE", softhsm.module())
    monkeypatch.setenv("MODELKEEP_PKCS11_PIN", softhsm.PIN)
    return f"token=first;object={tmp_path.name[-60:].replace('[', '').replace(']', '')}"
