"""Local keys: what protects a model that was installed on one device, for that device alone.

An install key must never be wrapped to a public key: whoever knows the public key could plant a
model. It is wrapped under a secret that only the device has: a symmetric key that cannot leave its
hardware, or the agreement of the device's private key with its own public key (which nobody can
compute from the public key alone). The agreement is the same for ever, so hardware that can keep
something for each installation adds that. Source: spec/install-v1.md, "Install key".
"""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from modelkeep import keywrap
from modelkeep.errors import TamperedError
from modelkeep.memory import Pages, wiped

LOCAL_SECRET_BYTES = 32
_LABEL = b"modelkeep/v1/local"
_SEALED_LABEL = b"modelkeep/v1/sealed"


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

    def for_state(self) -> LocalKey:
        """Returns what authenticates the device's state, which is read several times at every opening.

        It is this key where that is quick enough, and is closed with this key.
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
            raise not_ours() from None

    def authenticate(self, data: bytes, context: bytes) -> bytes:
        """Returns what only this device can say of `data`: 32 bytes.

        HMAC-SHA256(HKDF-Expand-SHA256(secret, ``modelkeep/v1/sealed`` | context, 32), data).
        """
        with wiped(LOCAL_SECRET_BYTES) as key:
            HKDFExpand(hashes.SHA256(), LOCAL_SECRET_BYTES, _SEALED_LABEL + context).derive_into(
                self._secret.view, key
            )
            return hmac.digest(key, data, "sha256")

    def for_state(self) -> SecretLocalKey:
        """See `LocalKey.for_state`."""
        return self

    def close(self) -> None:
        """Wipes the secret."""
        self._secret.close()


def from_secret(secret: memoryview) -> SecretLocalKey:
    """Returns the local key HKDF-SHA256(`secret`, no salt, info ``modelkeep/v1/local``, 32).

    The derivation keeps it apart from every other use of the same secret.
    """
    pages = Pages.allocate(LOCAL_SECRET_BYTES)
    HKDF(hashes.SHA256(), LOCAL_SECRET_BYTES, None, _LABEL).derive_into(secret, pages.view)
    return SecretLocalKey(pages)


def not_ours() -> TamperedError:
    """Returns the error for what this device did not wrap, or not with this context."""
    return TamperedError(
        "this was not installed by this device, or was changed since", hint="install the model again"
    )
