"""Fleet devices: recipients without a key pair, whose keys come from one master secret.

K_dev = HKDF-SHA256(master [32], salt = ``modelkeep/v1/fleet``, info = u16be length | device id, 32).
The device id is in the info, with its length: as salt, HMAC's padding would give ``dev-1`` and
``dev-1\\0`` one key. A device receives its K_dev and never the master. K_dev is the shared secret
of `keywrap`; the public value is HKDF-SHA256(K_dev, no salt, info = ``modelkeep/v1/fleet-id``, 32).
Source: spec/grant-v1.md, "Fleet"; RFC 5869.
"""

from __future__ import annotations

from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep import keywrap
from modelkeep.device.local_key import SecretLocalKey, from_secret
from modelkeep.errors import UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader, key_id
from modelkeep.grants.recipient import grant_context
from modelkeep.grants.secret import check_device_id
from modelkeep.memory import Pages

FLEET = "fleet"
FLEET_KEY_BYTES = 32
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

    def public_value(self, header: GrantHeader) -> bytes:
        """Returns the value that the key id is computed from, whatever the header."""
        return self.public

    def header(self, bundle: bytes, constraints: Constraints) -> GrantHeader:
        """Returns the header of a grant for this device."""
        return GrantHeader(bundle, FLEET, key_id(bundle, FLEET, self.public), constraints)

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

    def close(self) -> None:
        """Wipes the key."""
        self._pages.close()

    def __repr__(self) -> str:
        return f"FleetDevice({self.device_id!r})"
