"""Key files: PKCS #8 in PEM, readable by their owner alone.

P-256 and X25519 are one PEM block; the hybrid type is two, ML-KEM-768 and then X25519. The
device id is the file's stem where that is a legal one. Source: RFC 5958, RFC 7468.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.address import parse_address
from modelkeep.keys.hpke import HpkeHandle, HpkeRecipient, PrivateKey
from modelkeep.keys.passphrase_source import choose
from modelkeep.keys.secret import device_id_of
from modelkeep.memory import Pages, wipe
from modelkeep.private_file import read_private
from modelkeep.storage import write_file

KINDS = ("p256", "x25519", "mlkem768-x25519")
DEFAULT_KIND = "p256"

_GeneratedKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | mlkem.MLKEM768PrivateKey
_OPTIONS = frozenset({"passphrase-env", "passphrase-file"})
_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\r?\n?")
_PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class FileStore:
    """Key store for ``file:PATH``, with ``?passphrase-env=NAME`` or ``?passphrase-file=PATH``."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key in a file.

        Raises:
            UsageError: the address is not of this form.
            StorageError: the file cannot be read.
            KeyStoreError: the file is not private, not a key for models, or does not unlock.
        """
        parsed = parse_address(address, _OPTIONS)
        passphrase = choose(parsed.options, env="passphrase-env", file="passphrase-file")
        with passphrase or nullcontext():
            return HpkeHandle(
                _read(parsed.path, passphrase), device_id_of(parsed.path), _state_path(parsed.path)
            )

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient:
        """Writes a new key of `kind` (``p256`` unless given) and returns its recipient.

        The key is not encrypted: pyca/cryptography would derive the encryption key with 2048
        rounds of PBKDF2, which protects nothing worth a model.

        Raises:
            UsageError: an unknown kind, a passphrase in the address, or the file exists.
            StorageError: cannot be written.
        """
        parsed = parse_address(address, _OPTIONS)
        if parsed.options:
            raise UsageError(
                "key files are created without a passphrase",
                hint="encrypt the file afterwards: openssl pkcs8 -topk8 -scrypt -in KEY -out ENCRYPTED",
            )
        keys = _generate(kind or DEFAULT_KIND)
        pem = bytearray(b"".join(key.private_bytes(*_PKCS8) for key in keys))
        try:
            write_file(parsed.path, pem, force=force, mode=0o600)
        finally:
            wipe(pem)
        return HpkeHandle(_combined(parsed.path, list(keys)), device_id_of(parsed.path)).recipient()


def _generate(kind: str) -> tuple[_GeneratedKey, ...]:
    if kind == "p256":
        return (ec.generate_private_key(ec.SECP256R1()),)
    if kind == "x25519":
        return (x25519.X25519PrivateKey.generate(),)
    if kind == "mlkem768-x25519":
        return (mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())
    raise UsageError(f"unknown kind of key {kind[:64]!r}", hint=f"known kinds: {', '.join(KINDS)}")


def _read(path: str, passphrase: Pages | None) -> PrivateKey:
    with read_private(path) as content:
        spans = [block.span() for block in _BLOCK.finditer(content)]
        keys = [_load(path, content[start:end], passphrase) for start, end in spans[:3]]
    return _combined(path, keys)


def _load(path: str, block: memoryview, passphrase: Pages | None) -> object:
    try:
        # Typed as bytes, but any buffer will do, and ours is wiped.
        password = None if passphrase is None else cast(bytes, passphrase.view)
        return serialization.load_pem_private_key(block, password)
    except TypeError:
        # pyca/cryptography says so for a passphrase that is missing or not needed.
        problem = "has no passphrase" if passphrase else "needs a passphrase"
        hint = "use file:PATH?passphrase-file=PATH or ?passphrase-env=NAME"
        raise KeyStoreError(f"{path}: the key {problem}", hint=None if passphrase else hint) from None
    except (ValueError, UnsupportedAlgorithm):
        problem = "does not unlock with this passphrase, or is damaged" if passphrase else "is damaged"
        raise KeyStoreError(f"{path}: the key {problem}") from None


def _combined(path: str, keys: list[object]) -> PrivateKey:
    match keys:
        case [ec.EllipticCurvePrivateKey() as key] if isinstance(key.curve, ec.SECP256R1):
            return key
        case [x25519.X25519PrivateKey() as key]:
            return key
        case [mlkem.MLKEM768PrivateKey() as first, x25519.X25519PrivateKey() as second]:
            return first, second
    raise KeyStoreError(
        f"{path}: not a key that opens models", hint="make one with modelkeep keygen file:PATH"
    )


def _state_path(path: str) -> Path:
    return Path(f"{path}.state")
