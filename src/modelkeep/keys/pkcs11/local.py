"""What protects installations on a device with a token: an AES key that the token made and keeps.

It is found beside the private key, by label and id, and only if it is private and cannot leave the
token: anybody may put an object that is not private into a token, and choose its value.
Source: PKCS #11 v3.1, CKM_AES_GCM; spec/install-v1.md, "Install key".
"""

from __future__ import annotations

from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as p11

from modelkeep.device.local_key import not_ours
from modelkeep.errors import KeyStoreError
from modelkeep.keys.pkcs11.token import Login
from modelkeep.memory.randomness import fill_random

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES
KEPT = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}


class TokenLocalKey:
    """See `LocalKey`; what it wraps is nonce (12 bytes), AES-256-GCM ciphertext (32) and tag (16).

    Args:
        login: the login at the token.
        label: label of the private key that the AES key goes with.
        identifier: that key's CKA_ID.
    """

    def __init__(self, login: Login, label: str, identifier: bytes) -> None:
        self._login = login
        self._name = label, identifier

    def wrap(self, key: memoryview, context: bytes) -> bytes:
        """See `LocalKey.wrap`."""
        with self._login.session() as session:
            return _encrypt(self._key(session), key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        """See `LocalKey.unwrap`."""
        if len(wrapped) != WRAPPED_BYTES:
            raise not_ours()
        with self._login.session() as session:
            key = self._key(session)
            try:
                return _decrypt(key, wrapped, context)
            except p11.PKCS11Error:
                # A wrong tag has no code of its own in practice. A token that is well can do this:
                _decrypt(key, _encrypt(key, memoryview(bytes(KEY_BYTES)), context), context)
                raise not_ours() from None

    def for_state(self) -> TokenLocalKey:
        """Returns this key."""
        return self

    def close(self) -> None:
        """Does nothing: nothing is held."""

    def _key(self, session: pkcs11.Session) -> Any:
        found = find_aes_keys(session, *self._name)
        if len(found) != 1:
            raise aes_key_gone()
        return found[0]


def aes_key_gone() -> KeyStoreError:
    """Returns the error for what was wrapped under an AES key that is not there."""
    return KeyStoreError(
        "the token's AES key, under which models were installed, was deleted",
        hint="make a new key, get new grants, install again: modelkeep keys create URI --force",
    )


def _encrypt(key: Any, secret: memoryview, context: bytes) -> bytes:
    nonce = bytearray(NONCE_BYTES)
    fill_random(memoryview(nonce))
    sealed = key.encrypt(
        bytes(secret), mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(nonce, context)
    )
    return bytes(nonce) + bytes(sealed)


def _decrypt(key: Any, wrapped: bytes, context: bytes) -> bytearray:
    parameters = _parameters(wrapped[:NONCE_BYTES], context)
    return bytearray(
        key.decrypt(wrapped[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    )


def _parameters(nonce: bytes | bytearray, context: bytes) -> GCMParams:
    return GCMParams(bytes(nonce), context, 8 * TAG_BYTES)


def aes_keys_of(session: pkcs11.Session, private: Any) -> list[Any]:
    """Returns the AES keys that go with a private key."""
    return find_aes_keys(session, private[Attribute.LABEL], private[Attribute.ID])


def find_aes_keys(session: pkcs11.Session, label: str, identifier: bytes) -> list[Any]:
    """Returns the AES keys of this name that can neither leave the token nor have been planted."""
    wanted: dict[Attribute, Any] = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.LABEL: label,
        Attribute.ID: identifier,
        **KEPT,
    }
    return list(session.get_objects(wanted))
