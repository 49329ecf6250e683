"""Key store for ``tpm2:PATH``; the options are in `modelkeep.keys.tpm2.address`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.keys.tpm2 import creation
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.approving import add_approval, approve_here
from modelkeep.keys.tpm2.device import choose_tcti, connected
from modelkeep.keys.tpm2.handle import TpmHandle, counter_of
from modelkeep.keys.tpm2.key_file import OPEN, QUOTE, SIGN, KeyFile
from modelkeep.keys.tpm2.maker import Maker
from modelkeep.keys.tpm2.policy import DEFAULT_PCRS, Approval
from modelkeep.storage import refuse_overwrite, words_for

KINDS = {"p256": OPEN, "signing": SIGN, "quote": QUOTE}


class TpmStore:
    """Keys in the TPM of this device."""

    def open(self, address: str) -> TpmHandle:
        """Returns the key of a key file; the TPM is asked when the key is used.

        Raises:
            UsageError: the address is not of this form, or the key has another use.
            StorageError: the file cannot be read.
            KeyStoreError: the passphrase is missing.
            MalformedError: not a key file.
        """
        parsed = TpmAddress.parse(address)
        key_file = parsed.read(OPEN)
        return TpmHandle(parsed, key_file, parsed.passphrase_for(key_file.policy))

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient | None:
        """Makes a key (``p256``, ``signing`` or ``quote``) and writes its file.

        Returns the recipient of a ``p256`` key, None for the others.

        Raises:
            UsageError: an unknown kind or option, or the file or handle is taken.
            StorageError: the file cannot be written.
            KeyStoreError: the TPM cannot be reached, or refuses.
        """
        parsed = TpmAddress.parse(address)
        use = _use(kind or "p256")
        refuse_overwrite(Path(parsed.path), force=force)
        key_file = creation.create_at(parsed, use, force=force)
        if use != OPEN:
            return None
        return TpmHandle(parsed, key_file).recipient()

    def delete(self, address: str) -> None:
        """Removes a key: it and its counter from the TPM, then its file.

        Raises:
            StorageError: the file cannot be read or removed.
            KeyStoreError: the TPM cannot be reached, or refuses.
        """
        parsed = TpmAddress.parse(address)
        key_file = KeyFile.read(parsed.path)
        if key_file.handle:
            with connected(parsed.tcti) as tpm:
                creation.remove(tpm, key_file)
        if key_file.use == OPEN:
            counter_of(key_file, parsed.tcti).delete()
        with words_for(parsed.path):
            Path(parsed.path).unlink()

    def approve(
        self,
        address: str,
        *,
        approval: Approval | None = None,
        signer: EcdsaSigner | None = None,
        values: Mapping[int, bytes] | None = None,
    ) -> None:
        """Approves another state of the device: by `approval`, or by the authority's own `signer`.

        Raises:
            UsageError: the key has no authority, or neither of both is given.
            SignatureError: the approval is not the authority's.
            KeyStoreError: the TPM cannot be reached.
            StorageError: the key file cannot be read or replaced.
        """
        parsed = TpmAddress.parse(address)
        if approval is not None:
            add_approval(parsed, approval)
        elif signer is not None:
            approve_here(parsed, signer, values)
        else:
            raise UsageError("an approval, or the key that approves, is needed")

    def list(self, address: str) -> Iterator[str]:
        """Yields the key files in a folder: those that end in ``.tpm``."""
        yield from (str(path) for path in Path(address or ".").glob("*.tpm") if path.is_file())

    def describe(self, address: str) -> dict[str, Any]:
        """Returns what a key file says, and the present values of the PCRs that matter to it.

        Raises:
            StorageError: the file cannot be read.
            KeyStoreError: the TPM cannot be reached.
        """
        parsed = TpmAddress.parse(address)
        key_file = KeyFile.read(parsed.path)
        policy = key_file.policy
        with connected(parsed.tcti) as tpm:
            values, maker = tpm.pcr_values(policy.pcrs), Maker.of(tpm)
        count = counter_of(key_file, parsed.tcti).value() if key_file.use == OPEN else None
        return {
            "use": key_file.use,
            **({"installations": "sealed to the TPM"} if key_file.use == OPEN else {}),
            **maker.protection.described(),
            "tpm": str(maker),
            "persistent": f"{key_file.handle:#x}" if key_file.handle else "no",
            "counter": "not in use" if count is None else str(count),
            "passphrase": "yes" if policy.auth else "no",
            "approvals": len(key_file.approvals) if policy.authority else "no authority",
            "pcrs": {str(index): value.hex() for index, value in values.items()},
        }

    def examine(self) -> StoreReport:
        """Returns whether this device has a TPM that can be used."""
        tcti = choose_tcti(None)
        try:
            with connected(tcti) as tpm:
                tpm.pcr_values(DEFAULT_PCRS)
                maker = Maker.of(tpm)
        except KeyStoreError as error:
            return StoreReport("tpm2", False, Protection.TPM, str(error), error.hint or "")
        return StoreReport("tpm2", True, maker.protection, f"a TPM 2.0 answers at {tcti}, {maker}")


def _use(kind: str) -> str:
    if kind not in KINDS:
        raise UsageError(f"unknown kind of key {kind[:64]!r}", hint=f"TPM keys: {', '.join(KINDS)}")
    return KINDS[kind]
