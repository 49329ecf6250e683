"""What stands behind a PKCS#11 module, as it says itself: a token, a TEE, a TPM, or software.

A module's word for it proves nothing. Source: PKCS #11 v3.1, CK_INFO, CK_SLOT_INFO, CK_TOKEN_INFO.
"""

from __future__ import annotations

import pkcs11

from modelkeep.keys.management import Protection

# The names under which modules go, in what they say of library, slot and token.
_NAMES: tuple[tuple[str, Protection], ...] = (
    ("softhsm", Protection.SOFTWARE_MODULE),
    ("kryoptic", Protection.SOFTWARE_MODULE),
    ("mozilla", Protection.SOFTWARE_MODULE),
    ("gnome keyring", Protection.SOFTWARE_MODULE),
    ("op-tee", Protection.TEE),
    # What libtpms calls itself, also where tpm2-pkcs11 stands before it.
    ("sw tpm", Protection.SOFTWARE_TPM),
    ("tpm2-software", Protection.TPM),
    ("tpm2.0 cryptoki", Protection.TPM),
)


def protection_of(module: str, token: pkcs11.Token) -> Protection:
    """Returns what `token`, seen through the library at `module`, protects keys with.

    What nobody knows is taken for hardware only if its slot says that it is.
    """
    library, slot = pkcs11.lib(module), token.slot
    said = (
        library.manufacturer_id,
        library.library_description,
        slot.manufacturer_id,
        slot.slot_description,
        token.manufacturer_id,
        token.model,
    )
    return kind_of(" ".join(map(str, said)), hardware=bool(slot.flags & pkcs11.SlotFlag.HW_SLOT))


def kind_of(said: str, *, hardware: bool) -> Protection:
    """Returns the protection that goes with what a module says and whether its slot is one of hardware."""
    lower = " ".join(said.lower().split())
    for name, protection in _NAMES:
        if name in lower:
            return protection
    return Protection.HARDWARE if hardware else Protection.SOFTWARE_MODULE
