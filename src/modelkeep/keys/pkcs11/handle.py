"""A key in a token with what goes with it: the AES key for installations, where the token has one."""

from __future__ import annotations

from pkcs11 import Attribute, ObjectClass

from modelkeep.device.local_key import LocalKey, SecretLocalKey
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.secret import is_device_id
from modelkeep.keys.pkcs11.key import TokenKey, find
from modelkeep.keys.pkcs11.local import WRAPPED_BYTES, TokenLocalKey, aes_key_gone, find_aes_keys
from modelkeep.keys.pkcs11.token import Login
from modelkeep.keys.pkcs11.uri import TokenAddress


class TokenHandle(HpkeHandle):
    """A private key in a token that opens HPKE grants.

    Raises:
        KeyStoreError: the token has no such key, or it is no P-256 key.
    """

    def __init__(self, login: Login, address: TokenAddress) -> None:
        self._login = login
        self._address = address
        super().__init__(TokenKey(login, address), _device_id(address))

    def local_key(self) -> LocalKey:
        """Returns the token's AES key, or the agreement of a key that has none beside it.

        Raises:
            KeyStoreError: the key was closed, or the token cannot be used.
        """
        self._opened()
        with self._login.session() as session:
            private = find(session, self._address, ObjectClass.PRIVATE_KEY)
            name = private[Attribute.LABEL], private[Attribute.ID]
            if find_aes_keys(session, *name):
                return TokenLocalKey(self._login, *name)
        return _AgreementInstead(self._agreement())


class _AgreementInstead:
    """An agreement where no AES key is, which says so of what an AES key wrapped."""

    def __init__(self, agreement: SecretLocalKey) -> None:
        self._agreement = agreement

    def wrap(self, key: memoryview, context: bytes) -> bytes:
        return self._agreement.wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytearray:
        if len(wrapped) == WRAPPED_BYTES:
            raise aes_key_gone()
        return self._agreement.unwrap(wrapped, context)

    def for_state(self) -> LocalKey:
        return self

    def close(self) -> None:
        self._agreement.close()


def _device_id(address: TokenAddress) -> str:
    return address.label if address.label is not None and is_device_id(address.label) else ""
