import base64
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from modelkeep.errors import KeyStoreError, StorageError, UsageError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.recipient import issue
from modelkeep.key_purpose import Purpose
from modelkeep.keys import pkcs8, software_key
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.keys.software_key import KINDS
from modelkeep.memory import Pages

BUNDLE = os.urandom(16)
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def private(path: str, content: bytes) -> str:
    Path(path).write_bytes(content)
    Path(path).chmod(0o600)
    return path


def encrypted(path: str) -> str:
    """A P-256 key encrypted under 'secret' by OpenSSL itself."""
    FileStore().create("plain.pem")
    command = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-scrypt",
        "-in",
        "plain.pem",
        "-out",
        path,
        "-passout",
        "pass:secret",
    ]
    subprocess.run(command, check=True, capture_output=True)
    Path(path).chmod(0o600)
    return path


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_created_key_opens_what_its_recipient_is_granted(kind: str | None) -> None:
    recipient = FileStore().create("pi-17.pem", kind)
    assert recipient.type == f"hpke-{kind or 'p256'}"
    with DataKey.generate() as data_key:
        grant = issue(recipient, BUNDLE, data_key)
        with Identity("pi-17.pem").unwrap(grant, BUNDLE) as unwrapped:
            unwrapped.data_key.check_commitment(data_key.commitment(bytes(32)), bytes(32))
            assert unwrapped.device_id == "pi-17"


@pytest.mark.parametrize("kind", KINDS)
def test_created_file_is_plain_pkcs8_for_its_owner(kind: str) -> None:
    FileStore().create("pi-17.pem", kind)
    content = Path("pi-17.pem").read_bytes()
    assert Path("pi-17.pem").stat().st_mode & 0o777 == 0o600
    assert content.count(b"-----BEGIN PRIVATE KEY-----\n") == (2 if kind == "mlkem768-x25519" else 1)


@pytest.mark.parametrize(("name", "device_id"), [("pi-17.pem", "pi-17"), ("key", "key"), ("my key.pem", "")])
def test_stem_becomes_the_device_id_where_it_can(name: str, device_id: str) -> None:
    assert FileStore().create(name).device_id == device_id
    assert FileStore().open(name).recipient().device_id == device_id
    assert FileStore().open(name).recipient("other").device_id == "other"


def test_existing_key_is_kept_unless_forced() -> None:
    FileStore().create("pi.pem")
    before = Path("pi.pem").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        FileStore().create("pi.pem")
    assert Path("pi.pem").read_bytes() == before
    FileStore().create("pi.pem", force=True)
    assert Path("pi.pem").read_bytes() != before


def test_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        FileStore().create("pi.pem", "rsa")
    assert caught.value.hint == "known kinds: p256, x25519, mlkem768-x25519"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_key_that_others_can_reach_is_refused(mode: int) -> None:
    FileStore().create("pi.pem")
    Path("pi.pem").chmod(mode)
    with pytest.raises(KeyStoreError, match="others may") as caught:
        FileStore().open("pi.pem")
    assert caught.value.hint == "run: chmod 600 pi.pem"


def test_what_is_no_regular_file_is_refused_at_once() -> None:
    Path("folder").mkdir(mode=0o700)
    os.mkfifo("pipe", mode=0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(KeyStoreError, match="not a regular file"):
            FileStore().open(name)
    with pytest.raises(StorageError, match="missing"):
        FileStore().open("missing.pem")
    with pytest.raises(KeyStoreError, match="too large"):
        FileStore().open(private("large.pem", bytes(70_000)))


def pem(*keys: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return b"".join(key.private_bytes(PEM, PKCS8, PLAIN) for key in keys)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hpke-p256 AAAA pi-17\n",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()),
        pem(*(x25519.X25519PrivateKey.generate() for _ in range(4))),
    ],
)
def test_other_keys_are_no_device_keys(content: bytes) -> None:
    with pytest.raises(KeyStoreError, match="not a (private )?key that opens models"):
        FileStore().open(private("pi.pem", content))


@pytest.mark.parametrize(
    "purpose", [each for each in Purpose if each is not Purpose.OPEN], ids=lambda purpose: purpose.value
)
def test_keys_that_are_for_something_else_open_nothing(purpose: Purpose) -> None:
    plain = pem(ec.generate_private_key(ec.SECP256R1()))
    FileStore().open(private("pi.pem", Purpose.OPEN.mark + plain))
    with pytest.raises(UsageError, match="is not for anything else"):
        FileStore().open(private("other.pem", purpose.mark + plain))


def test_what_a_deleted_file_held_is_overwritten_on_the_disk_first(monkeypatch: pytest.MonkeyPatch) -> None:
    FileStore().create("pi.pem")
    size, synced = Path("pi.pem").stat().st_size, []

    def sync(descriptor: int) -> None:
        synced.append(os.pread(descriptor, size + 1, 0))
        assert Path("pi.pem").exists()

    monkeypatch.setattr(os, "fsync", sync)
    FileStore().delete("pi.pem")
    assert synced == [bytes(size)]


def test_hybrid_blocks_have_one_order() -> None:
    FileStore().create("pi.pem", "mlkem768-x25519")
    first, second = Path("pi.pem").read_bytes().split(b"-----END PRIVATE KEY-----\n")[:2]
    end = b"-----END PRIVATE KEY-----\n"
    with pytest.raises(KeyStoreError, match="not a key that opens models"):
        FileStore().open(private("swapped.pem", second + end + first + end))


def test_damaged_pem_is_said_to_be_damaged() -> None:
    content = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    with pytest.raises(KeyStoreError, match="is damaged"):
        FileStore().open(private("pi.pem", content))


def test_encrypted_key_opens_with_its_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    path = encrypted("pi.pem")
    monkeypatch.setenv("MODEL_PASSPHRASE", "secret")
    private("passphrase", b"secret\n")
    plain = FileStore().open("plain.pem")
    for option in ("passphrase-env=MODEL_PASSPHRASE", "passphrase-file=passphrase"):
        assert FileStore().open(f"{path}?{option}").public == plain.public


def test_encrypted_key_stays_shut_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    path = encrypted("pi.pem")
    monkeypatch.setenv("MODEL_PASSPHRASE", "wrong")
    with pytest.raises(KeyStoreError, match="needs a passphrase") as caught:
        FileStore().open(path)
    assert caught.value.hint is not None
    assert "passphrase-file" in caught.value.hint
    with pytest.raises(KeyStoreError, match="does not unlock"):
        FileStore().open(f"{path}?passphrase-env=MODEL_PASSPHRASE")
    with pytest.raises(KeyStoreError, match="has no passphrase"):
        FileStore().open("plain.pem?passphrase-env=MODEL_PASSPHRASE")
    with pytest.raises(UsageError, match="either"):
        FileStore().open(f"{path}?passphrase-env=A&passphrase-file=B")


@pytest.mark.parametrize("kind", KINDS)
def test_key_created_under_a_passphrase_opens_with_it_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PASSPHRASE", "secret")
    monkeypatch.setenv("WRONG_PASSPHRASE", "secrets")
    recipient = FileStore().create("pi.pem?passphrase-env=MODEL_PASSPHRASE", kind)
    assert b"-----BEGIN PRIVATE" not in Path("pi.pem").read_bytes()
    assert FileStore().open("pi.pem?passphrase-env=MODEL_PASSPHRASE").public == recipient.public
    with pytest.raises(KeyStoreError, match="does not unlock"):
        FileStore().open("pi.pem?passphrase-env=WRONG_PASSPHRASE")
    with pytest.raises(KeyStoreError, match="needs a passphrase"):
        FileStore().open("pi.pem")


def test_openssl_reads_a_key_created_under_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PASSPHRASE", "secret")
    FileStore().create("pi.pem?passphrase-env=MODEL_PASSPHRASE")
    command = ["openssl", "pkey", "-in", "pi.pem", "-passin", "pass:secret", "-noout", "-text"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "prime256v1" in result.stdout


def test_a_key_that_others_may_change_is_not_taken_for_ones_own_when_it_is_deleted(tmp_path: Path) -> None:
    FileStore().create("pi.pem")
    before = Path("pi.pem").read_bytes()
    Path("pi.pem").chmod(0o666)
    with pytest.raises(KeyStoreError, match="others may read or change"):
        FileStore().delete("pi.pem")
    assert Path("pi.pem").read_bytes() == before


def test_a_link_to_a_key_is_not_deleted_in_its_place(tmp_path: Path) -> None:
    FileStore().create("pi.pem")
    before = Path("pi.pem").read_bytes()
    Path("link.pem").symlink_to("pi.pem")
    with pytest.raises(KeyStoreError, match="is a link to the key") as refused:
        FileStore().delete("link.pem")
    assert str(refused.value.hint).endswith(f"file:{tmp_path.resolve() / 'pi.pem'}")
    assert Path("pi.pem").read_bytes() == before
    assert Path("link.pem").is_symlink()


def test_deleted_key_is_gone_and_listed_no_more(tmp_path: Path) -> None:
    FileStore().create("pi.pem")
    Path("other.pem").write_text("not a key")
    Path("other.pem").chmod(0o600)
    assert list(FileStore().list("")) == ["pi.pem"]
    FileStore().delete("pi.pem")
    assert list(FileStore().list(str(tmp_path))) == []


def test_an_encrypted_key_costs_what_is_promised_and_its_plaintext_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed: list[bytearray] = []

    def remember(plain: bytearray, passphrase: memoryview) -> bytes:
        handed.append(plain)
        assert any(plain)
        return pkcs8.encrypted_pem(plain, passphrase)

    monkeypatch.setattr(software_key, "encrypted_pem", remember)
    with Pages.allocate(4) as passphrase:
        passphrase.view[:] = b"word"
        pem = software_key.to_pem(software_key.generate("p256"), passphrase)
    assert not any(handed[0])
    # RFC 7914, section 7: N = 16384, r = 8, p = 5, after an OCTET STRING of salt.
    assert bytes.fromhex("02024000 020108 020105") in base64.b64decode(b"".join(pem.splitlines()[1:-1]))
