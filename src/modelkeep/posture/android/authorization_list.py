"""What a key may be used for, as KeyMint enforces it or Android says.

Source: Android, "Verify hardware-backed key pairs with key attestation", AuthorizationList.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from modelkeep.posture import der
from modelkeep.posture.der import Value


class BootState(IntEnum):
    """What the boot loader found of the system's signature."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


class Origin(IntEnum):
    """Where a key came from."""

    GENERATED = 0
    DERIVED = 1
    IMPORTED = 2
    RESERVED = 3
    SECURELY_IMPORTED = 4


class Purpose(IntEnum):
    """What a key may be used for."""

    ENCRYPT = 0
    DECRYPT = 1
    SIGN = 2
    VERIFY = 3
    WRAP_KEY = 5
    AGREE_KEY = 6
    ATTEST_KEY = 7


@dataclass(frozen=True, slots=True)
class RootOfTrust:
    """What the boot loader told the hardware.

    Attributes:
        verified_boot_key: digest of the key that signed the system; zeros where nothing was verified.
        device_locked: does the boot loader refuse systems of others?
        boot_state: what it found.
        verified_boot_hash: digest of everything that was verified; empty before version 3.
    """

    verified_boot_key: bytes
    device_locked: bool
    boot_state: BootState
    verified_boot_hash: bytes


@dataclass(frozen=True, slots=True)
class Application:
    """Who asked for the key, as Android says.

    Attributes:
        packages: name and version of every package of the application's user.
        signers: SHA-256 digests of the certificates that signed them.
    """

    packages: tuple[tuple[str, int], ...]
    signers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AuthorizationList:
    """One list of an attestation.

    Attributes:
        members: what it says, by tag: an int, True, bytes, a tuple of ints, RootOfTrust or Application.
        unknown: tags that this version does not know.
    """

    members: Mapping[int, Any]
    unknown: tuple[int, ...]

    @staticmethod
    def parse(value: Value) -> AuthorizationList:
        """Reads a list; tags ascend, as DER demands, and none comes twice.

        Raises:
            MalformedError: not such a list.
        """
        members: dict[int, Any] = {}
        unknown: list[int] = []
        last = -1
        for part in value.sequence():
            number, inner = part.tagged()
            if number <= last:
                raise value.fault(f"tag {number} comes after tag {last}")
            last = number
            if number in _READERS:
                members[number] = _READERS[number](inner)
            else:
                unknown.append(number)
        return AuthorizationList(members, tuple(unknown))

    def get(self, tag: Tag) -> Any:
        """Returns what the list says under a tag, or None."""
        return self.members.get(tag)


class Tag(IntEnum):
    """The tags that are read."""

    PURPOSE = 1
    ALGORITHM = 2
    KEY_SIZE = 3
    BLOCK_MODE = 4
    DIGEST = 5
    PADDING = 6
    EC_CURVE = 10
    ML_DSA_VARIANT = 11
    RSA_PUBLIC_EXPONENT = 200
    MGF_DIGEST = 203
    ROLLBACK_RESISTANCE = 303
    EARLY_BOOT_ONLY = 305
    ACTIVE_DATE_TIME = 400
    ORIGINATION_EXPIRE_DATE_TIME = 401
    USAGE_EXPIRE_DATE_TIME = 402
    USAGE_COUNT_LIMIT = 405
    NO_AUTH_REQUIRED = 503
    USER_AUTH_TYPE = 504
    AUTH_TIMEOUT = 505
    ALLOW_WHILE_ON_BODY = 506
    TRUSTED_USER_PRESENCE_REQUIRED = 507
    TRUSTED_CONFIRMATION_REQUIRED = 508
    UNLOCKED_DEVICE_REQUIRED = 509
    CREATION_DATE_TIME = 701
    ORIGIN = 702
    ROLLBACK_RESISTANT = 703
    ROOT_OF_TRUST = 704
    OS_VERSION = 705
    OS_PATCH_LEVEL = 706
    APPLICATION = 709
    BRAND = 710
    DEVICE = 711
    PRODUCT = 712
    SERIAL = 713
    IMEI = 714
    MEID = 715
    MANUFACTURER = 716
    MODEL = 717
    VENDOR_PATCH_LEVEL = 718
    BOOT_PATCH_LEVEL = 719
    DEVICE_UNIQUE_ATTESTATION = 720
    SECOND_IMEI = 723
    MODULE_HASH = 724


def _numbers(value: Value) -> tuple[int, ...]:
    numbers = tuple(sorted(part.integer() for part in value.collection()))
    if len(set(numbers)) != len(numbers):
        raise value.fault("a number comes twice")
    return numbers


def _root_of_trust(value: Value) -> RootOfTrust:
    parts = value.sequence()
    if len(parts) not in (3, 4):
        raise value.fault("a root of trust has three or four parts")
    state = parts[2].enumerated()
    if state not in set(BootState):
        raise value.fault(f"boot state {state} is not known")
    boot_hash = parts[3].octets() if len(parts) == 4 else b""
    return RootOfTrust(parts[0].octets(), parts[1].boolean(), BootState(state), boot_hash)


def _application(value: Value) -> Application:
    parts = der.decode(value.octets(), value.what).sequence()
    if len(parts) != 2:
        raise value.fault("an application has two parts")
    packages = tuple(_package(part) for part in parts[0].collection())
    return Application(packages, tuple(part.octets() for part in parts[1].collection()))


def _package(value: Value) -> tuple[str, int]:
    parts = value.sequence()
    if len(parts) != 2:
        raise value.fault("a package has two parts")
    try:
        return parts[0].octets().decode(), parts[1].integer()
    except UnicodeDecodeError:
        raise value.fault("a package's name is not UTF-8") from None


def _origin(value: Value) -> Origin:
    number = value.integer()
    if number not in set(Origin):
        raise value.fault(f"origin {number} is not known")
    return Origin(number)


_SETS = (Tag.PURPOSE, Tag.BLOCK_MODE, Tag.DIGEST, Tag.PADDING, Tag.MGF_DIGEST)
_FLAGS = (
    *(Tag.ROLLBACK_RESISTANCE, Tag.EARLY_BOOT_ONLY, Tag.NO_AUTH_REQUIRED, Tag.ALLOW_WHILE_ON_BODY),
    *(Tag.TRUSTED_USER_PRESENCE_REQUIRED, Tag.TRUSTED_CONFIRMATION_REQUIRED, Tag.UNLOCKED_DEVICE_REQUIRED),
    *(Tag.ROLLBACK_RESISTANT, Tag.DEVICE_UNIQUE_ATTESTATION),
)
_OCTETS = (
    *(Tag.BRAND, Tag.DEVICE, Tag.PRODUCT, Tag.SERIAL, Tag.IMEI, Tag.MEID),
    *(Tag.MANUFACTURER, Tag.MODEL, Tag.SECOND_IMEI, Tag.MODULE_HASH),
)
_READERS: Mapping[int, Callable[[Value], Any]] = {
    **dict.fromkeys(Tag, Value.integer),
    **dict.fromkeys(_SETS, _numbers),
    **dict.fromkeys(_FLAGS, Value.null),
    **dict.fromkeys(_OCTETS, Value.octets),
    Tag.ORIGIN: _origin,
    Tag.ROOT_OF_TRUST: _root_of_trust,
    Tag.APPLICATION: _application,
}
