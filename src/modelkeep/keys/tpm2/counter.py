"""A number in the TPM that only grows: what was counted once stays counted, whatever disk is restored.

Source: TPM 2.0 Library, Part 3, TPM2_NV_Increment. A new counter starts above every counter that
the TPM ever had, so removing and defining it again does not take it back.
"""

from __future__ import annotations

from tpm2_pytss import TPM2_ALG, TPM2_NT, TPM2_RC, TPM2B_NV_PUBLIC, TPMA_NV, TPMS_NV_PUBLIC, TSS2_Exception

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
        """Defines the counter, unless that was all that was done before, and returns its first value.

        Raises:
            UsageError: there is such a counter.
            KeyStoreError: the TPM has no space left, or its owner has set a password.
        """
        public = TPMS_NV_PUBLIC(
            nvIndex=self._index, nameAlg=TPM2_ALG.SHA256, attributes=_ATTRIBUTES, dataSize=COUNTER_BYTES
        )
        with connected(self._tcti) as tpm:
            defined = self._find(tpm)
            if defined is None:
                defined = tpm.esapi.nv_define_space(b"", TPM2B_NV_PUBLIC(public))
            elif _has_value(tpm, defined):
                raise UsageError(f"the TPM has a counter at NV index {self._index:#x} already")
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

    def find(self) -> int | None:
        """Returns the present value, or None if there is no counter with a value.

        Raises:
            KeyStoreError: there is something else, or the TPM cannot be reached.
        """
        with connected(self._tcti) as tpm:
            counter = self._find(tpm)
            return _value(tpm, counter) if counter is not None and _has_value(tpm, counter) else None

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
        try:
            found = tpm.esapi.tr_from_tpmpublic(self._index)
        except TSS2_Exception as error:
            # Any other failure must not pass for a counter that is not there.
            if error.error == TPM2_RC.HANDLE:
                return None
            raise
        # An index of another kind could be written with any number, an old one for example.
        if _attributes(tpm, found) & TPMA_NV.TPM2_NT_MASK != TPM2_NT.COUNTER << 4:
            raise KeyStoreError(
                f"the TPM has something that is no counter at NV index {self._index:#x}",
                hint="find out what defined it: tpm2_nvreadpublic",
            )
        return found


def _has_value(tpm: Tpm, counter: Handle) -> bool:
    return bool(_attributes(tpm, counter) & TPMA_NV.WRITTEN)


def _attributes(tpm: Tpm, handle: Handle) -> int:
    answer = tpm.esapi.nv_read_public(handle)
    public = answer[0]
    return int(public.nvPublic.attributes)


def _value(tpm: Tpm, counter: Handle) -> int:
    data = tpm.esapi.nv_read(counter, COUNTER_BYTES)
    return int.from_bytes(bytes(data), "big")
