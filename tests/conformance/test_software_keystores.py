"""The key stores that need nothing but files pass the suite that others have to pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.keys.fleet import create_master
from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreCheck, KeyStoreSubject

every_check = pytest.mark.parametrize("check", KEY_STORE_CHECKS, ids=lambda check: check.__name__)


@every_check
@pytest.mark.parametrize("kind", ["p256", "x25519", "mlkem768-x25519"])
def test_file_store_conforms(check: KeyStoreCheck, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pi-17.pem"
    check(KeyStoreSubject(f"file:{path}", kind=kind, delete=path.unlink))


@every_check
def test_fleet_store_conforms(check: KeyStoreCheck, tmp_path: Path) -> None:
    path, master = tmp_path / "pi-17.key", tmp_path / "master.key"
    create_master(str(master))
    check(KeyStoreSubject(f"fleet:{path}", f"fleet:{path}?master={master}&device=pi-17"))
