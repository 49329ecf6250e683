"""The attestation extension of a key's certificate.

Source: Android, "Verify hardware-backed key pairs with key attestation", KeyDescription.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from modelkeep.posture import der
from modelkeep.posture.android.authorization_list import AuthorizationList
from modelkeep.posture.der import Value

EXTENSION = "1.3.6.1.4.1.11129.2.1.17"


class SecurityLevel(IntEnum):
    """What keeps a key."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1
    STRONG_BOX = 2


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What the extension says.

    Attributes:
        version: version of the attestation.
        attestation_level: what keeps the key that attests.
        key_level: what keeps the key that is attested.
        challenge: what the key's maker was asked with.
        unique_id: who the device is to one application, for a while; may be empty.
        software: what Android enforces or says.
        hardware: what the hardware enforces.
    """

    version: int
    attestation_level: SecurityLevel
    key_level: SecurityLevel
    challenge: bytes
    unique_id: bytes
    software: AuthorizationList
    hardware: AuthorizationList

    @staticmethod
    def parse(data: bytes) -> KeyDescription:
        """Reads the extension's value.

        Raises:
            MalformedError: not in DER, or not of this form.
        """
        value = der.decode(data, "key attestation")
        parts = value.sequence()
        if len(parts) != 8:
            raise value.fault("a key description has eight parts")
        parts[2].integer()
        return KeyDescription(
            version=parts[0].integer(),
            attestation_level=_level(parts[1]),
            key_level=_level(parts[3]),
            challenge=parts[4].octets(),
            unique_id=parts[5].octets(),
            software=AuthorizationList.parse(parts[6]),
            hardware=AuthorizationList.parse(parts[7]),
        )

    @property
    def level(self) -> SecurityLevel:
        """What keeps the weaker of the two keys."""
        return min(self.attestation_level, self.key_level)


def _level(value: Value) -> SecurityLevel:
    number = value.enumerated()
    if number not in set(SecurityLevel):
        raise value.fault(f"security level {number} is not known")
    return SecurityLevel(number)
