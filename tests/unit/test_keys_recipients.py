from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from modelkeep.errors import KeepError, MalformedError, StorageError, UsageError
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.recipient_text import format_recipient, parse_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.fleet import create_master
from modelkeep.keys.recipients import check_company, load_recipients, resolve
from modelkeep.keys.software_key import KINDS

RAW = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
LINE = "hpke-x25519 j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_known_line() -> None:
    handle = HpkeHandle(x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))))
    assert format_recipient(handle.recipient()) == LINE
    assert parse_recipient(LINE).public == RAW.public_bytes_raw()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pi-17", "my key"])
def test_text_round_trip(kind: str, name: str) -> None:
    recipient = FileStore().create(f"{name}.pem", kind)
    again = parse_recipient(format_recipient(recipient))
    assert (again.type, again.public, again.device_id) == (
        recipient.type,
        recipient.public,
        recipient.device_id,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hpke-x25519",
        LINE + " pi-17 more",
        LINE + " p/i",
        LINE + " " + "x" * 65,
        LINE + "=",
        LINE[:-1],
        LINE[:-2],
        LINE[:-1] + "9",
        LINE.replace("j0", "j+"),
        LINE.replace("hpke-x25519", "hpke-p256"),
        LINE.replace("hpke-x25519", "ssh-ed25519"),
        "fleet " + LINE.split()[1],
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_recipient(text)


def test_private_key_passed_by_mistake_is_not_repeated() -> None:
    FileStore().create("pi.pem")
    secret = Path("pi.pem").read_text().splitlines()[1]
    for attempt in (lambda: parse_recipient(f"hpke-p256 {secret}"), lambda: load_recipients("pi.pem")):
        with pytest.raises(KeepError) as caught:
            attempt()
        assert secret not in str(caught.value) + str(caught.value.hint)


def test_what_a_line_is_instead_of_a_recipient_is_said() -> None:
    with pytest.raises(MalformedError, match="^.+, not a recipient$"):
        parse_recipient("-----BEGIN PUBLIC KEY-----")


def test_file_holds_several_lines_comments_and_gaps() -> None:
    other = format_recipient(FileStore().create("pi-18.pem"))
    Path("all.pub").write_text(f"# our devices\n\n{LINE} pi-17\r\n   \n{other}")
    assert [recipient.device_id for recipient in load_recipients("all.pub")] == ["pi-17", "pi-18"]
    assert [recipient.device_id for recipient in resolve([Path("all.pub")])] == ["pi-17", "pi-18"]


def test_bad_line_of_a_file_is_numbered() -> None:
    Path("all.pub").write_text(f"{LINE}\n# fine\nnonsense\n")
    with pytest.raises(MalformedError, match=r"all\.pub: line 3"):
        load_recipients("all.pub")
    Path("all.pub").write_bytes(b"\xff\xfe\n")
    with pytest.raises(MalformedError, match="not a text"):
        load_recipients("all.pub")


def test_file_without_recipients_is_refused() -> None:
    Path("none.pub").write_text("# nobody\n")
    with pytest.raises(UsageError, match="names no recipient"):
        load_recipients("none.pub")
    with pytest.raises(StorageError):
        load_recipients("missing.pub")


def test_line_and_uris_name_recipients_directly() -> None:
    create_master("master.key")
    FileStore().create("pi.pem")
    found = resolve([LINE, "fleet:master.key?device=pi-17", "file:pi.pem"])
    assert [recipient.type for recipient in found] == ["hpke-x25519", "fleet", "hpke-p256"]
    assert resolve(parse_recipient(LINE))[0].type == "hpke-x25519"


def test_passphrase_must_be_the_only_recipient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PASSPHRASE", "secret")
    alone = "passphrase:?env=MODEL_PASSPHRASE"
    assert [recipient.type for recipient in resolve([alone])] == ["passphrase"]
    for named in ([alone, LINE], [LINE, alone], [alone, alone]):
        with pytest.raises(UsageError, match="only recipient"):
            resolve(named)
    check_company([])


@pytest.mark.parametrize(
    "separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]
)
def test_a_comment_ends_where_an_editor_shows_its_end(tmp_path: Path, separator: str) -> None:
    visible, hidden = (format_recipient(FileStore().create(str(tmp_path / name))) for name in "ab")
    path = tmp_path / "devices.pub"
    path.write_bytes(f"# the line of 2026{separator}{hidden}\n{visible}\r\n".encode())
    assert [format_recipient(each) for each in resolve(path)] == [visible]  # type: ignore[arg-type]


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x1c", "\x00"])
def test_a_line_with_characters_that_nobody_sees_is_refused(tmp_path: Path, separator: str) -> None:
    line = format_recipient(FileStore().create(str(tmp_path / "a")))
    path = tmp_path / "devices.pub"
    path.write_bytes(f"{line}{separator}{line}\n".encode())
    with pytest.raises(MalformedError, match="line 1: not a recipient"):
        resolve(path)
