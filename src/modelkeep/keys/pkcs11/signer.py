"""Signing in a token: ECDSA keys of publishers, and of whoever approves or grants."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Mechanism, ObjectClass

from modelkeep.keys.pkcs11.key import find, foreign_half, public_key_of
from modelkeep.keys.pkcs11.token import login
from modelkeep.keys.pkcs11.uri import TokenAddress
from modelkeep.memory.randomness import random_bytes


class TokenSigner:
    """A P-256 key in a token that signs.

    Args:
        address: the ``pkcs11:`` URI without its scheme.
        certificates: certificate of the key first, then its issuers.

    Raises:
        UsageError: the URI is not of this form.
        KeyStoreError: the token cannot be found, unlocked or used, has no such key, or its public half
            is not its own.
        StorageError: the PIN's file cannot be read.
    """

    def __init__(self, address: str, certificates: tuple[x509.Certificate, ...] = ()) -> None:
        self._address = TokenAddress.parse(address)
        self._address.require_object()
        self._login = login(self._address)
        self.certificates = certificates
        with self._login.session() as session:
            self._public = public_key_of(find(session, self._address, ObjectClass.PUBLIC_KEY))
        self._check_public_half()

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Returns an ECDSA signature in DER over the SHA-256 of `message`.

        Raises:
            KeyStoreError: the token cannot be used, or the key is gone.
        """
        digest = hashes.Hash(hashes.SHA256())
        digest.update(message)
        with self._login.session() as session:
            private = find(session, self._address, ObjectClass.PRIVATE_KEY)
            signature = private.sign(digest.finalize(), mechanism=Mechanism.ECDSA)
        half = len(signature) // 2
        return encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )

    def _check_public_half(self) -> None:
        # Else somebody without the PIN could have devices told to trust a key of theirs.
        challenge = random_bytes(32)
        try:
            self._public.verify(self.sign(challenge), challenge, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise foreign_half(self._address) from None

    def __repr__(self) -> str:
        return "TokenSigner(hidden)"
