"""Key store for ``tpm2:PATH``, PATH being the key file.

Options for every use: ``tcti`` (how the TPM is reached), ``auth-env`` or ``auth-file`` (where the
key's passphrase is). Options for creation besides: ``pcrs`` (``7``, ``7,11`` or ``none``),
``authority`` (PEM file of the P-256 key that approves PCR values), ``handle`` (where the key becomes
persistent).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelkeep.errors import KeepError, KeyStoreError, UsageError
from modelkeep.keys.address import Address, parse_address
from modelkeep.keys.hpke import HpkeHandle, HpkeRecipient
from modelkeep.keys.passphrase_source import choose
from modelkeep.keys.point import public_from_pem
from modelkeep.keys.secret import device_id_of
from modelkeep.keys.tpm2 import creation
from modelkeep.keys.tpm2.device import choose_tcti, connected
from modelkeep.keys.tpm2.key import TpmKey
from modelkeep.keys.tpm2.key_file import LOCAL, OPEN, QUOTE, SIGN, KeyFile
from modelkeep.keys.tpm2.policy import Policy
from modelkeep.memory import Pages
from modelkeep.storage import refuse_overwrite, words_for

# Secure Boot's own register: a kernel update leaves it alone, another boot chain does not.
DEFAULT_PCRS = (7,)
KINDS = {"p256": OPEN, "signing": SIGN, "quote": QUOTE, "local": LOCAL}

_USING = frozenset({"tcti", "auth-env", "auth-file"})
_CREATING = _USING | {"pcrs", "authority", "handle"}


class TpmStore:
    """Keys in the TPM of this device."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key of a key file; the TPM is asked when the key is used.

        Raises:
            UsageError: the address is not of this form, or the key has another use.
            StorageError: the file cannot be read.
            KeyStoreError: the passphrase is missing.
            MalformedError: not a key file.
        """
        parsed = parse_address(address, _CREATING)
        key_file = read(parsed, OPEN)
        key = TpmKey(key_file, choose_tcti(parsed.options.get("tcti")), passphrase(parsed, key_file.policy))
        return HpkeHandle(key, device_id_of(parsed.path))

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient | None:
        """Makes a key (``p256``, ``signing``, ``quote`` or ``local``) and writes its file.

        Returns the recipient of a ``p256`` key, None for the others.

        Raises:
            UsageError: an unknown kind or option, or the file or handle is taken.
            StorageError: the file cannot be written.
            KeyStoreError: the TPM cannot be reached, or refuses.
        """
        parsed = parse_address(address, _CREATING)
        use = _use(kind or "p256")
        auth = choose(parsed.options, env="auth-env", file="auth-file")
        policy = _policy(parsed.options, auth)
        refuse_overwrite(Path(parsed.path), force=force)
        key_file = _create(parsed, use, policy, auth, force=force)
        if use != OPEN:
            return None
        key = TpmKey(key_file, choose_tcti(parsed.options.get("tcti")))
        return HpkeHandle(key, device_id_of(parsed.path)).recipient()

    def delete(self, address: str) -> None:
        """Removes a key: from the TPM, then its file.

        Raises:
            StorageError: the file cannot be read or removed.
            KeyStoreError: the TPM cannot be reached, or refuses.
        """
        parsed = parse_address(address, _CREATING)
        key_file = KeyFile.read(parsed.path)
        if key_file.handle:
            with connected(choose_tcti(parsed.options.get("tcti"))) as tpm:
                creation.remove(tpm, key_file)
        with words_for(parsed.path):
            Path(parsed.path).unlink()


def read(address: Address, use: str) -> KeyFile:
    """Returns the key file at an address.

    Raises:
        UsageError: the key has another use.
    """
    key_file = KeyFile.read(address.path)
    if key_file.use != use:
        raise UsageError(f"{address.path}: this key's use is {key_file.use!r}, not {use!r}")
    return key_file


def passphrase(address: Address, policy: Policy) -> Pages | None:
    """Returns the key's passphrase, or None when it has none.

    Raises:
        KeyStoreError: it has one, and the address does not say where.
    """
    auth = choose(address.options, env="auth-env", file="auth-file")
    if policy.auth and auth is None:
        raise KeyStoreError(
            "the key needs a passphrase", hint="use tpm2:PATH?auth-file=PATH or ?auth-env=NAME"
        )
    return auth if policy.auth else None


def _create(address: Address, use: str, policy: Policy, auth: Pages | None, *, force: bool) -> KeyFile:
    handle = _handle(address.options)
    with connected(choose_tcti(address.options.get("tcti"))) as tpm:
        key_file = creation.create(tpm, use, policy, auth)
        if handle:
            key_file = creation.persist(tpm, key_file, handle, force=force)
        try:
            key_file.write(address.path, force=force)
        except KeepError:
            creation.remove(tpm, key_file)
            raise
    return key_file


def _use(kind: str) -> str:
    if kind not in KINDS:
        raise UsageError(f"unknown kind of key {kind[:64]!r}", hint=f"TPM keys: {', '.join(KINDS)}")
    return KINDS[kind]


def _policy(options: Mapping[str, str], auth: Pages | None) -> Policy:
    authority = options.get("authority")
    return Policy(
        _pcrs(options.get("pcrs")), public_from_pem(authority) if authority else None, auth is not None
    )


def _pcrs(text: str | None) -> tuple[int, ...]:
    if text in (None, "none"):
        return () if text else DEFAULT_PCRS
    if not all(part.isdecimal() and len(part) <= 2 for part in text.split(",")):
        raise UsageError(
            "key address: PCRs are numbers from 0 to 23", hint="write pcrs=7, pcrs=7,11 or pcrs=none"
        )
    return tuple(sorted({int(part) for part in text.split(",")}))


def _handle(options: Mapping[str, str]) -> int:
    text = options.get("handle", "0")
    try:
        return int(text, 16)
    except ValueError:
        raise UsageError(
            "key address: a handle is a hexadecimal number", hint="write handle=0x81000017"
        ) from None
