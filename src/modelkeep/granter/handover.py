"""How an old key says which key replaces it: it opens what was sealed to it, for that new key alone.

What is sealed is a secret in the form of a grant, of a bundle that does not exist: its id is a digest of
question, asker, old and new key. So every key store that opens models can answer, nothing that is
sealed for another pair of keys is of use, and no grant of a model passes for a question.
Source: spec/granter-v1.md, "Handover".
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from modelkeep.errors import MalformedError, TamperedError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.posture.challenge import Challenge

_LABEL = b"modelkeep/v1/handover"
_BUNDLE_BYTES = 16


def handover_id(challenge: Challenge, old: HpkeRecipient, new: HpkeRecipient) -> bytes:
    """Returns what stands for the bundle's id (16 bytes): bound to question, asker and both keys."""
    parts = (_LABEL, challenge.nonce, challenge.origin.encode(), *_named(old), *_named(new))
    encoded = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hashlib.sha256(encoded).digest()[:_BUNDLE_BYTES]


def ask_old_key(challenge: Challenge, old: HpkeRecipient, new: HpkeRecipient) -> tuple[Grant, bytes]:
    """Returns what only the old key opens, and the answer (32 bytes) that is expected, which stays here."""
    bundle = handover_id(challenge, old, new)
    with DataKey.generate() as secret:
        sealed = issue(HpkeRecipient(old.type, old.public), bundle, secret)
        return sealed, _answer(secret, bundle)


def answer_with_old_key(
    sealed: Grant, challenge: Challenge, old: Identity, old_recipient: HpkeRecipient, new: HpkeRecipient
) -> bytes:
    """Returns the answer (32 bytes) of the old key to a question that names the new one.

    Raises:
        TamperedError: the question is about other keys, or does not open.
        MalformedError: it holds something else.
        KeyStoreError: the key cannot be used.
    """
    bundle = handover_id(challenge, old_recipient, new)
    if sealed.header.bundle != bundle:
        raise TamperedError("the question is about other keys", hint="ask again, with both keys")
    with old.unwrap(sealed, bundle) as opened:
        if opened.device_id:
            raise MalformedError("the question is a grant of something else")
        return _answer(opened.data_key, bundle)


def _answer(secret: DataKey, bundle: bytes) -> bytes:
    # Never the secret itself: what leaves the device says only that it was found.
    return hmac.digest(bytes(secret.view), _LABEL + bundle, "sha256")


def _named(key: HpkeRecipient) -> tuple[bytes, bytes]:
    return key.type.encode(), key.public
