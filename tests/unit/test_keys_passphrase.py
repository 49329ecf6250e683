import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from modelkeep import keywrap
from modelkeep.errors import (
    KeyStoreError,
    MalformedError,
    StorageError,
    TamperedError,
    UnavailableError,
    UsageError,
)
from modelkeep.grants import passphrase as grants_passphrase
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader
from modelkeep.grants.passphrase import PassphraseHandle, PassphraseRecipient
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.passphrase import PassphraseStore
from modelkeep.memory import Pages
from modelkeep.passphrase_source import LONGEST_PASSPHRASE, from_file, keep

BUNDLE = os.urandom(16)
PASSPHRASE = b"correct horse battery staple"


def kept(passphrase: bytes = PASSPHRASE) -> Pages:
    return keep(memoryview(passphrase))


@pytest.fixture(scope="module")
def data_key() -> Iterator[DataKey]:
    with DataKey.from_buffer(bytearray(range(32))) as key:
        yield key


@pytest.fixture(scope="module")
def grant(data_key: DataKey) -> Grant:
    return issue(PassphraseRecipient(kept(), log_n=14), BUNDLE, data_key)


def test_round_trip(grant: Grant) -> None:
    identity = Identity(PassphraseHandle(kept()))
    found = identity.select([Grant.from_bytes(grant.to_bytes())], BUNDLE)
    with identity.unwrap(found, BUNDLE) as unwrapped:
        assert bytes(unwrapped.data_key.view) == bytes(range(32))
        assert unwrapped.device_id == ""


def test_wrapped_key_is_scrypt_then_key_wrap(grant: Grant) -> None:
    assert grant.header.scrypt is not None
    shared = Scrypt(salt=grant.header.scrypt.salt, length=32, n=2**14, r=8, p=1).derive(PASSPHRASE)
    context = b"modelkeep/v1/grant" + grant.binding
    secret = keywrap.unwrap(bytearray(shared), grant.wrapped, context)
    assert secret == bytes(range(32)) + bytes(72)


def test_wrong_passphrase_is_said_to_be_possible(grant: Grant) -> None:
    with pytest.raises(TamperedError, match="passphrase is wrong, or the grant is damaged"):
        Identity(PassphraseHandle(kept(b"correct horse"))).unwrap(grant, BUNDLE)


def test_changed_header_does_not_open(grant: Grant) -> None:
    changed = replace(grant, header_bytes=grant.header_bytes.replace(b"{}", b'{"ext":{}}'))
    assert changed.header_bytes != grant.header_bytes
    with pytest.raises(TamperedError):
        PassphraseHandle(kept()).unwrap(changed)


def test_every_recipient_has_its_own_salt() -> None:
    handle = PassphraseHandle(kept())
    headers = [handle.recipient().header(BUNDLE, Constraints()) for _ in range(3)]
    assert len({header.key_id for header in headers}) == 3


@pytest.mark.parametrize("log_n", [0, 13, 21, 40])
def test_costs_out_of_bounds_cannot_be_asked_for(log_n: int) -> None:
    with pytest.raises(UsageError, match="from 14 to 20"):
        PassphraseRecipient(kept(), log_n=log_n)


def test_grant_of_another_type_is_refused_without_work(grant: Grant) -> None:
    header = GrantHeader(BUNDLE, "fleet", bytes(16))
    with pytest.raises(MalformedError, match="not a passphrase grant"):
        PassphraseHandle(kept()).unwrap(Grant(header, header.to_bytes(), grant.wrapped))


def test_a_grant_that_takes_more_memory_than_there_is_gives_no_key(
    grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def derive(**_parameters: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(grants_passphrase, "Scrypt", derive)
    with pytest.raises(UnavailableError, match="memory"):
        PassphraseHandle(kept()).unwrap(grant)


def test_passphrase_belongs_to_no_device() -> None:
    with pytest.raises(UsageError, match="no device id"):
        PassphraseHandle(kept()).recipient("pi-17")


@pytest.mark.parametrize("content", [PASSPHRASE, PASSPHRASE + b"\n", PASSPHRASE + b"\r\n"])
def test_file_may_end_its_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(0o600)
    with from_file(str(path)) as passphrase:
        assert bytes(passphrase.view) == PASSPHRASE


def test_only_one_line_end_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b" two \n\n")
    path.chmod(0o600)
    with from_file(str(path)) as passphrase:
        assert bytes(passphrase.view) == b" two \n"


def test_longest_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"x" * LONGEST_PASSPHRASE + b"\r\n")
    path.chmod(0o600)
    assert from_file(str(path)).size == LONGEST_PASSPHRASE
    path.write_bytes(b"x" * (LONGEST_PASSPHRASE + 1))
    path.chmod(0o600)
    with pytest.raises(KeyStoreError, match="longer than"):
        from_file(str(path))


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_empty_passphrases_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyStoreError, match="empty"):
        PassphraseStore().open(f"?file={path}")


def test_store_reads_variable_and_file(grant: Grant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PASSPHRASE", PASSPHRASE.decode())
    (tmp_path / "passphrase").write_bytes(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    for address in ("?env=MODEL_PASSPHRASE", f"?file={tmp_path / 'passphrase'}"):
        with Identity(f"passphrase:{address}").unwrap(grant, BUNDLE) as unwrapped:
            assert bytes(unwrapped.data_key.view) == bytes(range(32))


def test_store_says_what_is_missing(tmp_path: Path) -> None:
    store = PassphraseStore()
    with pytest.raises(KeyStoreError, match="MODEL_MISSING"):
        store.open("?env=MODEL_MISSING")
    with pytest.raises(StorageError, match="missing"):
        store.open(f"?file={tmp_path / 'missing'}")
    with pytest.raises(UsageError, match="either"):
        store.open("?file=a&env=B")
    with pytest.raises(UsageError, match="not created"):
        store.create("")


def test_passphrase_in_the_address_is_refused_and_not_repeated() -> None:
    for address in ("hunter2", "hunter2?env=A", "?passphrase=hunter2"):
        with pytest.raises(UsageError) as caught:
            PassphraseStore().open(address)
        assert "hunter2" not in str(caught.value)


ASK = """
from modelkeep.passphrase_source import from_terminal
passphrase = from_terminal()
print(bytes(passphrase.view))
"""


def test_terminal_is_asked_without_echo() -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-c", f"import os; os.setsid(){ASK}"]
    with subprocess.Popen(command, stdin=child, stdout=subprocess.PIPE, stderr=child) as process:
        shown = os.read(parent, 1024)
        os.write(parent, PASSPHRASE + b"\n")
        assert process.stdout is not None
        assert process.stdout.read() == repr(PASSPHRASE).encode() + b"\n"
    shown += os.read(parent, 1024)
    os.close(child)
    os.close(parent)
    assert shown.split() == [b"passphrase:"]


def test_without_terminal_nobody_waits() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )
    assert b"KeyStoreError: there is no terminal" in done.stderr


def test_closing_wipes() -> None:
    passphrase = kept()
    view = passphrase.view
    handle = PassphraseHandle(passphrase)
    assert "correct" not in repr(handle) + repr(handle.recipient())
    handle.close()
    assert bytes(view) == bytes(len(PASSPHRASE))
