"""What somebody is shown before a document is signed, and what they agreed to."""

from __future__ import annotations

import argparse
import hashlib

from modelkeep import public_key
from modelkeep.cli import objects as options
from modelkeep.cli.options.agreement import YES
from modelkeep.cli.output import say
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust.envelope import Envelope
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.signers import open_signer

Signers = dict[str, BundleSigner]


def check_agreed(yes: str | None, envelope: Envelope) -> None:
    """Refuses to sign what nobody agreed to.

    Raises:
        UsageError: no agreement, or one to another payload.
    """
    digest = hashlib.sha256(envelope.payload).hexdigest()
    if yes in (YES, digest):
        return
    if yes is None:
        raise UsageError(
            "nothing was signed",
            hint=f"look at what is shown above, and pass --yes {digest} to sign just that",
        )
    raise UsageError(f"the file says something else than what was agreed to: sha256:{digest}")


def signers(arguments: argparse.Namespace, purpose: Purpose) -> Signers:
    """Returns who is to sign, by fingerprint.

    Raises:
        UsageError: a passphrase for several keys, or a key for something else.
        KeyStoreError, StorageError: a key cannot be used.
    """
    passphrase = options.passphrase(arguments)
    if passphrase is not None and len(arguments.signer) > 1:
        raise UsageError("a passphrase goes with one key", hint="sign with one after the other")
    opened = [open_signer(uri, passphrase=passphrase, purpose=purpose) for uri in arguments.signer]
    return {public_key.fingerprint(signer.public_key): signer for signer in opened}


def signed(
    envelope: Envelope, name: str, signer: BundleSigner, since: Envelope | None, since_path: str | None
) -> Envelope:
    """Returns the envelope with one more signature, of a key that has signed what was not shown.

    Raises:
        UsageError: it has not.
        SignatureError, KeyStoreError: it cannot sign.
    """
    # What both files say was not shown, so it has to be known from another signature of this key.
    if since is not None and not since.signed_by({name: signer.public_key}):
        raise UsageError(
            f"{since_path} was not signed with this key, so what it says does not count as seen",
            hint="leave --since out, and look at the whole file",
        )
    result = envelope.signed(signer)
    say(f"{'signed already by' if result is envelope else 'signed by'} sha256:{name}")
    return result
