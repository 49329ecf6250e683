"""Making keys in a TPM, making them persistent, removing them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tpm2_pytss import (
    ESYS_TR,
    TPM2_RC,
    TPM2_SE,
    TPM2B_AUTH,
    TPM2B_SENSITIVE_CREATE,
    TPMS_SENSITIVE_CREATE,
    TSS2_Exception,
)

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.device import Handle, Tpm, connected
from modelkeep.keys.tpm2.key_file import OPEN, Creation, KeyFile
from modelkeep.keys.tpm2.policy import Policy, device_key_digest
from modelkeep.keys.tpm2.session import auth_value, is_key_of, load, name_of, parent_key, start_session
from modelkeep.keys.tpm2.templates import key_template
from modelkeep.memory import Pages

# Where the storage primary key usually is, and where owners may put keys (TCG registry).
USUAL_PARENT = 0x81000001
FIRST_HANDLE, LAST_HANDLE = 0x81000002, 0x817FFFFF


def create_at(address: TpmAddress, use: str, *, force: bool) -> KeyFile:
    """Makes the key that an address asks for, and writes its file.

    When that fails nothing of it stays, and a key that it was to replace does.

    Raises:
        UsageError: an option is not of its form, or the file or handle is taken.
        StorageError: the file cannot be written.
        KeyStoreError: the TPM cannot be reached, or refuses.
    """
    auth, handle = address.passphrase(), address.handle()
    policy = address.policy(auth=auth is not None)
    with connected(address.tcti) as tpm:
        key_file = create(tpm, use, policy, auth)
        if handle:
            return _persist_at(tpm, key_file, handle, Path(address.path), force=force)
        key_file.write(address.path, force=force)
    return key_file


def _persist_at(tpm: Tpm, key_file: KeyFile, handle: int, path: Path, *, force: bool) -> KeyFile:
    """Makes a key persistent and writes its file, in an order in which one key works at every moment.

    The file comes first, with the key itself in it. Until it has its name, what it replaces is untouched;
    from then on the new key works, whether it is at its handle yet or not.
    """
    if not FIRST_HANDLE <= handle <= LAST_HANDLE:
        raise UsageError(f"persistent handles for keys lie from {FIRST_HANDLE:#x} to {LAST_HANDLE:#x}")
    old = persistent(tpm, handle)
    before = KeyFile.read(path) if force and path.exists() else None
    if old is not None and (before is None or not _holds(tpm, old, before, handle)):
        raise UsageError(
            f"the TPM has a key at {handle:#x} already, and {path} is not its file",
            hint="choose another handle",
        )
    moving, made = replace(key_file, handle=handle), replace(key_file, handle=handle, private=b"")
    moving.write(path, force=force)
    _take_place(tpm, moving, old, before, path)
    made.write(path, force=True)
    return made


def _take_place(tpm: Tpm, key_file: KeyFile, old: Handle | None, before: KeyFile | None, path: Path) -> None:
    """Puts a key where its file says; where that fails, the file is again what it was."""
    try:
        with parent_key(tpm, key_file.parent, key_file.parent_name) as parent:
            key = load(tpm, key_file, parent)
        if old is not None:
            tpm.esapi.evict_control(ESYS_TR.OWNER, old, key_file.handle)
            before = key_file  # the old key is gone, and the new one works out of its file
        tpm.esapi.evict_control(ESYS_TR.OWNER, key, key_file.handle)
    except TSS2_Exception:
        if before is None:
            path.unlink()
        elif before is not key_file:
            before.write(path, force=True)
        raise


def _holds(tpm: Tpm, key: Handle, key_file: KeyFile, handle: int) -> bool:
    """Returns whether what is at a handle is the key of a file, or is one that it was about to replace."""
    return key_file.handle == handle and (bool(key_file.private) or is_key_of(tpm, key, key_file))


def create(tpm: Tpm, use: str, policy: Policy, auth: Pages | None) -> KeyFile:
    """Returns a new key for `use`, made inside the TPM, and not loaded.

    Raises:
        KeyStoreError: the TPM refuses.
    """
    parent_handle = _usual_parent(tpm)
    template = key_template(use, _policy_digest(tpm, use, policy), auth=policy.auth)
    with parent_key(tpm, parent_handle) as parent:
        session = tpm.flush_later(start_session(tpm, parent, TPM2_SE.HMAC))
        answer = tpm.esapi.create(parent, sensitive(auth), template, session1=session)
        private, public, data, _, ticket = answer
        _check(public, template)
        name = name_of(tpm, parent)
    made = Creation(data.marshal(), ticket.marshal())
    return KeyFile(use, public.marshal(), private.marshal(), made, 0, parent_handle, name, policy)


def _policy_digest(tpm: Tpm, use: str, policy: Policy) -> bytes:
    conditions = policy.digest({} if policy.authority else tpm.pcr_values(policy.pcrs))
    return device_key_digest(conditions) if use == OPEN else conditions


def remove(tpm: Tpm, key_file: KeyFile) -> None:
    """Removes a persistent key from the TPM; the others were never in it, and somebody else's stays."""
    key = persistent(tpm, key_file.handle) if key_file.handle else None
    if key is not None and _holds(tpm, key, key_file, key_file.handle):
        tpm.esapi.evict_control(ESYS_TR.OWNER, key, key_file.handle)


def persistent(tpm: Tpm, handle: int) -> Handle | None:
    """Returns the persistent object at `handle`, or None."""
    try:
        return tpm.esapi.tr_from_tpmpublic(handle)
    except TSS2_Exception as error:
        # Any other failure must not pass for a place where nothing is.
        if error.error == TPM2_RC.HANDLE:
            return None
        raise


def _usual_parent(tpm: Tpm) -> int:
    return 0 if persistent(tpm, USUAL_PARENT) is None else USUAL_PARENT


def sensitive(auth: Pages | None) -> Any:
    """Returns the secret part of a creation: the authorisation value of what is created."""
    value = TPM2B_AUTH(auth_value(auth)) if auth is not None else TPM2B_AUTH()
    return TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(userAuth=value))


def _check(public: Any, template: Any) -> None:
    made, asked = public.publicArea, template.publicArea
    if made.objectAttributes != asked.objectAttributes or bytes(made.authPolicy) != bytes(asked.authPolicy):
        raise KeyStoreError("the TPM made another key than it was asked for")
