"""The public area of an object in a TPM (TPMT_PUBLIC): what the object is, and its name.

Source: TPM 2.0 Library, Part 2, "TPMT_PUBLIC"; Part 1, "Names".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from modelkeep.posture.tpm2.reader import Reader

LARGEST = 2048

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Algorithm(IntEnum):
    """Identifiers of algorithms (TPM_ALG_ID)."""

    RSA = 0x0001
    AES = 0x0006
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    NULL = 0x0010
    ECDSA = 0x0018
    ECDH = 0x0019
    ECC = 0x0023
    CFB = 0x0043


class Attribute(IntFlag):
    """What an object may do (TPMA_OBJECT)."""

    FIXED_TPM = 1 << 1
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    ADMIN_WITH_POLICY = 1 << 7
    NO_DA = 1 << 10
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18


# Made inside this TPM, and never outside it.
BOUND = Attribute.FIXED_TPM | Attribute.FIXED_PARENT | Attribute.SENSITIVE_DATA_ORIGIN

HASHES = {Algorithm.SHA256: "sha256", Algorithm.SHA384: "sha384", Algorithm.SHA512: "sha512"}
_CURVES: dict[int, tuple[type[ec.EllipticCurve], int]] = {
    0x0003: (ec.SECP256R1, 32),
    0x0004: (ec.SECP384R1, 48),
    0x0005: (ec.SECP521R1, 66),
}
_RSA_BITS = (2048, 3072, 4096)


@dataclass(frozen=True, slots=True)
class PublicArea:
    """A public area.

    Attributes:
        encoded: TPMT_PUBLIC as it was read; its digest is the name.
        name_algorithm: hash of the name.
        attributes: what the object may do.
        policy: digest of the policy; empty without one.
        symmetric: bits of the AES key that protects what is under it, or 0.
        scheme: the scheme it is restricted to, or NULL.
        scheme_hash: hash of that scheme, or NULL.
        key: the public key.
    """

    encoded: bytes
    name_algorithm: Algorithm
    attributes: Attribute
    policy: bytes
    symmetric: int
    scheme: int
    scheme_hash: int
    key: PublicKey

    @staticmethod
    def parse(data: bytes, what: str) -> PublicArea:
        """Reads TPMT_PUBLIC of an RSA or elliptic-curve key.

        Raises:
            MalformedError: not such a structure, or of an algorithm that is not known here.
        """
        reader = Reader(data, what)
        if len(data) > LARGEST:
            raise reader.fault(f"larger than {LARGEST} bytes")
        kind, name_algorithm, attributes = reader.numbers("HHI")
        if name_algorithm not in HASHES:
            raise reader.fault("names by another hash than SHA-256, SHA-384 and SHA-512")
        policy = reader.sized()
        symmetric = _symmetric(reader)
        scheme, scheme_hash = _scheme(reader)
        key = _key(reader, kind)
        reader.end()
        return PublicArea(
            *(data, Algorithm(name_algorithm), Attribute(attributes), policy),
            *(symmetric, scheme, scheme_hash, key),
        )

    @property
    def name(self) -> bytes:
        """The object's name: the hash's identifier and the digest of the public area."""
        digest = hashlib.new(HASHES[self.name_algorithm], self.encoded).digest()
        return struct.pack(">H", self.name_algorithm) + digest


def _symmetric(reader: Reader) -> int:
    algorithm = reader.number()
    if algorithm == Algorithm.NULL:
        return 0
    bits, mode = reader.numbers("HH")
    if (algorithm, mode) != (Algorithm.AES, Algorithm.CFB) or bits not in (128, 192, 256):
        raise reader.fault("protects with another cipher than AES in CFB mode")
    return int(bits)


def _scheme(reader: Reader) -> tuple[int, int]:
    scheme = reader.number()
    return (scheme, Algorithm.NULL) if scheme == Algorithm.NULL else (scheme, reader.number())


def _key(reader: Reader, kind: int) -> PublicKey:
    try:
        if kind == Algorithm.ECC:
            return _curve_key(reader)
        if kind == Algorithm.RSA:
            return _rsa_key(reader)
    except (ValueError, KeyError):
        raise reader.fault("holds no key that can be used") from None
    raise reader.fault("neither an RSA nor an elliptic-curve key")


def _curve_key(reader: Reader) -> ec.EllipticCurvePublicKey:
    curve, size = _CURVES[reader.number()]
    _scheme(reader)  # of key derivation
    x, y = reader.sized(), reader.sized()
    if max(len(x), len(y)) > size:
        raise ValueError
    point = b"\x04" + x.rjust(size, b"\0") + y.rjust(size, b"\0")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve(), point)


def _rsa_key(reader: Reader) -> rsa.RSAPublicKey:
    bits, exponent = reader.numbers("HI")
    modulus = int.from_bytes(reader.sized())
    if bits not in _RSA_BITS or modulus.bit_length() != bits:
        raise ValueError
    return rsa.RSAPublicNumbers(exponent or 65537, modulus).public_key()
