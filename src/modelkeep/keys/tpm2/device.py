"""The TPM of this device: which one, one connection per operation, and what it holds meanwhile."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

# The library would print every refusal on standard error; ours arrive as errors with words.
os.environ.setdefault("TSS2_LOG", "all+none")

from tpm2_pytss import ESAPI, TPML_PCR_SELECTION

from modelkeep.errors import KeyStoreError
from modelkeep.keys.tpm2.errors import words_of_tpm
from modelkeep.keys.tpm2.policy import DIGEST_BYTES, selection
from modelkeep.keys.tpm2.signals import signals_held_back

DEFAULT_TCTI = "device:/dev/tpmrm0"
VARIABLES = ("MODELKEEP_TPM2_TCTI", "TPM2TOOLS_TCTI")

# The library is not made for threads, and a TPM does one thing at a time anyway.
_turn = threading.RLock()

# What the library calls ESYS_TR: its own number for something loaded.
Handle = Any


class Tpm:
    """An open connection.

    Attributes:
        esapi: the library's context. Results of its calls are held in variables before a part
            of them is taken: of a temporary, tpm2-pytss returns memory that was freed.
    """

    def __init__(self, esapi: ESAPI) -> None:
        self.esapi = esapi
        self._cleanup = ExitStack()

    def flush_later(self, handle: Handle) -> Handle:
        """Returns `handle`, which is flushed when the connection ends."""
        self._cleanup.callback(self.esapi.flush_context, handle)
        return handle

    def close(self) -> None:
        """Frees what was loaded: small TPMs hold three objects, for all processes together."""
        self._cleanup.close()

    def pcr_values(self, pcrs: tuple[int, ...]) -> dict[int, bytes]:
        """Returns the present values (32 bytes each) of `pcrs` in the SHA-256 bank.

        Raises:
            KeyStoreError: the TPM has no such bank.
        """
        # A TPM returns at most eight values a call.
        return {index: self._pcr_value(index) for index in pcrs}

    def _pcr_value(self, index: int) -> bytes:
        answer = self.esapi.pcr_read(pcr_selection((index,)))
        digests = answer[2]
        values = [bytes(digest) for digest in digests.digests]
        if [len(value) for value in values] != [DIGEST_BYTES]:
            raise KeyStoreError("the TPM has no SHA-256 PCRs", hint="enable the SHA-256 bank in the firmware")
        return values[0]


def choose_tcti(option: str | None) -> str:
    """Returns how the TPM is reached: the URI's option, the environment, or the resource manager."""
    named = (os.environ.get(name) for name in VARIABLES)
    return option or next(filter(None, named), DEFAULT_TCTI)


@contextmanager
def connected(tcti: str) -> Iterator[Tpm]:
    """Opens the TPM, alone within this process; flushes and closes it afterwards.

    Raises:
        KeyStoreError: it cannot be reached, or refuses what is asked of it.
    """
    with _turn, words_of_tpm(), signals_held_back():
        _probe(tcti)
        with ESAPI(tcti) as esapi:
            tpm = Tpm(esapi)
            try:
                yield tpm
            finally:
                tpm.close()


def pcr_selection(pcrs: tuple[int, ...]) -> Any:
    """Returns `pcrs` of the SHA-256 bank as the library's own type."""
    selected, _ = TPML_PCR_SELECTION.unmarshal(selection(pcrs))
    return selected


def _probe(tcti: str) -> None:
    """Asks the system first, whose answers are better than the library's."""
    kind, _, path = tcti.partition(":")
    if kind != "device":
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        raise KeyStoreError(f"{path}: {_reason(error)}", hint=_hint(error, path)) from error


def _reason(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "another process holds the TPM"
    return (error.strerror or str(error)).lower()


def _hint(error: OSError, path: str) -> str:
    hints = {
        errno.EBUSY: "use the resource manager, which shares it: device:/dev/tpmrm0",
        errno.EACCES: "add this user to the group that owns the TPM, usually tss",
        errno.ENOENT: "this device has no TPM, or it is switched off in the firmware",
    }
    return hints.get(error.errno or 0, f"check {Path(path)}")
