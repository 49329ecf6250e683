"""Fleet recipients: devices without a key pair, whose keys come from one master secret.

K_dev = HKDF-SHA256(master [32], salt = ``modelkeep/v1/fleet``, info = u16be length | device id, 32).
The device id is in the info, with its length: as salt, HMAC's padding would give ``dev-1`` and
``dev-1\\0`` one key. A device receives its K_dev and never the master. K_dev is the shared secret
of `keywrap`; the public value is HKDF-SHA256(K_dev, no salt, info = ``modelkeep/v1/fleet-id``, 32).

Key files hold one line, ``modelkeep-fleet-master BASE64`` or ``modelkeep-fleet-device BASE64 ID``.
Source: spec/grant-v1.md, "Fleet"; RFC 5869.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys import fleet_file, keywrap
from modelkeep.keys.address import parse_address
from modelkeep.keys.constraints import Constraints
from modelkeep.keys.fleet_file import FLEET_KEY_BYTES
from modelkeep.keys.grant import Grant
from modelkeep.keys.header import Header, key_id
from modelkeep.keys.local import SecretLocalKey, default_state_path, from_secret
from modelkeep.keys.randomness import fill_random
from modelkeep.keys.recipient import grant_context
from modelkeep.keys.secret import check_device_id
from modelkeep.memory import Pages, wiped

FLEET = "fleet"
_DEVICE_LABEL = b"modelkeep/v1/fleet"
_ID_LABEL = b"modelkeep/v1/fleet-id"


class FleetDevice:
    """The key K_dev of one device: opens its grants and, being symmetric, makes them.

    Owns `pages` (32 bytes) and wipes them on `close`.
    """

    type = FLEET

    def __init__(self, pages: Pages, device_id: str) -> None:
        self._pages = pages
        self.device_id = device_id
        self.public = HKDF(hashes.SHA256(), 32, None, _ID_LABEL).derive(pages.view)

    @classmethod
    def derive(cls, master: bytearray | memoryview, device_id: str) -> Self:
        """Returns the key of device `device_id` under `master` (32 bytes).

        Raises:
            UsageError: not a device id.
        """
        name = check_device_id(device_id).encode()
        info = len(name).to_bytes(2, "big") + name
        pages = Pages.allocate(FLEET_KEY_BYTES)
        HKDF(hashes.SHA256(), FLEET_KEY_BYTES, _DEVICE_LABEL, info).derive_into(master, pages.view)
        return cls(pages, device_id)

    @classmethod
    def from_buffer(cls, key: bytearray | memoryview, device_id: str) -> Self:
        """Returns the device with a copy of the 32 bytes in `key`; wiping `key` is the caller's."""
        pages = Pages.allocate(FLEET_KEY_BYTES)
        pages.view[:] = key
        return cls(pages, device_id)

    @property
    def view(self) -> memoryview:
        """The 32 bytes of K_dev."""
        return self._pages.view

    def public_value(self, header: Header) -> bytes:
        """Returns the value that the key id is computed from, whatever the header."""
        return self.public

    def header(self, bundle: bytes, constraints: Constraints) -> Header:
        """Returns the header of a grant for this device."""
        return Header(bundle, FLEET, key_id(bundle, FLEET, self.public), constraints)

    def recipient(self, device_id: str = "") -> FleetDevice:
        """Returns the device itself: who has its key can grant to it.

        Raises:
            UsageError: asked for under another device id.
        """
        if device_id not in ("", self.device_id):
            raise UsageError(f"this is the key of device {self.device_id!r}, not of {device_id[:80]!r}")
        return self

    def wrap(self, secret: bytearray, context: bytes) -> bytes:
        """Returns `secret` wrapped under this device's key."""
        return keywrap.wrap(self.view, secret, context)

    def unwrap(self, grant: Grant) -> bytearray:
        """Returns the decrypted grant secret; wiping it is the caller's.

        Raises:
            TamperedError: the grant does not open under this key.
        """
        return keywrap.unwrap(self.view, grant.wrapped, grant_context(grant.binding))

    def local_key(self) -> SecretLocalKey:
        """Returns the local key that follows from K_dev; whoever has the fleet master has it, too."""
        return from_secret(self.view)

    @property
    def state_path(self) -> Path:
        """Where the device keeps its state."""
        return default_state_path(self.public)

    def close(self) -> None:
        """Wipes the key."""
        self._pages.close()

    def __repr__(self) -> str:
        return f"FleetDevice({self.device_id!r})"


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
