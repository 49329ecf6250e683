"""Key stores of the operating system: a session's keyring, the kernel's, systemd's credentials; live."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.recipient import issue
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import delete_key, describe_key
from modelkeep.keys.registry import create_key, open_key
from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreCheck, KeyStoreSubject
from support.needs import missing, require

BUNDLE = bytes(range(16))

# Runs in a session of its own, whose only keyring daemon was started for it.
KEYRING_CHECKS = """
import secrets
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.management import delete_key, describe_key, examine_stores
from modelkeep.keys.registry import create_key, open_key
from modelkeep.testing.keystores import KEY_STORE_CHECKS, KeyStoreSubject

for check in KEY_STORE_CHECKS:
    uri = f"keyring:pi-{secrets.token_hex(4)}"
    check(KeyStoreSubject(uri, delete=lambda: delete_key(uri)))
    print("passed", check.__name__)
for wrong in ("keyring:not-there", "keyring:not a name"):
    for attempt in (open_key, delete_key, describe_key):
        try:
            attempt(wrong)
        except (KeyStoreError, UsageError) as error:
            print(error)
        else:
            raise SystemExit(f"{attempt.__name__} found {wrong}")
create_key("keyring:pi-17")
assert describe_key("keyring:pi-17")["keyring"]
(report,) = [report for report in examine_stores() if report.scheme == "keyring"]
assert report.usable, report
"""
START_KEYRING = """
printf passphrase | gnome-keyring-daemon --unlock --components=secrets >/dev/null
exec "$0" -W error::UserWarning -c "$1"
"""


def test_secret_service_conforms(tmp_path: Path) -> None:
    require("dbus-run-session")
    require("gnome-keyring-daemon")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    command = ["dbus-run-session", "--", "sh", "-c", START_KEYRING, sys.executable, KEYRING_CHECKS]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("passed") == len(KEY_STORE_CHECKS)


def test_session_without_keyring_says_so() -> None:
    program = "from modelkeep.keys.registry import *; create_key('keyring:pi-17')"
    environment = os.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert "KeyStoreError: this session has no keyring that protects keys" in result.stderr


@pytest.fixture
def kernel_name(tmp_path: Path) -> str:
    try:
        open_key("kernel:not-there")
    except KeyStoreError as error:
        if "required key not available" not in str(error):
            missing(str(error))
    return f"test-{os.getpid()}-{tmp_path.name[-12:].strip('[]')}"


@pytest.mark.parametrize("check", KEY_STORE_CHECKS, ids=lambda check: check.__name__)
def test_kernel_store_conforms(check: KeyStoreCheck, kernel_name: str) -> None:
    uri = f"kernel:{kernel_name}"
    try:
        check(KeyStoreSubject(uri, delete=lambda: delete_key(uri)))
    finally:
        with contextlib.suppress(KeyStoreError):
            delete_key(uri)


def test_missing_key_of_the_kernel_tells_why(kernel_name: str) -> None:
    with pytest.raises(KeyStoreError, match="required key not available") as refusal:
        open_key(f"kernel:{kernel_name}")
    assert "gone after a restart" in (refusal.value.hint or "")


def test_credential_that_systemd_encrypts_opens_grants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("systemd-creds")
    recipient = FileStore().create(str(tmp_path / "pi-17.pem"))
    (tmp_path / "credentials").mkdir()
    sealed, opened = tmp_path / "pi-17.cred", tmp_path / "credentials" / "pi-17"
    _creds("encrypt", "--name=pi-17", "--with-key=host", str(tmp_path / "pi-17.pem"), str(sealed))
    assert b"PRIVATE KEY" not in sealed.read_bytes()
    # What systemd does for a unit with LoadCredentialEncrypted=pi-17:...
    _creds("decrypt", "--name=pi-17", str(sealed), str(opened))
    opened.chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with DataKey.generate() as key, Identity("systemd:pi-17") as identity:
        identity.unwrap(issue(recipient, BUNDLE, key), BUNDLE).close()
    described = describe_key("systemd:pi-17")
    assert described["lasts"] == "while the service runs"
    has_tpm = subprocess.run(["systemd-creds", "has-tpm2", "--quiet"], check=False).returncode == 0
    assert described["level"] == ("system" if has_tpm else "software")
    with pytest.raises(KeyStoreError, match="no credential 'pi-18'"):
        open_key("systemd:pi-18")


def _creds(*arguments: str) -> None:
    result = subprocess.run(["systemd-creds", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        missing(f"systemd-creds does not work here: {result.stderr.strip()}")


def test_credentials_are_made_by_systemd_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UsageError, match="systemd's own tool") as refusal:
        create_key("systemd:pi-17")
    assert "systemd-creds encrypt" in (refusal.value.hint or "")
    with pytest.raises(KeyStoreError, match="no credentials of systemd"):
        open_key("systemd:pi-17")
