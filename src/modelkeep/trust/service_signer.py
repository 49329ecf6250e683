"""Signing services and devices that package securesystemslib knows: cloud KMS, Vault, HSM.

``SCHEME:ADDRESS#PUBLIC.pem``: what securesystemslib calls the private key URI, and a file with the
public key. A PIN or other secret that a signer asks for is taken from MODELKEEP_SIGNER_SECRET.
Source: securesystemslib, ``securesystemslib.signer``.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import dsse, public_key
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.trust.service_errors import words_of_service

SECRET_VARIABLE = "MODELKEEP_SIGNER_SECRET"  # noqa: S105 (the name of a variable)


class ServiceSigner:
    """A key that somebody else keeps.

    Raises:
        UsageError: an unknown scheme, or no public key behind a ``#``.
        KeyStoreError: the service cannot be reached, or refuses.
        StorageError: the public key cannot be read.
    """

    def __init__(self, uri: str, certificates: tuple[x509.Certificate, ...] = ()) -> None:
        services = _services()
        private, _, public = uri.rpartition("#")
        scheme = (private or public).partition(":")[0]
        if scheme not in services.SIGNER_FOR_URI_SCHEME:
            known = ", ".join(sorted({"file", "pkcs11", "tpm2", *services.SIGNER_FOR_URI_SCHEME}))
            raise UsageError(f"unknown signer scheme {scheme[:64]!r}", hint=f"known schemes: {known}")
        if not private:
            raise UsageError(
                "the signer's public key is needed", hint=f"write {scheme}:...#publisher.pub, a PEM file"
            )
        self._public = public_key.load(public)
        self.certificates = certificates
        key = services.SSlibKey.from_crypto(self._public)
        self._scheme = scheme
        with words_of_service(scheme):
            self._service = services.Signer.from_priv_key_uri(private, key, _secret)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Returns a DER-encoded ECDSA signature over `message`, hashed as the curve asks.

        Raises:
            KeyStoreError: the service cannot be reached, refuses, or signs with another key.
        """
        with words_of_service(self._scheme):
            signature = bytes.fromhex(self._service.sign(message).signature)
        try:
            self._public.verify(signature, message, dsse.ecdsa_for(self._public))
        except InvalidSignature:
            raise KeyStoreError(
                "the service signed with another key than the public key given", hint="check the part after #"
            ) from None
        return signature

    def __repr__(self) -> str:
        return f"ServiceSigner({self._scheme})"


def _services() -> Any:
    is_first = "securesystemslib" not in sys.modules
    services = importlib.import_module("securesystemslib.signer")
    if is_first:
        # It has just set its log up to go to the terminal, with what services answer. An application
        # that wants to read it adds a handler of its own.
        logging.getLogger("securesystemslib").handlers[:] = [logging.NullHandler()]
    return services


def _secret(name: str) -> str:
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        raise KeyStoreError(f"the signer asks for its {name[:32]}", hint=f"set {SECRET_VARIABLE}")
    return secret
