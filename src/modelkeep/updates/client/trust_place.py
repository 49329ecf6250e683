"""The trust file of a device, which newer ones from the repository take the place of.

The repository carries it, and has no say in it: its roots are the device's own. Source: spec/update-v1.md,
"Following a repository".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelkeep.errors import KeepError, RefusedError
from modelkeep.storage import read_small, write_file
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.trust.verifier import Verifier


@dataclass(frozen=True, slots=True)
class TrustPlace:
    """Where the trust file of a device is, and who reads it.

    Attributes:
        path: the file.
        reader: makes of the bytes of a trust file, verified with the device's own roots, whom to trust.
    """

    path: Path
    reader: Callable[[bytes], Verifier]

    def newer(self, data: bytes, present: Verifier) -> Verifier | None:
        """Puts a newer trust file in place; returns whom to trust then, or None where this one is not newer.

        Raises:
            RefusedError: it is not by the device's roots.
            StorageError: the file cannot be read or written.
        """
        if read_small(self.path, LARGEST_FILE, "a trust file") == data:
            return None
        verifier = self._read(data)
        if _number(verifier) <= _number(present):
            return None
        write_file(self.path, data, force=True)
        return verifier

    def present(self, known: Verifier) -> Verifier:
        """Returns whom to trust now: what the file says where somebody has put a newer one there, or `known`.

        Raises:
            KeepError: it cannot be read, or is not by the device's roots.
        """
        verifier = self.reader(read_small(self.path, LARGEST_FILE, "a trust file"))
        return verifier if _number(verifier) > _number(known) else known

    def _read(self, data: bytes) -> Verifier:
        try:
            return self.reader(data)
        except KeepError as error:
            raise RefusedError(
                f"the repository's trust file does not hold for the roots of this device: {error}",
                hint="nothing is taken from there until both agree again: ask its publisher",
            ) from error


def _number(verifier: Verifier) -> int:
    return 0 if verifier.trust is None else verifier.trust.number
