"""The store of fleet keys: files that hold a fleet's master key, or the key of one of its devices.

Key files hold one line, ``modelkeep-fleet-master BASE64`` or ``modelkeep-fleet-device BASE64 ID``.
Source: spec/grant-v1.md, "Fleet".
"""

from __future__ import annotations

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.fleet_device import FLEET_KEY_BYTES, FleetDevice
from modelkeep.key_address import parse_address
from modelkeep.keys import fleet_file
from modelkeep.memory import wiped
from modelkeep.memory.randomness import fill_random


class FleetStore:
    """Key store for ``fleet:DEVICE-FILE`` and ``fleet:MASTER-FILE?device=ID``."""

    def open(self, address: str) -> FleetDevice:
        """Returns a device's key, derived when the file holds the master.

        Raises:
            UsageError: a master without a device id, or a device's file with another one.
            StorageError: the file cannot be read.
            KeyStoreError: the file is not a fleet key, or not private.
        """
        parsed = parse_address(address, frozenset({"device"}))
        device_id = parsed.options.get("device", "")
        with fleet_file.read(parsed.path) as (key, owner):
            if owner is None:
                return FleetDevice.derive(key, _required(device_id))
            return FleetDevice.from_buffer(key, owner).recipient(device_id)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> FleetDevice | None:
        """Creates a key file.

        ``master`` makes a new master; ``device`` (the default) takes the address
        ``DEVICE-FILE?master=MASTER-FILE&device=ID``. Returns the device, or None for a master,
        which is nobody's recipient.

        Raises:
            UsageError: an unknown kind, an incomplete address, or the file exists.
            StorageError: a file cannot be read or written.
            KeyStoreError: the master's file is not one, or not private.
        """
        parsed = parse_address(address, frozenset({"device", "master"}))
        if kind == "master" and not parsed.options:
            create_master(parsed.path, force=force)
            return None
        if kind not in (None, "device") or len(parsed.options) != 2:
            raise UsageError(
                "a fleet key is a master, or a device of a master",
                hint="use fleet:PATH with kind master, or fleet:PATH?master=MASTER&device=ID",
            )
        return create_device(parsed.path, parsed.options["master"], parsed.options["device"], force=force)


def create_master(path: str, *, force: bool = False) -> None:
    """Writes a new master secret to `path`, readable by its owner alone.

    Raises:
        StorageError: cannot be written.
        UsageError: the file exists and `force` is not set.
    """
    with wiped(FLEET_KEY_BYTES) as master:
        fill_random(memoryview(master))
        fleet_file.write(path, master, None, force=force)


def create_device(path: str, master_path: str, device_id: str, *, force: bool = False) -> FleetDevice:
    """Writes the key of device `device_id` to `path`, readable by its owner alone, and returns it.

    Raises:
        StorageError: a file cannot be read or written.
        KeyStoreError: `master_path` is not a master's file, or not private.
        UsageError: not a device id, or the file exists and `force` is not set.
    """
    with fleet_file.read(master_path) as (master, owner):
        if owner is not None:
            raise KeyStoreError(f"{master_path}: the key of one device, not a fleet's master key")
        device = FleetDevice.derive(master, device_id)
    fleet_file.write(path, device.view, device_id, force=force)
    return device


def _required(device_id: str) -> str:
    if not device_id:
        raise UsageError("this file holds a fleet's master key", hint="name the device: fleet:PATH?device=ID")
    return device_id
