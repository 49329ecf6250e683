"""Whose signature a model has before it is sealed: options of `seal`, and of `verify --signature`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from modelkeep.cli.output import say
from modelkeep.errors import UsageError
from modelkeep.folder_signature import SignedFolder, StatementVerifier, verify_folder
from modelkeep.named_trust import refuse_subject, trusted
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.sigstore_identity import SigstoreVerifier
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.verifier import Verifier

_WHOSE = ("upstream", "upstream_subject", "identity", "issuer", "sigstore_root", "ignore")


def upstream(arguments: argparse.Namespace) -> SignedFolder | None:
    """Returns what was signed of the model that is to be sealed; None where nobody asks for it.

    Raises:
        UsageError: options that do not belong together.
        RefusedError, MalformedError, StorageError: see `verify_folder`.
    """
    if arguments.require_signature is None:
        if any(getattr(arguments, name) for name in _WHOSE):
            raise UsageError("whose signature counts goes with --require-signature FILE")
        return None
    if arguments.model == "-":
        raise UsageError("what comes from standard input has no signature", hint="seal the file or folder")
    signed = verify_folder(
        arguments.model, arguments.require_signature, _verifier(arguments), ignore=arguments.ignore
    )
    say(f"{arguments.model} is signed by {signed.signer}")
    return signed


def _verifier(arguments: argparse.Namespace) -> StatementVerifier:
    if arguments.identity:
        refuse_subject(arguments.upstream_subject, "an identity of Sigstore is whose it is")
        return sigstore(arguments, arguments.upstream)
    if arguments.issuer or arguments.sigstore_root:
        raise UsageError("--issuer and --sigstore-root go with --identity", hint="pass --identity WHO")
    if not arguments.upstream:
        raise UsageError("nobody's signature is asked for", hint="pass --upstream KEY.pub, or --identity")
    keys = trusted(arguments.upstream, arguments.upstream_subject)
    return Verifier(*keys, model=UnsafeAnyModel())


def sigstore(arguments: argparse.Namespace, keys: Sequence[str]) -> SigstoreVerifier:
    """Returns who accepts the Sigstore identity of the options `--identity`, `--issuer`, `--sigstore-root`.

    Raises:
        UsageError: one is missing, or there are `keys` besides.
        RefusedError, MalformedError, StorageError: the root is none.
    """
    if arguments.issuer is None or arguments.sigstore_root is None or keys:
        raise UsageError("--identity goes with --issuer and --sigstore-root, and not with a key")
    signer = SigstoreSigner(arguments.identity, arguments.issuer)
    return SigstoreVerifier.from_file(signer, arguments.sigstore_root)
