"""Recipients, the handles that open what they receive, and the one place where grants are made."""

from __future__ import annotations

from typing import Protocol

from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import GrantHeader, binding
from modelkeep.grants.secret import SECRET_BYTES, pack
from modelkeep.memory import wiped

GRANT_LABEL = b"modelkeep/v1/grant"


class Recipient(Protocol):
    """Somebody a bundle can be granted to."""

    @property
    def type(self) -> str:
        """Name of the recipient type, as grant headers carry it."""

    @property
    def device_id(self) -> str:
        """Name of the device, hidden inside the grant; may be empty."""

    def header(self, bundle: bytes, constraints: Constraints) -> GrantHeader:
        """Returns the header of a grant for this recipient."""

    def wrap(self, secret: bytearray, context: bytes) -> bytes:
        """Returns `secret` (104 bytes) encrypted for this recipient and bound to `context`."""


class KeyHandle(Protocol):
    """What a key store opens to: a key that unwraps the grants made for it.

    A key that belongs to a device is a `modelkeep.device.device_key.DeviceKey` as well, and where its
    hardware counts, a `CountingKey`.
    """

    @property
    def type(self) -> str:
        """Name of the recipient type it opens."""

    def public_value(self, header: GrantHeader) -> bytes:
        """Returns what the key id is computed from.

        It is a constant for every type but the passphrase, which takes it out of `header`.
        """

    def recipient(self, device_id: str = "") -> Recipient:
        """Returns the recipient whose grants this key opens."""

    def unwrap(self, grant: Grant) -> bytearray:
        """Returns the decrypted grant secret; wiping it is the caller's.

        Raises:
            TamperedError: the grant does not open under this key.
            KeyStoreError: the key cannot be used.
        """

    def close(self) -> None:
        """Forgets the key."""


def issue(
    recipient: Recipient, bundle: bytes, data_key: DataKey, constraints: Constraints | None = None
) -> Grant:
    """Returns a grant of `data_key` for `recipient`.

    Args:
        recipient: whom to grant.
        bundle: the 16 bytes of the bundle's id.
        data_key: the bundle's data key.
        constraints: what the grant demands; nothing by default.

    Raises:
        UsageError: the recipient's key or device id cannot be used.
    """
    header = recipient.header(bundle, constraints or Constraints())
    header_bytes = header.to_bytes()
    with wiped(SECRET_BYTES) as secret:
        pack(secret, data_key, recipient.device_id)
        wrapped = recipient.wrap(secret, grant_context(binding(header_bytes)))
    return Grant(header, header_bytes, wrapped)


def grant_context(bound: bytes) -> bytes:
    """Returns what separates this use of a key from every other: label | binding."""
    return GRANT_LABEL + bound
