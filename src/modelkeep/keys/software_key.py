"""Keys that are bytes: PKCS #8 in PEM, wherever the text is kept.

P-256 and X25519 are one PEM block; the hybrid type is two, ML-KEM-768 and then X25519.
Source: RFC 5958, RFC 7468.
"""

from __future__ import annotations

import re
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.file_kind import after_parameters, not_private
from modelkeep.grants.hpke import PrivateKey
from modelkeep.keys.pkcs8 import encrypted_pem
from modelkeep.memory import Pages, wipe

KINDS = ("p256", "x25519", "mlkem768-x25519")
DEFAULT_KIND = "p256"

_GeneratedKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | mlkem.MLKEM768PrivateKey
_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\r?\n?")
_HINT = "make one with modelkeep keys create file:PATH"
_PKCS8 = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def generate(kind: str | None) -> tuple[_GeneratedKey, ...]:
    """Returns the parts of a new key of `kind`, ``p256`` unless given.

    Raises:
        UsageError: an unknown kind.
    """
    match kind or DEFAULT_KIND:
        case "p256":
            return (ec.generate_private_key(ec.SECP256R1()),)
        case "x25519":
            return (x25519.X25519PrivateKey.generate(),)
        case "mlkem768-x25519":
            return (mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())
        case unknown:
            raise UsageError(f"unknown kind of key {unknown[:64]!r}", hint=f"known kinds: {', '.join(KINDS)}")


def to_pem(
    keys: tuple[_GeneratedKey, ...], passphrase: Pages | None = None, *, front: bytes = b""
) -> bytearray:
    """Returns `front` and the key as PEM, encrypted if there is a passphrase; wiping it is the caller's."""
    pem = bytearray(front)
    for key in keys:
        if passphrase is None:
            pem += key.private_bytes(serialization.Encoding.PEM, *_PKCS8)
            continue
        plain = bytearray(key.private_bytes(serialization.Encoding.DER, *_PKCS8))
        try:
            pem += encrypted_pem(plain, passphrase.view)
        finally:
            wipe(plain)
    return pem


def from_pem(content: memoryview, name: str, passphrase: Pages | None = None) -> PrivateKey:
    """Returns the key in a PEM text.

    Args:
        content: the text; wiping it is the caller's.
        name: what to call the key in messages.
        passphrase: what unlocks it, or None.

    Raises:
        KeyStoreError: not a key for models, or it does not unlock.
    """
    kind = not_private(content)
    if kind is not None:
        raise KeyStoreError(f"{name}: {kind}, not a private key that opens models", hint=_HINT)
    content = after_parameters(content)
    spans = [block.span() for block in _BLOCK.finditer(content)]
    return combined([_load(name, content[start:end], passphrase) for start, end in spans[:3]], name)


def combined(keys: list[object], name: str) -> PrivateKey:
    """Returns the key that these parts make.

    Raises:
        KeyStoreError: they make none that opens models.
    """
    match keys:
        case [ec.EllipticCurvePrivateKey() as key] if isinstance(key.curve, ec.SECP256R1):
            return key
        case [x25519.X25519PrivateKey() as key]:
            return key
        case [mlkem.MLKEM768PrivateKey() as first, x25519.X25519PrivateKey() as second]:
            return first, second
    raise KeyStoreError(f"{name}: not a key that opens models", hint=_HINT)


def _load(name: str, block: memoryview, passphrase: Pages | None) -> object:
    try:
        # Typed as bytes, but any buffer will do, and ours is wiped.
        password = None if passphrase is None else cast(bytes, passphrase.view)
        return serialization.load_pem_private_key(block, password)
    except TypeError:
        # pyca/cryptography says so for a passphrase that is missing or not needed.
        problem = "has no passphrase" if passphrase else "needs a passphrase"
        hint = "use file:PATH?passphrase-file=PATH or ?passphrase-env=NAME"
        raise KeyStoreError(f"{name}: the key {problem}", hint=None if passphrase else hint) from None
    except (ValueError, UnsupportedAlgorithm):
        problem = "does not unlock with this passphrase, or is damaged" if passphrase else "is damaged"
        raise KeyStoreError(f"{name}: the key {problem}") from None
