"""The header of a grant: public, and bound into the wrapped key byte for byte.

Canonical JSON of ``version`` (1), ``bundle`` (32 hex digits), ``type``, ``key_id`` (32 hex
digits), ``constraints`` and, for type ``passphrase`` alone, ``scrypt``. Members under ``ext``
are carried and bound but mean nothing here; parameters of types that come later live there,
so that a reader of today can pass over their grants. Source: spec/grant-v1.md, "Form".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, NamedTuple

from modelkeep import canonical
from modelkeep.errors import UnsupportedVersionError
from modelkeep.grants.constraints import Constraints
from modelkeep.record import Record

VERSION = 1
BUNDLE_BYTES = 16
KEY_ID_BYTES = 16
SALT_BYTES = 16
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a type

LOWEST_LOG_N, DEFAULT_LOG_N, HIGHEST_LOG_N = 14, 17, 20
SCRYPT_R = 8
SCRYPT_P = 1
# Bytes for each of the N blocks (RFC 7914: 128 * r).
SCRYPT_MEMORY = 128 * SCRYPT_R

_KEY_ID_LABEL = b"modelkeep/v1/key-id"
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class ScryptCost(NamedTuple):
    """How a passphrase becomes a key (RFC 7914), with r = 8 and p = 1 fixed.

    Attributes:
        salt: 16 random bytes.
        log_n: binary logarithm of N; memory is 1024 * N bytes, so 16 MiB to 1 GiB.
    """

    salt: bytes
    log_n: int


class GrantHeader(NamedTuple):
    """What a grant says openly.

    Attributes:
        bundle: the 16 bytes of the bundle's id.
        type: kind of recipient; may be one that this version does not know.
        key_id: 16 bytes by which the recipient's key finds its grant.
        constraints: what is demanded of whoever opens it.
        scrypt: cost parameters, for passphrases only.
    """

    bundle: bytes
    type: str
    key_id: bytes
    constraints: Constraints = Constraints()
    scrypt: ScryptCost | None = None

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding."""
        members: dict[str, Any] = {
            "bundle": self.bundle.hex(),
            "constraints": self.constraints.to_json(),
            "key_id": self.key_id.hex(),
            "type": self.type,
            "version": VERSION,
        }
        if self.scrypt is not None:
            members["scrypt"] = {
                "log_n": self.scrypt.log_n,
                "p": SCRYPT_P,
                "r": SCRYPT_R,
                "salt": self.scrypt.salt.hex(),
            }
        return canonical.encode(members)

    @staticmethod
    def from_bytes(data: bytes) -> GrantHeader:
        """Parses a header; its truth shows only when the wrapped key opens under it.

        Raises:
            MalformedError: not a header; among them scrypt costs out of bounds.
            UnsupportedVersionError: a newer version, or a constraint this version does not know.
        """
        with Record(canonical.decode(data, "grant header"), "grant header") as record:
            _check_version(record)
            kind = _type(record)
            return GrantHeader(
                bundle=record.hexadecimal("bundle", BUNDLE_BYTES),
                type=kind,
                key_id=record.hexadecimal("key_id", KEY_ID_BYTES),
                constraints=Constraints.from_json(record.anything("constraints")),
                scrypt=_scrypt(record) if kind == PASSPHRASE else None,
            )


class HeaderForm:
    """The encodings of headers that differ by key id alone: a fleet's.

    Args:
        bundle: the 16 bytes of the bundle's id.
        kind: type of the recipients.
        constraints: what is demanded of all of them.
    """

    def __init__(self, bundle: bytes, kind: str, constraints: Constraints) -> None:
        blank = bytes(KEY_ID_BYTES)
        encoded = GrantHeader(bundle, kind, blank, constraints).to_bytes()
        # Only a type and a version come behind the key id, and no type has so many zeros.
        self._front, _, self._back = encoded.rpartition(blank.hex().encode())

    def to_bytes(self, key_id: bytes) -> bytes:
        """Returns what `GrantHeader.to_bytes` would."""
        return self._front + key_id.hex().encode() + self._back


def binding(header_bytes: bytes) -> bytes:
    """Returns what every recipient type mixes into the wrapping: SHA-256 of the exact header bytes."""
    return hashlib.sha256(header_bytes).digest()


def key_id(bundle: bytes, kind: str, public_value: bytes) -> bytes:
    """Returns the 16 bytes by which a key finds its grants within one bundle.

    The first 16 bytes of HMAC-SHA256 under the bundle id over
    ``modelkeep/v1/key-id`` | 0x00 | type | 0x00 | public value. Keyed by the bundle, so that
    the grants of two bundles do not show that they are for the same device.
    """
    message = b"\x00".join((_KEY_ID_LABEL, kind.encode("ascii"), public_value))
    return hmac.digest(bundle, message, "sha256")[:KEY_ID_BYTES]


def _check_version(record: Record) -> None:
    version = record.integer("version")
    if version != VERSION:
        raise UnsupportedVersionError(
            f"grant: format version {version} is not supported", hint="update modelkeep"
        )


def _type(record: Record) -> str:
    kind = record.text("type", longest=64)
    if not _TYPE.fullmatch(kind):
        raise record.fault("type", "is not the name of a recipient type")
    return kind


def _scrypt(record: Record) -> ScryptCost:
    # Bounds are part of the format: nobody works, or allocates, for a grant beyond them.
    with record.object("scrypt") as scrypt:
        scrypt.integer("r", lowest=SCRYPT_R, highest=SCRYPT_R)
        scrypt.integer("p", lowest=SCRYPT_P, highest=SCRYPT_P)
        return ScryptCost(
            salt=scrypt.hexadecimal("salt", SALT_BYTES),
            log_n=scrypt.integer("log_n", lowest=LOWEST_LOG_N, highest=HIGHEST_LOG_N),
        )
