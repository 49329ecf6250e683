"""What waits for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A grant that waits for a person: a first one, or one to a key that would replace another.

    Attributes:
        device: whose, SHA-256 of the public key.
        name: what the roster calls the device.
        model: of which model.
        replaces: which key this one would replace, likewise; empty for none.
        allowed: whether somebody has allowed it.
    """

    device: bytes
    name: str
    model: str
    replaces: bytes
    allowed: bool
