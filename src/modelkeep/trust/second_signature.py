"""The second signature: ML-DSA-65 over the same statement, for verifiers that demand it.

It holds where ECDSA no longer does, be it by a quantum computer or by a stolen first key.
Source: spec/bundle-v1.md, "Second signature"; FIPS 204 (pure ML-DSA, empty context).
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from modelkeep import canonical, dsse, public_key, storage
from modelkeep.errors import SignatureError, UntrustedSignerError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.record import Record
from modelkeep.trust import oms, private_key
from modelkeep.trust.statement import Statement

MEDIA_TYPE = "application/vnd.modelkeep.signature.v1+json"
ALGORITHM = "ml-dsa-65"
SIGNATURE_BYTES = 3309
LARGEST_KEY_FILE = 2**16

SecondKey = bytes | str | os.PathLike[str] | MLDSA65PublicKey


class SecondSigner:
    """A publisher's ML-DSA-65 key held in memory."""

    def __init__(self, private_key: MLDSA65PrivateKey) -> None:
        """Takes the private key.

        Raises:
            UsageError: another kind of key.
        """
        if not isinstance(private_key, MLDSA65PrivateKey):
            raise UsageError(
                "second signatures are made with ML-DSA-65 keys only",
                hint="make one with `modelkeep keys create --kind ml-dsa-65 FILE`",
            )
        self._private_key = private_key
        self._public_key = private_key.public_key()

    @staticmethod
    def from_pem(path: str | os.PathLike[str], *, passphrase: bytes | None = None) -> SecondSigner:
        """Returns the signer whose private key is in a PEM file (PKCS #8).

        Args:
            path: the private key; only its owner may be able to read it.
            passphrase: what unlocks an encrypted key.

        Raises:
            KeyStoreError: the key cannot be read, is open to other users, or does not unlock.
            UsageError: another kind of key, or marked for another purpose.
        """
        # The constructor refuses every other kind of key.
        with storage.named(path):
            return SecondSigner(private_key.load(path, passphrase, Purpose.BUNDLE))  # type: ignore[arg-type]

    @property
    def public_key(self) -> MLDSA65PublicKey:
        """The key that verifies."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Returns an ML-DSA-65 signature (3309 bytes) over `message`."""
        return self._private_key.sign(message)


def load_key(key: SecondKey) -> MLDSA65PublicKey:
    """Returns the public key given as PEM bytes, path of a PEM file, or key object.

    Raises:
        StorageError: the file cannot be read.
        UsageError: not an ML-DSA-65 public key.
    """
    if isinstance(key, str | os.PathLike):
        return storage.read_as(key, LARGEST_KEY_FILE, "a public key", load_key)
    parsed = public_key.from_pem(key) if isinstance(key, bytes) else key
    if not isinstance(parsed, MLDSA65PublicKey):
        raise UsageError("not an ML-DSA-65 public key", hint="pass the public key of the second signer")
    return parsed


def sign(statement: Statement, signer: SecondSigner) -> bytes:
    """Returns the document with the second signature over `statement` as canonical JSON."""
    return _encode(signer.public_key, signer.sign(dsse.pae(oms.PAYLOAD_TYPE, statement.to_bytes())))


def document_size(signer: SecondSigner) -> int:
    """Returns the length of what `sign` makes, which is always the same."""
    return len(_encode(signer.public_key, bytes(SIGNATURE_BYTES)))


def verify(document: bytes | None, key: MLDSA65PublicKey, payload: bytes) -> None:
    """Checks the second signature over a statement.

    Args:
        document: what the bundle has, or None.
        key: whose signature is demanded.
        payload: the statement, exactly as in the first signature's document.

    Raises:
        SignatureError: it is missing, or does not verify.
        UntrustedSignerError: it was made with another key.
        MalformedError: not a document of this form.
    """
    if document is None:
        raise SignatureError(
            "the bundle has no second signature", hint="seal it with second_signer=, or --second-signer"
        )
    claimed, signature = _parse(document)
    if claimed != public_key.fingerprint(key):
        raise UntrustedSignerError(
            f"the second signature is of key sha256:{claimed}, which is not trusted here"
        )
    try:
        key.verify(signature, dsse.pae(oms.PAYLOAD_TYPE, payload))
    except InvalidSignature:
        raise SignatureError("the second signature does not verify") from None


def _encode(key: MLDSA65PublicKey, signature: bytes) -> bytes:
    return canonical.encode(
        {
            "mediaType": MEDIA_TYPE,
            "algorithm": ALGORITHM,
            "key": public_key.fingerprint(key),
            "signature": base64.b64encode(signature).decode(),
        }
    )


def _parse(document: bytes) -> tuple[str, bytes]:
    with Record(canonical.decode(document, "second signature"), "second signature") as record:
        record.choice("mediaType", {MEDIA_TYPE: None})
        record.choice("algorithm", {ALGORITHM: None})
        claimed = record.hexadecimal("key", 32).hex()
        return claimed, record.base64("signature", longest=SIGNATURE_BYTES)
