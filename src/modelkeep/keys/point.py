"""Points of P-256 as hardware speaks of them: 65 bytes, 04 | x | y. Source: SEC 1, section 2.3.3."""

from __future__ import annotations

import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import UsageError
from modelkeep.storage import read_small

COORDINATE_BYTES = 32
LARGEST_PEM = 65_536


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns the key's uncompressed point."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def coordinates_of(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    """Returns x and y of a P-256 key, 32 bytes each."""
    point = point_of(key)
    return point[1 : 1 + COORDINATE_BYTES], point[1 + COORDINATE_BYTES :]


def public_from_point(point: bytes) -> ec.EllipticCurvePublicKey:
    """Returns the P-256 key with this point.

    Raises:
        ValueError: not a point of the curve.
    """
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def public_from_coordinates(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """Returns the P-256 key with these coordinates, whose leading zeros may be missing.

    Raises:
        ValueError: not a point of the curve.
    """
    return public_from_point(b"\x04" + padded(x) + padded(y))


def padded(coordinate: bytes) -> bytes:
    """Returns the coordinate with its leading zeros, which hardware may leave out."""
    return coordinate.rjust(COORDINATE_BYTES, b"\0")


def public_from_pem(path: str | os.PathLike[str]) -> ec.EllipticCurvePublicKey:
    """Returns the elliptic-curve key in a PEM file.

    Raises:
        StorageError: cannot be read.
        UsageError: not such a key.
    """
    try:
        key = serialization.load_pem_public_key(read_small(path, LARGEST_PEM, "a public key"))
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{os.fspath(path)}: not a PEM public key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UsageError(f"{os.fspath(path)}: not an elliptic-curve key")
    return key
