"""Local keys: what protects a model that was installed on one device, for that device alone.

An install key must never be wrapped to a public key: whoever knows the public key could plant a
model. It is wrapped under a secret that only the device has: a symmetric key that cannot leave its
hardware, or the agreement of the device's private key with its own public key (which nobody can
compute from the public key alone). Source: spec/install-v1.md, "Install key".
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import TamperedError
from modelkeep.keys import keywrap
from modelkeep.memory import Pages

LOCAL_SECRET_BYTES = 32
_LABEL = b"modelkeep/v1/local"


class LocalKey(Protocol):
    """Wraps 32-byte keys so that this device alone can unwrap them."""

    def wrap(self, key: memoryview, context: bytes) -> bytes:
        """Returns `key` (32 bytes) wrapped and bound to `context`.

        Raises:
            KeyStoreError: the key store cannot be used.
        """

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        """Returns the key; wiping it is the caller's.

        Raises:
            TamperedError: it was not wrapped by this device, or not with this context.
            KeyStoreError: the key store cannot be used.
        """

    def close(self) -> None:
        """Forgets the key."""


class SecretLocalKey:
    """A local key made of a secret in memory, for example an agreement with oneself.

    KEK = HKDF-Expand-SHA256(secret, context, 32); wrapped = AES-256 key wrap (RFC 3394): 40 bytes.
    Owns `secret` (32 bytes) and wipes it on `close`.
    """

    def __init__(self, secret: Pages) -> None:
        self._secret = secret

    def wrap(self, key: memoryview, context: bytes) -> bytes:
        """See `LocalKey.wrap`."""
        return keywrap.wrap(self._secret.view, bytearray(key), context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        """See `LocalKey.unwrap`."""
        try:
            return keywrap.unwrap(self._secret.view, wrapped, context)
        except TamperedError:
            raise TamperedError(
                "this was not installed by this device, or was changed since", hint="install the model again"
            ) from None

    def close(self) -> None:
        """Wipes the secret."""
        self._secret.close()


def default_state_path(public: bytes) -> Path:
    """Returns where a key without a file of its own keeps its device's state (XDG base directories)."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "modelkeep", f"{hashlib.sha256(public).hexdigest()[:32]}.state")


def from_secret(secret: memoryview) -> SecretLocalKey:
    """Returns the local key HKDF-SHA256(`secret`, no salt, info ``modelkeep/v1/local``, 32).

    The derivation keeps it apart from every other use of the same secret.
    """
    pages = Pages.allocate(LOCAL_SECRET_BYTES)
    HKDF(hashes.SHA256(), LOCAL_SECRET_BYTES, None, _LABEL).derive_into(secret, pages.view)
    return SecretLocalKey(pages)
