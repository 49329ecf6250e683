"""Credentials that only the TPM with a certain key and a certain object can open (TPM2_MakeCredential).

Everything is composed of what pyca offers; in the tests a TPM opens what is made here.
Source: TPM 2.0 Library, Part 1, "Credential Protection" and "Secret Sharing".
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from modelkeep.errors import MalformedError
from modelkeep.memory.randomness import random_bytes
from modelkeep.posture.tpm2.public_area import HASHES, Algorithm, PublicArea
from modelkeep.posture.tpm2.reader import sized

SECRET_BYTES = 32

_IDENTITY = b"IDENTITY\0"
_PYCA: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class Credential:
    """What is sent to the device.

    Attributes:
        blob: TPM2B_ID_OBJECT.
        seed: TPM2B_ENCRYPTED_SECRET.
    """

    blob: bytes
    seed: bytes


def make_credential(endorsement: PublicArea, name: bytes, secret: bytes) -> Credential:
    """Returns `secret` so that a TPM opens it only if it holds both the endorsement key and the object.

    Args:
        endorsement: the endorsement key's public area, whose key a certificate vouches for.
        name: name of the object.
        secret: at most 32 bytes, chosen at random.

    Raises:
        MalformedError: the endorsement key protects nothing.
    """
    if not endorsement.symmetric:
        raise MalformedError("endorsement key: protects nothing under it")
    seed, encrypted_seed = _share_seed(endorsement)
    algorithm = _hash_of(endorsement)
    key = _kdfa(algorithm, seed, b"STORAGE", name, endorsement.symmetric // 8)
    cipher = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    identity = cipher.update(sized(secret)) + cipher.finalize()
    integrity_key = _kdfa(algorithm, seed, b"INTEGRITY", b"", algorithm.digest_size)
    tag = hmac.digest(integrity_key, identity + name, algorithm.name)
    return Credential(sized(sized(tag) + identity), sized(encrypted_seed))


def new_secret() -> bytes:
    """Returns a secret for a credential."""
    return random_bytes(SECRET_BYTES)


def _share_seed(endorsement: PublicArea) -> tuple[bytes, bytes]:
    """Returns a new seed, and what the endorsement key makes it from."""
    if isinstance(endorsement.key, rsa.RSAPublicKey):
        return _encrypt_seed(endorsement, endorsement.key)
    return _agree_seed(endorsement, endorsement.key)


def _encrypt_seed(endorsement: PublicArea, key: rsa.RSAPublicKey) -> tuple[bytes, bytes]:
    algorithm = _hash_of(endorsement)
    seed = random_bytes(algorithm.digest_size)
    scheme = padding.OAEP(padding.MGF1(algorithm), algorithm, _IDENTITY)
    return seed, key.encrypt(seed, scheme)


def _agree_seed(endorsement: PublicArea, key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    algorithm = _hash_of(endorsement)
    ephemeral = ec.generate_private_key(key.curve)
    shared = ephemeral.exchange(ec.ECDH(), key)
    sender, receiver = ephemeral.public_key().public_numbers(), key.public_numbers()
    size = (key.curve.key_size + 7) // 8
    parties = sender.x.to_bytes(size) + receiver.x.to_bytes(size)
    seed = ConcatKDFHash(algorithm, algorithm.digest_size, _IDENTITY + parties).derive(shared)
    return seed, sized(sender.x.to_bytes(size)) + sized(sender.y.to_bytes(size))


def _kdfa(algorithm: hashes.HashAlgorithm, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
    return KBKDFHMAC(
        algorithm, Mode.CounterMode, length, 4, 4, CounterLocation.BeforeFixed, label, context, None
    ).derive(key)


def _hash_of(endorsement: PublicArea) -> hashes.HashAlgorithm:
    return _PYCA[HASHES[Algorithm(endorsement.name_algorithm)]]()
