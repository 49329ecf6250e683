"""Our signers, wherever their keys are, as those that package tuf asks for signatures."""

from __future__ import annotations

from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse, public_key
from modelkeep.errors import KeepError, KeyStoreError
from modelkeep.updates.repository.metadata import (
    AnySigner,
    Metadata,
    Signature,
    SSlibKey,
    UnsignedMetadataError,
)


def role_key(key: ec.EllipticCurvePublicKey) -> SSlibKey:
    """Returns a public key as TUF lists it; its id is the fingerprint that it has everywhere."""
    dsse.ecdsa_for(key)
    return SSlibKey.from_crypto(key, keyid=public_key.fingerprint(key))


class RoleSigner(AnySigner):
    """A key that signs metadata of TUF."""

    def __init__(self, signer: dsse.EcdsaSigner) -> None:
        """Takes any of our signers.

        Raises:
            UsageError: a curve that is not supported.
        """
        self._signer = signer
        self._key = role_key(signer.public_key)

    @property
    def public_key(self) -> SSlibKey:
        """The key that verifies."""
        return self._key

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return str(self._key.keyid)

    def sign(self, payload: bytes) -> Signature:
        """Returns a signature over the canonical JSON of a document.

        Raises:
            KeyStoreError: the key cannot be used, or signs with another one.
        """
        signature = self._signer.sign(payload)
        key = self._signer.public_key
        try:
            # A faulty device or adapter shows here, and not on ten thousand devices.
            key.verify(signature, payload, dsse.ecdsa_for(key))
        except InvalidSignature:
            raise KeyStoreError("the signer returned a signature that its own key does not verify") from None
        return Signature(self.fingerprint, signature.hex())

    @classmethod
    def from_priv_key_uri(cls, *_arguments: Any) -> NoReturn:
        """Is not how signers are made here: `open_signer` does that."""
        raise NotImplementedError


def sign(metadata: Metadata[Any], signer: RoleSigner) -> None:
    """Adds the signature of `signer`.

    Raises:
        KeyStoreError: the key cannot be used.
    """
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        if isinstance(error.__cause__, KeepError):
            raise error.__cause__ from None
        raise KeyStoreError(f"the signer failed: {type(error.__cause__).__name__}") from None
