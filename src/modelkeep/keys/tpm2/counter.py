"""A number in the TPM that only grows: what was counted once stays counted, whatever disk is restored.

Source: TPM 2.0 Library, Part 3, TPM2_NV_Increment. A new counter starts above every counter that
the TPM ever had, so removing and defining it again does not take it back.
"""

from __future__ import annotations

from contextlib import suppress

from tpm2_pytss import TPM2_ALG, TPM2_NT, TPM2B_NV_PUBLIC, TPMA_NV, TPMS_NV_PUBLIC, TSS2_Exception

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.tpm2.device import Handle, Tpm, connected

FIRST_INDEX, LAST_INDEX = 0x01800000, 0x01BFFFFF
COUNTER_BYTES = 8

_ATTRIBUTES = (
    (TPM2_NT.COUNTER << 4)
    | TPMA_NV.AUTHREAD
    | TPMA_NV.AUTHWRITE
    | TPMA_NV.OWNERREAD
    | TPMA_NV.OWNERWRITE
    | TPMA_NV.NO_DA
)


class MonotonicCounter:
    """The counter at one NV index.

    Args:
        index: from 0x01800000 to 0x01bfffff, which owners may use.
        tcti: how the TPM is reached.

    Raises:
        UsageError: another index.
    """

    def __init__(self, index: int, tcti: str) -> None:
        if not FIRST_INDEX <= index <= LAST_INDEX:
            raise UsageError(f"NV indexes of counters lie from {FIRST_INDEX:#x} to {LAST_INDEX:#x}")
        self._index = index
        self._tcti = tcti

    def create(self) -> int:
        """Defines the counter and returns its first value.

        Raises:
            UsageError: the index is taken.
            KeyStoreError: the TPM has no space left, or its owner has set a password.
        """
        public = TPMS_NV_PUBLIC(
            nvIndex=self._index, nameAlg=TPM2_ALG.SHA256, attributes=_ATTRIBUTES, dataSize=COUNTER_BYTES
        )
        with connected(self._tcti) as tpm:
            if self._find(tpm) is not None:
                raise UsageError(f"the TPM has something at NV index {self._index:#x} already")
            defined = tpm.esapi.nv_define_space(b"", TPM2B_NV_PUBLIC(public))
            # A counter has no value before it is incremented once.
            tpm.esapi.nv_increment(defined)
            return _value(tpm, defined)

    def read(self) -> int:
        """Returns the present value.

        Raises:
            KeyStoreError: there is no such counter, or the TPM cannot be reached.
        """
        with connected(self._tcti) as tpm:
            return _value(tpm, self._existing(tpm))

    def increment(self) -> int:
        """Adds one for ever and returns the new value.

        Raises:
            KeyStoreError: there is no such counter, or the TPM cannot be reached.
        """
        with connected(self._tcti) as tpm:
            counter = self._existing(tpm)
            tpm.esapi.nv_increment(counter)
            return _value(tpm, counter)

    def delete(self) -> None:
        """Removes the counter.

        Raises:
            KeyStoreError: there is no such counter, or the TPM cannot be reached.
        """
        with connected(self._tcti) as tpm:
            tpm.esapi.nv_undefine_space(self._existing(tpm))

    def _existing(self, tpm: Tpm) -> Handle:
        counter = self._find(tpm)
        if counter is None:
            raise KeyStoreError(
                f"the TPM has no counter at NV index {self._index:#x}",
                hint="it was removed, or the TPM was cleared",
            )
        return counter

    def _find(self, tpm: Tpm) -> Handle | None:
        with suppress(TSS2_Exception):
            return tpm.esapi.tr_from_tpmpublic(self._index)
        return None


def _value(tpm: Tpm, counter: Handle) -> int:
    data = tpm.esapi.nv_read(counter, COUNTER_BYTES)
    return int.from_bytes(bytes(data), "big")
