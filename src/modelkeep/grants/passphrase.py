"""Passphrase recipients, for people. Source: spec/grant-v1.md, "Passphrase"; RFC 7914 (scrypt).

Shared secret = scrypt(passphrase, salt [16], N = 2^log_n, r = 8, p = 1, 32 bytes), wrapped as in
`keywrap`. The salt is the public value that the key id is computed from, so a handle finds a
passphrase grant whoever made it; only unwrapping shows whether the passphrase fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from modelkeep import keywrap
from modelkeep.errors import KeyStoreError, MalformedError, TamperedError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import (
    DEFAULT_LOG_N,
    HIGHEST_LOG_N,
    LOWEST_LOG_N,
    PASSPHRASE,
    SALT_BYTES,
    SCRYPT_MEMORY,
    SCRYPT_P,
    SCRYPT_R,
    GrantHeader,
    ScryptCost,
    key_id,
)
from modelkeep.grants.recipient import grant_context
from modelkeep.memory import Pages, available_memory, wiped
from modelkeep.memory.randomness import random_bytes


class PassphraseRecipient:
    """Somebody who knows a passphrase; its grant must be the only one of the bundle.

    Args:
        passphrase: the exact bytes; must stay open for as long as grants are made.
        log_n: cost, 14 to 20; 17 takes 128 MiB.

    Raises:
        UsageError: the cost is out of bounds.
    """

    type = PASSPHRASE
    device_id = ""

    def __init__(self, passphrase: Pages, log_n: int = DEFAULT_LOG_N) -> None:
        if not LOWEST_LOG_N <= log_n <= HIGHEST_LOG_N:
            raise UsageError(f"scrypt cost must lie from {LOWEST_LOG_N} to {HIGHEST_LOG_N}")
        self._passphrase = passphrase
        self._cost = ScryptCost(random_bytes(SALT_BYTES), log_n)

    def header(self, bundle: bytes, constraints: Constraints) -> GrantHeader:
        """Returns the header of a grant for the passphrase."""
        identifier = key_id(bundle, PASSPHRASE, self._cost.salt)
        return GrantHeader(bundle, PASSPHRASE, identifier, constraints, self._cost)

    def wrap(self, secret: bytearray, context: bytes) -> bytes:
        """Returns `secret` wrapped under the passphrase.

        Raises:
            KeyStoreError: not enough memory for this cost.
        """
        with _stretched(self._passphrase, self._cost) as shared:
            return keywrap.wrap(shared, secret, context)

    def __repr__(self) -> str:
        return "PassphraseRecipient(hidden)"


class PassphraseHandle:
    """A passphrase that opens grants; it owns the memory that it is given."""

    type = PASSPHRASE

    def __init__(self, passphrase: Pages) -> None:
        self._passphrase = passphrase

    def public_value(self, header: GrantHeader) -> bytes:
        """Returns the salt in `header`."""
        return _cost(header).salt

    def recipient(self, device_id: str = "") -> PassphraseRecipient:
        """Returns a recipient for this passphrase, with a new salt.

        Raises:
            UsageError: a device id was given.
        """
        if device_id:
            raise UsageError("a passphrase belongs to a person and has no device id")
        return PassphraseRecipient(self._passphrase)

    def unwrap(self, grant: Grant) -> bytearray:
        """Returns the decrypted grant secret; wiping it is the caller's.

        Raises:
            TamperedError: the passphrase does not fit, or the grant is damaged.
            KeyStoreError: not enough memory for this cost.
        """
        with _stretched(self._passphrase, _cost(grant.header)) as shared:
            try:
                return keywrap.unwrap(shared, grant.wrapped, grant_context(grant.binding))
            except TamperedError:
                raise TamperedError("the passphrase is wrong, or the grant is damaged") from None

    def close(self) -> None:
        """Wipes the passphrase."""
        self._passphrase.close()

    def __repr__(self) -> str:
        return "PassphraseHandle(hidden)"


def _cost(header: GrantHeader) -> ScryptCost:
    if header.scrypt is None:
        raise MalformedError("grant: not a passphrase grant")
    return header.scrypt


@contextmanager
def _stretched(passphrase: Pages, cost: ScryptCost) -> Iterator[bytearray]:
    _check_memory(2**cost.log_n * SCRYPT_MEMORY)
    with wiped(32) as shared:
        try:
            scrypt = Scrypt(salt=cost.salt, length=32, n=2**cost.log_n, r=SCRYPT_R, p=SCRYPT_P)
            scrypt.derive_into(passphrase.view, shared)
        except MemoryError:
            raise _too_costly(2**cost.log_n * SCRYPT_MEMORY) from None
        yield shared


def _check_memory(needed: int) -> None:
    # Asked for first: where memory is promised freely, the kernel ends the process instead.
    available = available_memory()
    if available is not None and needed > available:
        raise _too_costly(needed)


def _too_costly(needed: int) -> KeyStoreError:
    return KeyStoreError(
        f"not enough memory for scrypt ({needed // 2**20} MiB)",
        hint="ask for a grant with a lower cost, or open it where there is more memory",
    )
