import base64
import hmac
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.errors import KeyStoreError, StorageError, TamperedError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.keys.fleet import FleetStore, create_device, create_master
from modelkeep.keys.identity import Identity

BUNDLE = os.urandom(16)
MASTER = bytearray(range(32))


@pytest.fixture
def data_key() -> DataKey:
    return DataKey.from_buffer(bytearray(range(32)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def private(path: str, content: bytes) -> str:
    Path(path).write_bytes(content)
    Path(path).chmod(0o600)
    return path


def test_device_key_is_hkdf_with_the_id_and_its_length_as_info() -> None:
    extracted = hmac.digest(b"modelkeep/v1/fleet", MASTER, "sha256")
    expected = hmac.digest(extracted, b"\x00\x05pi-17" + b"\x01", "sha256")
    device = FleetDevice.derive(MASTER, "pi-17")
    assert bytes(device.view) == expected
    identifier = hmac.digest(
        hmac.digest(bytes(32), expected, "sha256"), b"modelkeep/v1/fleet-id\x01", "sha256"
    )
    assert device.public == identifier


def test_ids_that_padding_could_confuse_give_different_keys_or_none() -> None:
    names = ["dev-1", "dev-10", "dev-1.", "dev-", "Dev-1", "x" * 63, "x" * 64]
    devices = [FleetDevice.derive(MASTER, name) for name in names]
    assert len({bytes(device.view) for device in devices}) == len(names)
    for name in ("dev-1\0", "dev-1\n", "", "x" * 65):
        with pytest.raises(UsageError, match="not a device id"):
            FleetDevice.derive(MASTER, name)


def test_round_trip(data_key: DataKey) -> None:
    device = FleetDevice.derive(MASTER, "pi-17")
    constraints = Constraints(not_before=7)
    grant = Grant.from_bytes(issue(device.recipient(), BUNDLE, data_key, constraints).to_bytes())
    assert len(grant.wrapped) == 112
    identity = Identity(FleetDevice.derive(MASTER, "pi-17"))
    with identity.unwrap(identity.select([grant], BUNDLE), BUNDLE) as unwrapped:
        assert bytes(unwrapped.data_key.view) == bytes(range(32))
        assert (unwrapped.device_id, unwrapped.constraints) == ("pi-17", constraints)


def flips(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        yield bytes(flipped)


def test_every_change_to_header_or_wrapped_key_is_noticed(data_key: DataKey) -> None:
    device = FleetDevice.derive(MASTER, "pi-17")
    grant = issue(device, BUNDLE, data_key)
    for header_bytes in flips(grant.header_bytes):
        with pytest.raises(TamperedError, match="damaged"):
            device.unwrap(replace(grant, header_bytes=header_bytes))
    for wrapped in flips(grant.wrapped):
        with pytest.raises(TamperedError, match="damaged"):
            device.unwrap(replace(grant, wrapped=wrapped))
    for wrapped in (b"", grant.wrapped[:-1], grant.wrapped[:-8], grant.wrapped + bytes(8)):
        with pytest.raises(TamperedError):
            device.unwrap(replace(grant, wrapped=wrapped))


def test_sibling_cannot_open(data_key: DataKey) -> None:
    grant = issue(FleetDevice.derive(MASTER, "pi-17"), BUNDLE, data_key)
    sibling = FleetDevice.derive(MASTER, "pi-18")
    with pytest.raises(TamperedError):
        sibling.unwrap(grant)


def test_master_and_device_files(folder: Path, data_key: DataKey) -> None:
    create_master("master.key")
    made = create_device("pi-17.key", "master.key", "pi-17")
    for name, words in (("master.key", 2), ("pi-17.key", 3)):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        line = (folder / name).read_text()
        assert line.endswith("\n")
        assert len(line.split()) == words
    master = base64.b64decode((folder / "master.key").read_text().split()[1])
    assert made.public == FleetDevice.derive(bytearray(master), "pi-17").public
    grant = issue(FleetStore().open("master.key?device=pi-17").recipient(), BUNDLE, data_key)
    with Identity("fleet:pi-17.key").unwrap(grant, BUNDLE) as unwrapped:
        assert unwrapped.device_id == "pi-17"


def test_device_file_does_not_hold_the_master(folder: Path) -> None:
    create_master("master.key")
    create_device("pi-17.key", "master.key", "pi-17")
    master = (folder / "master.key").read_text().split()[1]
    assert master not in (folder / "pi-17.key").read_text()


def test_store_creates_both_kinds_and_overwrites_neither(folder: Path) -> None:
    store = FleetStore()
    assert store.create("master.key", "master") is None
    device = store.create("pi-17.key?master=master.key&device=pi-17")
    assert device is not None
    assert device.device_id == "pi-17"
    before = (folder / "master.key").read_bytes()
    for address, kind in (("master.key", "master"), ("pi-17.key?master=master.key&device=pi-17", "device")):
        with pytest.raises(UsageError, match="exists already"):
            store.create(address, kind)
    store.create("master.key", "master", force=True)
    assert (folder / "master.key").read_bytes() != before


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("a.key", None),
        ("a.key", "device"),
        ("a.key", "p256"),
        ("a.key?device=pi", "device"),
        ("a.key?device=pi", "master"),
        ("a.key?color=red", "master"),
    ],
)
def test_store_refuses_incomplete_requests(folder: Path, address: str, kind: str | None) -> None:
    with pytest.raises(UsageError):
        FleetStore().create(address, kind)
    assert not list(folder.iterdir())


def test_master_needs_a_device_and_a_device_keeps_its_name(folder: Path) -> None:
    create_master("master.key")
    create_device("pi-17.key", "master.key", "pi-17")
    with pytest.raises(UsageError, match="master key"):
        FleetStore().open("master.key")
    with pytest.raises(UsageError, match="not a device id"):
        FleetStore().open("master.key?device=a/b")
    with pytest.raises(UsageError, match="of device 'pi-17'"):
        FleetStore().open("pi-17.key?device=pi-18")
    with pytest.raises(KeyStoreError, match="not a fleet's master key"):
        create_device("pi-18.key", "pi-17.key", "pi-18")


KEY = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"modelkeep-fleet-master\n",
        b"modelkeep-fleet-master " + KEY[:-4] + b"\n",
        b"modelkeep-fleet-master " + KEY + b" pi-17\n",
        b"modelkeep-fleet-device " + KEY + b"\n",
        b"modelkeep-fleet-device " + KEY + b" p/i\n",
        b"modelkeep-fleet-device " + KEY + b" pi-17\n\n",
        b"\xff" * 80,
    ],
)
def test_other_files_are_no_fleet_keys(folder: Path, content: bytes) -> None:
    with pytest.raises(KeyStoreError, match="not a fleet key"):
        FleetStore().open(private("some.key", content) + "?device=pi-17")


def test_missing_and_readable_files_are_refused(folder: Path) -> None:
    with pytest.raises(StorageError, match=r"missing\.key"):
        FleetStore().open("missing.key")
    create_master("master.key")
    Path("master.key").chmod(0o640)
    with pytest.raises(KeyStoreError) as caught:
        FleetStore().open("master.key?device=pi-17")
    assert caught.value.hint == "run: chmod 600 master.key"


def test_closing_wipes(data_key: DataKey) -> None:
    device = FleetDevice.derive(MASTER, "pi-17")
    view = device.view
    device.close()
    assert bytes(view) == bytes(32)
    assert repr(device) == "FleetDevice('pi-17')"
