"""What a TPM's response codes mean to people. Source: TPM 2.0 Library, Part 2, "TPM_RC"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tpm2_pytss import TSS2_Exception

from modelkeep.errors import KeyStoreError

_NO_MEMORY = "use the resource manager (device:/dev/tpmrm0), or free the TPM: tpm2_flushcontext -t -l -s"
_WORDS = {
    0x08B: ("the key is not in this TPM", "was the TPM cleared? create the key again, get a new grant"),
    0x08E: ("the passphrase of the key is wrong", "after some more attempts the TPM locks for a while"),
    0x09B: ("the approval of the PCR values does not verify", "get a new approval: modelkeep keys approve"),
    0x09D: (
        "the device is not in the state that the key is bound to (PCR values)",
        "start the approved system, or get its state approved: modelkeep keys approve",
    ),
    0x09F: (
        "the key belongs to another TPM, or the TPM was cleared",
        "create the key again, get a new grant",
    ),
    0x0A2: ("the authorisation was refused", "the TPM's owner hierarchy has a password: ask its owner"),
    0x0A7: ("the TPM refused the sender's public key", None),
    0x100: ("the TPM is not started", "restart the device"),
    0x12F: ("the key needs its policy to be used", None),
    0x128: ("PCR values changed while the key was used", "try again"),
    0x14B: (
        "the TPM has no space left for persistent objects",
        "leave handle= out, or free some: tpm2_evictcontrol, tpm2_nvundefine",
    ),
    0x14C: ("the TPM has an object at this handle already", "choose another handle"),
    0x902: ("the TPM has no room to load a key", _NO_MEMORY),
    0x903: ("the TPM has no room for a session", _NO_MEMORY),
    0x905: ("the TPM has no room for a session", _NO_MEMORY),
    0x921: (
        "the TPM is locked after wrong passphrases or hard power-offs",
        "wait until it unlocks itself, or run: tpm2_dictionarylockout --clear-lockout",
    ),
    0x922: ("the TPM is busy", "try again"),
    0x923: ("the TPM's memory is busy", "try again"),
}
_LAYER = 0x00FF0000


@contextmanager
def words_of_tpm() -> Iterator[None]:
    """Turns a TPM's or its library's failure into a KeyStoreError with the way out."""
    try:
        yield
    except TSS2_Exception as error:
        raise _in_words(error) from error


def _in_words(error: TSS2_Exception) -> KeyStoreError:
    if error.rc & _LAYER:
        return KeyStoreError(
            f"the TPM cannot be reached (code {error.rc:#x})", hint="check the device and its permissions"
        )
    code = int(error.error)
    problem, hint = _WORDS.get(code, (f"the TPM refused with code {error.rc:#x}", None))
    return KeyStoreError(problem, hint=hint)
