"""Whose turn it is: by a number that every device has for every release, and nobody chooses.

Source: spec/update-v1.md, "Phases".
"""

from __future__ import annotations

import hmac

WHOLE = 1000

_LABEL = b"modelkeep/v1/phase"
_BYTES = 8


def place_of(salt: bytes, device: bytes) -> int:
    """Returns the place of a device among all others for one release: uniform from 0 to 2**64 - 1.

    Args:
        salt: SHA-256 of the release's manifest, 32 bytes.
        device: SHA-256 of the device's public key, 32 bytes.
    """
    digest = hmac.digest(salt, _LABEL + device, "sha256")
    return int.from_bytes(digest[:_BYTES], "big")


def has_turn(salt: bytes, device: bytes, share: int) -> bool:
    """Returns whether a device is among the first `share` per mille, and so in every larger share."""
    return place_of(salt, device) * WHOLE < share << (8 * _BYTES)
