"""Signing in the TPM: P-256 keys that sign bundles, grants and approvals."""

from __future__ import annotations

import hashlib
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tpm2_pytss import TPM2_ALG, TPMT_SIG_SCHEME

from modelkeep.errors import UsageError
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.device import connected
from modelkeep.keys.tpm2.key import public_key_of
from modelkeep.keys.tpm2.key_file import SIGN, KeyFile
from modelkeep.keys.tpm2.session import using
from modelkeep.memory import Pages


class TpmSigner:
    """A P-256 key in a TPM that signs.

    Args:
        key_file: which key.
        tcti: how the TPM is reached.
        auth: the key's passphrase, which this object owns, or None.
        certificates: certificate of the key first, then its issuers.
    """

    def __init__(
        self,
        key_file: KeyFile,
        tcti: str,
        auth: Pages | None = None,
        certificates: tuple[x509.Certificate, ...] = (),
    ) -> None:
        self._file = key_file
        self._tcti = tcti
        self._auth = auth
        self._public = public_key_of(key_file)
        self.certificates = certificates
        self._is_closed = False

    @staticmethod
    def open(address: str, certificates: tuple[x509.Certificate, ...] = ()) -> TpmSigner:
        """Returns the signer at ``tpm2:`` address.

        Raises:
            UsageError: the address is not of this form, or the key has another use.
            StorageError: the key file cannot be read.
            KeyStoreError: the passphrase is missing.
        """
        parsed = TpmAddress.parse(address)
        key_file = parsed.read(SIGN)
        return TpmSigner(key_file, parsed.tcti, parsed.passphrase_for(key_file.policy), certificates)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Wipes the passphrase; it signs no more. Harmless when repeated."""
        self._is_closed = True
        if self._auth is not None:
            self._auth.close()

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Returns an ECDSA signature in DER over the SHA-256 of `message`.

        Raises:
            KeyStoreError: the TPM cannot be reached, or the key's policy is not met.
            UsageError: the signer is closed.
        """
        if self._is_closed:
            raise UsageError("this signer is closed", hint="open it again")
        digest = hashlib.sha256(message).digest()
        with connected(self._tcti) as tpm, using(tpm, self._file, self._auth) as (key, session):
            scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
            signature = tpm.esapi.sign(key, digest, scheme, session1=session)
            return signature_in_der(signature)

    def __repr__(self) -> str:
        return "TpmSigner(hidden)"


def signature_in_der(signature: Any) -> bytes:
    """Returns a TPM's ECDSA signature in DER; `signature` is held by the caller meanwhile."""
    numbers = signature.signature.ecdsa
    r, s = bytes(numbers.signatureR), bytes(numbers.signatureS)
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
