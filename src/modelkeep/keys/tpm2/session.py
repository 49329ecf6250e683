"""Using a key: its parent, a salted session that encrypts what crosses the bus, its policy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tpm2_pytss import (
    ESYS_TR,
    TPM2_ALG,
    TPM2_SE,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMA_SESSION,
    TPMT_SYM_DEF,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
)

from modelkeep.errors import KeyStoreError
from modelkeep.keys.tpm2.consent import satisfy
from modelkeep.keys.tpm2.device import Handle, Tpm
from modelkeep.keys.tpm2.key_file import KeyFile
from modelkeep.keys.tpm2.templates import storage_primary
from modelkeep.memory import Pages

_BOTH_WAYS = TPMA_SESSION.ENCRYPT | TPMA_SESSION.DECRYPT | TPMA_SESSION.CONTINUESESSION


@contextmanager
def using(
    tpm: Tpm, key_file: KeyFile, auth: Pages | None, command: int | None = None
) -> Iterator[tuple[Handle, Handle]]:
    """Loads a key and satisfies its policy; yields the key and the session to use it in.

    With `command` (see `satisfy`) the session serves for that command alone.

    Raises:
        KeyStoreError: the key is of another TPM, or its policy is not met.
    """

    def load_under(parent: Handle) -> Handle:
        return load(tpm, key_file, parent)

    with under_policy(tpm, key_file, auth, load_under, command) as loaded:
        yield loaded


@contextmanager
def under_policy(
    tpm: Tpm,
    key_file: KeyFile,
    auth: Pages | None,
    load_under: Callable[[Handle], Handle],
    command: int | None = None,
) -> Iterator[tuple[Handle, Handle]]:
    """Loads what `load_under` finds under the parent of a key, and satisfies the key's policy for it.

    Raises:
        KeyStoreError: the key is of another TPM, or its policy is not met.
    """
    with parent_key(tpm, key_file.parent, key_file.parent_name) as parent:
        session = tpm.flush_later(start_session(tpm, parent, TPM2_SE.POLICY))
        loaded = load_under(parent)
    satisfy(tpm, session, key_file, command)
    if key_file.policy.auth:
        tpm.esapi.tr_set_auth(loaded, auth_value(auth))
    yield loaded, session


@contextmanager
def parent_key(tpm: Tpm, handle: int, name: bytes | None = None) -> Iterator[Handle]:
    """Yields the parent at `handle`, or (0) the storage primary key, made for the moment.

    Raises:
        KeyStoreError: its name is not `name`, so this is another TPM or somebody in between.
    """
    if handle:
        parent = tpm.esapi.tr_from_tpmpublic(handle)
    else:
        created = tpm.esapi.create_primary(TPM2B_SENSITIVE_CREATE(), storage_primary())
        parent = created[0]
    try:
        if name is not None and name_of(tpm, parent) != name:
            raise KeyStoreError("the key belongs to another TPM, or the TPM was cleared")
        yield parent
    finally:
        if not handle:
            tpm.esapi.flush_context(parent)


def start_session(tpm: Tpm, parent: Handle, kind: Any) -> Handle:
    """Returns a new session, salted to `parent`, that encrypts parameters both ways."""
    symmetric = TPMT_SYM_DEF(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(aes=128), mode=TPMU_SYM_MODE(aes=TPM2_ALG.CFB)
    )
    session = tpm.esapi.start_auth_session(parent, ESYS_TR.NONE, kind, symmetric, TPM2_ALG.SHA256)
    tpm.esapi.trsess_set_attributes(session, _BOTH_WAYS)
    return session


def load(tpm: Tpm, key_file: KeyFile, parent: Handle) -> Handle:
    """Returns the loaded or persistent key of a key file.

    Raises:
        KeyStoreError: the persistent handle holds another key.
    """
    if key_file.private:
        # Also with a handle: a power cut may have come before the key was there.
        public, _ = TPM2B_PUBLIC.unmarshal(key_file.public)
        private, _ = TPM2B_PRIVATE.unmarshal(key_file.private)
        return tpm.flush_later(tpm.esapi.load(parent, private, public))
    key = tpm.esapi.tr_from_tpmpublic(key_file.handle)
    if not is_key_of(tpm, key, key_file):
        raise KeyStoreError(
            f"the TPM holds another key at {key_file.handle:#x}", hint="create the key again, get a new grant"
        )
    return key


def is_key_of(tpm: Tpm, key: Handle, key_file: KeyFile) -> bool:
    """Returns whether something in the TPM is the key of a file."""
    public, _ = TPM2B_PUBLIC.unmarshal(key_file.public)
    area = public.publicArea
    return name_of(tpm, key) == bytes(area.get_name())


def name_of(tpm: Tpm, handle: Handle) -> bytes:
    """Returns the object's name: its name algorithm and the digest of its public area."""
    answer = tpm.esapi.read_public(handle)
    return bytes(answer[1])


def auth_value(passphrase: Pages | None) -> bytes:
    """Returns the authorisation value for a passphrase: its SHA-256, as TPMs take 32 bytes at most.

    Raises:
        KeyStoreError: there is none.
    """
    if passphrase is None:
        raise KeyStoreError(
            "the key needs a passphrase", hint="use tpm2:PATH?auth-file=PATH or ?auth-env=NAME"
        )
    # TPMs drop trailing zeros; not every library does.
    return hashlib.sha256(passphrase.view).digest().rstrip(b"\0")
