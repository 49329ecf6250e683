"""Finding a token, and logging in once for all the keys that a process uses there.

A process is logged in at a token or it is not: the second login fails, and closing one logged-in
session logs out all others. So the login is shared, and ends with the last key that uses it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pkcs11
from pkcs11 import exceptions as p11

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.pkcs11.errors import SESSION_LOST, words_of_token
from modelkeep.keys.pkcs11.uri import TokenAddress
from modelkeep.memory import Pages

# Held around every call of a module, looking for tokens included: sessions must not be used by two
# threads at once, and many modules are not made for threads at all.
_turn = threading.RLock()


class Login:
    """A login at one token; `login` returns the shared one."""

    def __init__(self, address: TokenAddress, pin: Pages) -> None:
        self._address = address
        self._pin = pin
        self._sessions: list[pkcs11.Session] = []
        weakref.finalize(self, _close, self._sessions)

    @contextmanager
    def session(self) -> Iterator[pkcs11.Session]:
        """Yields the logged-in session, alone within this process.

        Raises:
            KeyStoreError: the token cannot be found, unlocked or used.
        """
        with _turn, words_of_token():
            if not self._sessions:
                self._sessions.append(_log_in(find_token(self._address), self._pin))
            try:
                yield self._sessions[0]
            except SESSION_LOST:
                _close(self._sessions)
                raise

    def check(self, pin: Pages) -> None:
        """Compares `pin` with the one of this login, as the token would.

        Raises:
            KeyStoreError: another PIN.
        """
        digests = [hashlib.sha256(each.view).digest() for each in (pin, self._pin)]
        if not hmac.compare_digest(*digests):
            raise KeyStoreError("the PIN is wrong", hint="this process is logged in with another one")


_logins: weakref.WeakValueDictionary[tuple[object, ...], Login] = weakref.WeakValueDictionary()


def login(address: TokenAddress) -> Login:
    """Returns the login at the token of `address`, which is tried out when it is used.

    Raises:
        KeyStoreError: there is no such token, no PIN, or another PIN than this process has used.
        StorageError: the PIN's file cannot be read.
        UsageError: several tokens fit.
    """
    with _turn, words_of_token():
        token = find_token(address)
        key = (os.getpid(), address.module, token.label, token.serial)
    pin = address.pin()
    with _turn:
        shared = _logins.get(key)
        if shared is None:
            shared = _logins[key] = Login(address, pin)
            return shared
    try:
        shared.check(pin)
    finally:
        pin.close()
    return shared


def find_token(address: TokenAddress) -> pkcs11.Token:
    """Returns the token that `address` names.

    Raises:
        KeyStoreError: the library cannot be loaded, or there is no such token.
        UsageError: there are several.
    """
    tokens = present_tokens(address.module)
    fitting = [token for token in tokens if _fits(token, dict(address.token))]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(sorted(repr(token.label) for token in tokens)) or "none"
    if not fitting:
        raise KeyStoreError("there is no such token", hint=f"put it in; present are: {names}")
    raise UsageError("several tokens fit", hint=f"name one with token= or serial=; present are: {names}")


def present_tokens(module: str) -> list[pkcs11.Token]:
    """Returns the initialised tokens that a library sees.

    Raises:
        KeyStoreError: the library cannot be loaded, or fails.
    """
    with _turn:
        return _present_tokens(module)


def _present_tokens(module: str) -> list[pkcs11.Token]:
    try:
        library = pkcs11.lib(module)
    except (p11.PKCS11Error, RuntimeError) as error:
        raise KeyStoreError(
            f"{module}: this PKCS#11 library cannot be used", hint="check the path and the token's software"
        ) from error
    with words_of_token():
        tokens = [slot.get_token() for slot in library.get_slots(token_present=True)]
    return [token for token in tokens if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED]


def _fits(token: pkcs11.Token, wanted: dict[str, str]) -> bool:
    found = {
        "token": token.label,
        "serial": token.serial.decode("utf-8", "replace").strip(),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "slot-id": str(token.slot.slot_id),
    }
    return all(found[name] == value for name, value in wanted.items())


def _log_in(token: pkcs11.Token, pin: Pages) -> pkcs11.Session:
    # The library takes text only, so that one copy of the PIN stays until it is collected.
    text = bytes(pin.view).decode("utf-8", "surrogateescape")
    try:
        return token.open(rw=True, user_pin=text)
    except p11.UserAlreadyLoggedIn:
        # Somebody else in this process is; the token then takes sessions without a PIN.
        return token.open(rw=True)


def _close(sessions: list[pkcs11.Session]) -> None:
    with _turn:
        while sessions:
            with suppress(p11.PKCS11Error):
                sessions.pop().close()
