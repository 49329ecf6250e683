"""Whom Sigstore vouches for: a person or a workflow, for the minutes in which it signed. Offline.

Source: Sigstore bundle v0.3; the library `sigstore` checks certificate, transparency log and signature.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from modelkeep import public_key
from modelkeep.errors import (
    MalformedError,
    RuntimeMissingError,
    SignatureError,
    UntrustedSignerError,
)
from modelkeep.signer_id import SignerId
from modelkeep.storage import read_small
from modelkeep.trust import oms
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.statement import Statement

if TYPE_CHECKING:
    from cryptography import x509

LARGEST_ROOT = 2**20


class SigstoreStatement(NamedTuple):
    """A statement and the identity behind it.

    Attributes:
        statement: what was signed.
        signer: who signed.
        key: the fingerprint of the key of this one signature.
        payload: the statement as it was signed.
    """

    statement: Statement
    signer: SigstoreSigner
    key: bytes
    payload: bytes


class SigstoreVerifier:
    """Accepts what certain identities signed.

    Args:
        signers: whose signatures count.
        root: Sigstore's trusted root (JSON), which is pinned: nothing is asked of the network. It is looked
            at when a signature is: devices whose publishers have keys need no library for it.
    """

    def __init__(self, signers: Sequence[SigstoreSigner], root: bytes) -> None:
        self._signers = tuple(signers)
        self._root = root

    @staticmethod
    def from_file(signer: SigstoreSigner, root: str | os.PathLike[str]) -> SigstoreVerifier:
        """Returns the verifier of one identity, with the trusted root of a file.

        Raises:
            StorageError: the root cannot be read.
            MalformedError: the root is not in form.
            RuntimeMissingError: the library is not installed.
        """
        return SigstoreVerifier((signer,), read_root(root))

    def vouches(self, signer: SignerId) -> bool:
        """Returns whether what `signer` once signed counts."""
        return any(each.is_behind(signer) for each in self._signers)

    def verify_statement(self, document: bytes) -> SigstoreStatement:
        """Returns what a signature document says.

        Raises:
            SignatureError: it does not hold.
            UntrustedSignerError: another identity signed.
            MalformedError: not such a document, or the root is not in form.
            RuntimeMissingError: the library is not installed.
        """
        from modelkeep.trust import certificates

        bundle = _parsed(document)
        signer = self._named_by(bundle.signing_certificate)
        try:
            verifier = _library("verify").Verifier(trusted_root=_trusted_root(self._root))
            kind, payload = verifier.verify_dsse(bundle, _policy(signer))
        except (_library("errors").Error, ValueError) as error:
            raise SignatureError(f"not signed by {signer}", hint=f"the reason was: {error}"[:400]) from None
        if kind != oms.PAYLOAD_TYPE:
            raise SignatureError("the signature covers another kind of document than a model")
        key = public_key.fingerprint(certificates.signing_key(bundle.signing_certificate))
        return SigstoreStatement(Statement.from_bytes(payload), signer, bytes.fromhex(key), payload)

    def _named_by(self, certificate: x509.Certificate) -> SigstoreSigner:
        """Returns the identity that a certificate names; whether the certificate holds comes after."""
        for signer in self._signers:
            with suppress(_library("errors").Error):
                _policy(signer).verify(certificate)
                return signer
        raise UntrustedSignerError(
            f"not signed by {' or '.join(map(str, self._signers))}",
            hint="the certificate names another identity, or the same one by another issuer",
        )


def read_root(path: str | os.PathLike[str]) -> bytes:
    """Returns a file with Sigstore's trusted root.

    Raises:
        StorageError: it cannot be read.
        MalformedError: it is not one.
        RuntimeMissingError: the library is not installed.
    """
    root = read_small(path, LARGEST_ROOT, "a trusted root of Sigstore")
    _trusted_root(root)
    return root


def _trusted_root(root: bytes) -> Any:
    try:
        inner = _import("sigstore_models.trustroot.v1").TrustedRoot.from_json(root)
        return _library("models").TrustedRoot(inner)
    except (ValueError, KeyError, TypeError, _library("errors").Error):
        raise MalformedError("this is not a trusted root of Sigstore") from None


def _parsed(document: bytes) -> Any:
    if len(document) > oms.LARGEST_DOCUMENT:
        raise MalformedError("signature: larger than 8 MiB")
    try:
        return _library("models").Bundle.from_json(document)
    except (ValueError, TypeError, _library("errors").Error):
        raise MalformedError("signature: not a bundle of Sigstore") from None


def _policy(signer: SigstoreSigner) -> Any:
    return _library("verify.policy").Identity(identity=signer.identity, issuer=signer.issuer)


def _library(name: str) -> Any:
    return _import(f"sigstore.{name}")


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RuntimeMissingError(
            "sigstore is not installed", hint="pip install 'modelkeep[sigstore]'"
        ) from None
