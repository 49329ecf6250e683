"""The store of passphrases, which come from people, files or the environment."""

from __future__ import annotations

from typing import NoReturn

from modelkeep.errors import UsageError
from modelkeep.grants.passphrase import PassphraseHandle
from modelkeep.key_address import parse_address
from modelkeep.passphrase_source import choose, from_terminal


class PassphraseStore:
    """Key store for ``passphrase:?env=NAME``, ``passphrase:?file=PATH`` and ``passphrase:`` (asks)."""

    def open(self, address: str) -> PassphraseHandle:
        """Returns the passphrase as a key handle.

        Raises:
            UsageError: the address is not of this form.
            KeyStoreError: there is no passphrase at that place.
        """
        parsed = parse_address(address, frozenset({"env", "file"}))
        if parsed.path:
            raise UsageError(
                "a passphrase is never part of a key address",
                hint="use passphrase:?file=PATH, passphrase:?env=NAME or passphrase: to be asked",
            )
        passphrase = choose(parsed.options, env="env", file="file")
        return PassphraseHandle(from_terminal() if passphrase is None else passphrase)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> NoReturn:
        """Refuses: passphrases come from people.

        Raises:
            UsageError: always.
        """
        raise UsageError("a passphrase is not created by modelkeep", hint="choose one and use it directly")
