"""Google's list of attestation keys that were taken back, as a file.

Source: Android, "Verify hardware-backed key pairs with key attestation", certificate revocation status list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

from modelkeep import canonical
from modelkeep.errors import MalformedError, PostureError
from modelkeep.posture.certificates import name_of

LARGEST_LIST = 2**24


@dataclass(frozen=True, slots=True)
class Revocations:
    """Serial numbers that do not count, whatever the reason: suspended keys come back with a new list.

    Attributes:
        serials: serial numbers in lower-case hexadecimal, without leading zeros.
    """

    serials: frozenset[str]

    @staticmethod
    def parse(data: bytes) -> Revocations:
        """Reads the list as Google publishes it.

        Raises:
            MalformedError: not such a list.
        """
        if len(data) > LARGEST_LIST:
            raise MalformedError(f"revocation list: larger than {LARGEST_LIST} bytes")
        value = canonical.decode_lenient(data, "revocation list")
        entries = value.get("entries") if isinstance(value, dict) else None
        if not isinstance(entries, dict):
            raise MalformedError("revocation list: has no entries", hint="expected Google's status list")
        return Revocations(frozenset(serial.lower().lstrip("0") for serial in entries))

    def check(self, chain: Iterable[x509.Certificate]) -> None:
        """Checks that no certificate of a chain is on the list.

        Raises:
            PostureError: one is.
        """
        for certificate in chain:
            if f"{certificate.serial_number:x}" in self.serials:
                raise PostureError(f"certificate {name_of(certificate)} was revoked by Google")
