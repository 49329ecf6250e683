"""The device's side: the request with which it asks to be granted models."""

from __future__ import annotations

import os
from collections.abc import Iterable

from modelkeep.errors import RefusedError, UsageError
from modelkeep.granter.handover import answer_with_old_key
from modelkeep.granter.question import LARGEST_QUESTION, Question
from modelkeep.granter.request import Handover, Request
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.keys.identity import Identity
from modelkeep.posture.evidence import Evidence
from modelkeep.probes.attesting import attest
from modelkeep.storage import read_as
from modelkeep.uri import split

_TPM = "tpm2"


def enrol(
    key: str,
    models: Iterable[str],
    *,
    device_id: str = "",
    question: Question | str | os.PathLike[str] | None = None,
    replaces: str | None = None,
    origin: str | None = None,
) -> Request:
    """Returns the request of this device.

    Args:
        key: URI of the device's key.
        models: ids of the models that it is to open.
        device_id: what the device calls itself; by default as the key does.
        question: what the granter asked, or the path of its file; None at first.
        replaces: URI of the key that this one replaces, which has to be at hand still.
        origin: who may ask; None for anybody.

    Raises:
        UsageError: a key that nobody can grant to by its public part, or no models.
        RefusedError: somebody else asks, or about other keys.
        KeyStoreError, StorageError: a key cannot be used.
    """
    if isinstance(question, str | os.PathLike):
        question = read_as(question, LARGEST_QUESTION, "a question", Question.from_bytes)
    if question is not None and origin not in (None, question.challenge.origin):
        raise RefusedError(f"the question is of {question.challenge.origin!r}, not of {origin!r}")
    recipient = _recipient_of(key, device_id)
    handover = None if replaces is None else _handover(replaces, recipient, question)
    return Request(recipient, tuple(models), _evidence(key, recipient, question), handover)


def _recipient_of(key: str, device_id: str = "") -> HpkeRecipient:
    with Identity(key) as identity:
        recipient = identity.recipient(device_id) if identity.type.startswith("hpke-") else None
    if not isinstance(recipient, HpkeRecipient):
        raise UsageError(
            "only keys with a public part are granted on request: no fleet: keys and no passphrases",
            hint="make one: modelkeep keys create file:PATH, or tpm2:PATH",
        )
    return recipient


def _evidence(key: str, recipient: HpkeRecipient, question: Question | None) -> Evidence | None:
    if recipient.type != P256:
        return None
    challenge = None if question is None else question.challenge
    # Without a TPM there is nothing but the device's word, and no use in asking it again.
    return attest(key, challenge) if split(key)[0] == _TPM or challenge is not None else None


def _handover(replaces: str, new: HpkeRecipient, question: Question | None) -> Handover:
    old = _recipient_of(replaces)
    if question is None or question.handover is None:
        return Handover(old)
    with Identity(replaces) as identity:
        answer = answer_with_old_key(question.handover, question.challenge, identity, old, new)
    return Handover(old, question.challenge.nonce, answer)
