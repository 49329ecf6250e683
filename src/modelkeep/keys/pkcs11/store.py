"""Key store for ``pkcs11:`` URIs; their attributes are in `modelkeep.keys.pkcs11.uri`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pkcs11 import Attribute, ObjectClass

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.keys.pkcs11.creation import generate, objects_of
from modelkeep.keys.pkcs11.handle import TokenHandle
from modelkeep.keys.pkcs11.key import find, find_all
from modelkeep.keys.pkcs11.kind import protection_of
from modelkeep.keys.pkcs11.local import aes_keys_of
from modelkeep.keys.pkcs11.token import login, present_tokens
from modelkeep.keys.pkcs11.uri import MODULE_VARIABLE, TokenAddress

KINDS = ("p256", "signing")


class TokenStore:
    """Keys in PKCS#11 tokens: smart cards, HSMs, SoftHSM."""

    def open(self, address: str) -> TokenHandle:
        """Returns the key that a URI names, after logging in.

        Raises:
            UsageError: the URI is not of this form.
            KeyStoreError: the token cannot be found, unlocked or used, or has no such key.
            StorageError: the PIN's file cannot be read.
        """
        parsed = _parse(address)
        return TokenHandle(login(parsed), parsed)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient | None:
        """Makes a key inside the token: ``p256`` (grants) or ``signing``.

        Returns the recipient of a ``p256`` key, None for the others.

        Raises:
            UsageError: the URI is not of this form, an unknown kind, or the name is taken.
            KeyStoreError: the token cannot be found, unlocked or used.
        """
        parsed = _parse(address)
        if kind not in (None, *KINDS):
            raise UsageError(f"unknown kind of key {kind[:64]!r}", hint=f"token keys: {', '.join(KINDS)}")
        opened = login(parsed)
        with opened.session() as session:
            old = objects_of(session, parsed)
            if old and not force:
                raise UsageError(f"the token has a key named {parsed.object_name} already")
            # The old key goes last: a token that is full or slow must not lose both.
            generate(session, parsed, kind or "p256")
            for each in old:
                each.destroy()
        return TokenHandle(opened, parsed).recipient() if kind in (None, "p256") else None

    def delete(self, address: str) -> None:
        """Destroys the key, both halves of it, and the AES key that goes with it.

        Raises:
            UsageError: the URI is not of this form.
            KeyStoreError: the token cannot be found, unlocked or used, or has no such key.
        """
        parsed = _parse(address)
        with login(parsed).session() as session:
            found = objects_of(session, parsed)
            if not found:
                raise KeyStoreError(f"the token has no key named {parsed.object_name}")
            for each in found:
                each.destroy()

    def list(self, address: str) -> Iterator[str]:
        """Yields the private keys of a token, as addresses."""
        parsed = TokenAddress.parse(address)
        path, _, query = address.partition("?")
        with login(parsed).session() as session:
            keys = find_all(session, parsed, ObjectClass.PRIVATE_KEY)
            labels = [str(key[Attribute.LABEL]) for key in keys]
        for label in labels:
            named = ";".join(filter(None, (path, f"object={quote(label)}")))
            yield f"{named}?{query}" if query else named

    def describe(self, address: str) -> dict[str, Any]:
        """Returns what the token says about a key.

        Raises:
            UsageError: the URI is not of this form.
            KeyStoreError: the token cannot be found, unlocked or used, or has no such key.
        """
        parsed = _parse(address)
        with login(parsed).session() as session:
            token = session.token
            key = find(session, parsed, ObjectClass.PRIVATE_KEY)
            opens = bool(key[Attribute.DERIVE])
            installs = "AES key in the token" if aes_keys_of(session, key) else "agreement of the key"
            return {
                "use": "open" if opens else "sign",
                **({"installations": installs} if opens else {}),
                **protection_of(parsed.module, token).described(),
                "token": f"{token.label} ({token.manufacturer_id}, {token.model})",
                "extractable": "yes" if key[Attribute.EXTRACTABLE] else "no",
                "made in the token": "yes" if key[Attribute.LOCAL] else "no",
            }

    def examine(self) -> StoreReport:
        """Returns whether a library is named, and which tokens it sees."""
        module = os.environ.get(MODULE_VARIABLE)
        if not module:
            advice = f"set {MODULE_VARIABLE} to the library of your token or HSM"
            return StoreReport("pkcs11", False, Protection.HARDWARE, "no PKCS#11 library is named", advice)
        try:
            found = [(repr(token.label), protection_of(module, token)) for token in present_tokens(module)]
        except KeyStoreError as error:
            return StoreReport("pkcs11", False, Protection.HARDWARE, str(error), error.hint or "")
        tokens = ", ".join(f"{label} ({each.level.value})" for label, each in sorted(found, key=str))
        advice = "" if found else "initialise a token with its own tool"
        kinds = [each for _, each in found]
        best = max(kinds, key=list(Protection).index, default=Protection.HARDWARE)
        detail = f"{Path(module).name} sees tokens: {tokens or 'none'}"
        return StoreReport("pkcs11", bool(found), best, detail, advice)


def _parse(address: str) -> TokenAddress:
    parsed = TokenAddress.parse(address)
    parsed.require_object()
    return parsed
