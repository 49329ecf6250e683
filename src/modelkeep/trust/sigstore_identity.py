"""Whom Sigstore vouches for: a person or a workflow, for the minutes in which it signed. Offline.

Source: Sigstore bundle v0.3; the library `sigstore` checks certificate, transparency log and signature.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelkeep.errors import MalformedError, RuntimeMissingError, SignatureError, UsageError
from modelkeep.storage import read_small
from modelkeep.trust import oms
from modelkeep.trust.statement import Statement

LARGEST_ROOT = 2**20


@dataclass(frozen=True, slots=True)
class SigstoreSigner:
    """An identity.

    Attributes:
        identity: an e-mail address, or the URI of a workflow.
        issuer: who vouched for it to Sigstore.
    """

    identity: str
    issuer: str

    def __str__(self) -> str:
        return f"{self.identity} (by {self.issuer})"


@dataclass(frozen=True, slots=True)
class SigstoreStatement:
    """A statement and the identity behind it."""

    statement: Statement
    signer: SigstoreSigner


class SigstoreVerifier:
    """Accepts what one identity signed.

    Args:
        signer: whose signature counts.
        root: path of Sigstore's trusted root (JSON), which is pinned: nothing is asked of the network.

    Raises:
        StorageError: the root cannot be read.
        UsageError: the root is not in form.
        RuntimeMissingError: the library is not installed.
    """

    def __init__(self, signer: SigstoreSigner, root: str | os.PathLike[str]) -> None:
        self._signer = signer
        read_small(root, LARGEST_ROOT, "a trusted root of Sigstore")
        try:
            self._root = _library("models").TrustedRoot.from_file(str(Path(root)))
        except (ValueError, KeyError, TypeError, _library("errors").Error):
            raise UsageError(f"{os.fspath(root)}: not a trusted root of Sigstore") from None

    def verify_statement(self, document: bytes) -> SigstoreStatement:
        """Returns what a signature document says.

        Raises:
            SignatureError: it does not hold, or another identity signed.
            MalformedError: not such a document.
        """
        bundle = self._parsed(document)
        policy = _library("verify.policy").Identity(
            identity=self._signer.identity, issuer=self._signer.issuer
        )
        try:
            verifier = _library("verify").Verifier(trusted_root=self._root)
            kind, payload = verifier.verify_dsse(bundle, policy)
        except (_library("errors").Error, ValueError) as error:
            raise SignatureError(
                f"not signed by {self._signer}", hint=f"the reason was: {error}"[:400]
            ) from None
        if kind != oms.PAYLOAD_TYPE:
            raise SignatureError("the signature covers another kind of document than a model")
        return SigstoreStatement(Statement.from_bytes(payload), self._signer)

    def _parsed(self, document: bytes) -> Any:
        if len(document) > oms.LARGEST_DOCUMENT:
            raise MalformedError("signature: larger than 8 MiB")
        try:
            return _library("models").Bundle.from_json(document)
        except (ValueError, TypeError, _library("errors").Error):
            raise MalformedError("signature: not a bundle of Sigstore") from None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(f"sigstore.{name}")
    except ImportError:
        raise RuntimeMissingError(
            "sigstore is not installed", hint="pip install 'modelkeep[sigstore]'"
        ) from None
