"""Encrypted PKCS #8, with a key derivation that is worth the name.

pyca/cryptography reads this form and writes another, which derives its key with 2048 rounds of
PBKDF2. So the few bytes of structure are written here; keys and ciphertext come from it.
Source: RFC 5958 (EncryptedPrivateKeyInfo), RFC 8018 (PBES2), RFC 7914 section 7 (scrypt), RFC 7468.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from modelkeep.memory import wiped
from modelkeep.memory.randomness import random_bytes

# As costly to guess as N = 2^17 and p = 1, and within the 32 MiB that OpenSSL allows.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 5

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES256_CBC = bytes.fromhex("060960864801650304012a")


def encrypted_pem(private_key_info: bytearray, passphrase: memoryview) -> bytes:
    """Returns a PKCS #8 structure (DER) encrypted under `passphrase`, as a PEM block.

    Wiping `private_key_info` is the caller's.
    """
    salt, vector = random_bytes(16), random_bytes(16)
    with wiped(32) as key:
        Scrypt(salt=salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive_into(passphrase, key)
        ciphertext = _encrypt(key, vector, private_key_info)
    cost = _element(_SEQUENCE, _element(_OCTETS, salt), *map(_integer, (SCRYPT_N, SCRYPT_R, SCRYPT_P)))
    derivation = _element(_SEQUENCE, _SCRYPT, cost)
    scheme = _element(_SEQUENCE, _AES256_CBC, _element(_OCTETS, vector))
    algorithm = _element(_SEQUENCE, _PBES2, _element(_SEQUENCE, derivation, scheme))
    body = base64.b64encode(_element(_SEQUENCE, algorithm, _element(_OCTETS, ciphertext)))
    name = b"ENCRYPTED PRIVATE KEY"
    lines = b"\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (name, lines, name)


def _encrypt(key: bytearray, vector: bytes, data: bytearray) -> bytes:
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(padder.update(data)) + encryptor.update(padder.finalize()) + encryptor.finalize()


def _integer(value: int) -> bytes:
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
