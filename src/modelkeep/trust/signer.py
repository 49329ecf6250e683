"""Who signs bundles: an elliptic-curve key, with its certificates where there are any."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.storage import named
from modelkeep.trust import private_key
from modelkeep.trust.certificate_roots import load_certificates

if TYPE_CHECKING:
    from cryptography import x509


class BundleSigner(dsse.EcdsaSigner, Protocol):
    """Whoever can sign a bundle; keys in hardware or in a service implement this."""

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Certificate of the key first, then those up to the root; empty for a bare key."""


@runtime_checkable
class DocumentSigner(Protocol):
    """Besides, for signers that make the whole document: those whose proof is more than key and signature."""

    def document_size(self, payload: bytes) -> int:
        """Returns the most bytes that the document about a payload of this length can need."""

    def sign_document(self, payload: bytes) -> bytes:
        """Returns the document about a payload: a Sigstore bundle around a DSSE envelope."""


class Signer:
    """A publisher's key held in memory."""

    def __init__(
        self, private_key: ec.EllipticCurvePrivateKey, certificates: tuple[x509.Certificate, ...] = ()
    ) -> None:
        """Takes a P-256, P-384 or P-521 key and its certificates, leaf first.

        Raises:
            UsageError: another kind of key, or the first certificate is for another key.
        """
        if not isinstance(private_key, ec.EllipticCurvePrivateKey):
            raise UsageError(
                "bundles are signed with elliptic-curve keys only",
                hint="make one with `modelkeep keys create --kind signing FILE`",
            )
        self._private_key = private_key
        self._public_key = private_key.public_key()
        self._scheme = dsse.ecdsa_for(self._public_key)
        if certificates:
            check_certificate(certificates[0], self._public_key)
        self._certificates = certificates

    @staticmethod
    def from_pem(
        path: str | os.PathLike[str],
        *,
        passphrase: bytes | None = None,
        certificates: str | os.PathLike[str] | None = None,
        purpose: Purpose = Purpose.BUNDLE,
    ) -> Signer:
        """Returns the signer whose private key is in a PEM file (PKCS #8 or SEC 1).

        Args:
            path: the private key; only its owner may be able to read it.
            passphrase: what unlocks an encrypted key.
            certificates: PEM file with the signing certificate first, then its issuers.
            purpose: what the key is to sign.

        Raises:
            KeyStoreError: the key cannot be read, is open to other users, or does not unlock.
            StorageError: the certificates cannot be read.
            UsageError: another kind of key, marked for another purpose, or foreign certificates.
        """
        key = private_key.load(path, passphrase, purpose)
        chain = load_certificates(certificates)
        with named(path):
            # The constructor refuses every other kind of key.
            return Signer(key, chain)  # type: ignore[arg-type]

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self._public_key

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Certificate of the key first, then its issuers; empty for a bare key."""
        return self._certificates

    def sign(self, message: bytes) -> bytes:
        """Returns a DER-encoded ECDSA signature over `message`, hashed as the curve asks."""
        return self._private_key.sign(message, self._scheme)


def check_certificate(certificate: x509.Certificate, public_key: ec.EllipticCurvePublicKey) -> None:
    """Refuses a certificate that speaks for another key.

    Raises:
        UsageError: it does.
        SignatureError: it is for another kind of key.
    """
    from modelkeep.trust.certificates import signing_key

    if signing_key(certificate) != public_key:
        raise UsageError(
            "the first certificate is not for this private key",
            hint="put the signing certificate first, then the ones that issued it",
        )
