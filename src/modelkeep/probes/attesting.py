"""The evidence document that this device makes about one of its keys."""

from __future__ import annotations

from dataclasses import replace

from modelkeep.errors import UsageError
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import calling_store
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.probes.local import claims, local_findings
from modelkeep.probes.system import System
from modelkeep.probes.tpm2_state import EVENT_LOG
from modelkeep.uri import split

_TPM = "tpm2"


def attest(key: str, challenge: Challenge | None = None, *, unapproved: bool = False) -> Evidence:
    """Returns what this device shows about a key, and what it says of itself.

    Args:
        key: URI of a P-256 key; only a ``tpm2:`` key has proofs.
        challenge: the question; None for an introduction, which proves nothing.
        unapproved: the policy of the key is not met: show that the TPM made it, and the present state.

    Raises:
        UsageError: a key of another kind.
        KeyStoreError: the key cannot be used, or the question is for another TPM.
        StorageError: the key's file cannot be read.
    """
    scheme, address = split(key)
    if scheme == _TPM:
        # Loading the store first says what to install where the TPM's library is missing.
        with calling_store(_TPM):
            evidence = _of_tpm(address, challenge, unapproved=unapproved)
    else:
        evidence = _of_store(key, challenge)
    return replace(evidence, claims=claims(local_findings()))


def _of_tpm(address: str, challenge: Challenge | None, *, unapproved: bool) -> Evidence:
    # The library is there only where TPMs are used.
    from modelkeep.keys.tpm2.address import TpmAddress
    from modelkeep.keys.tpm2.key_file import OPEN
    from modelkeep.probes import tpm2_evidence

    parsed = TpmAddress.parse(address)
    file = parsed.read(OPEN)
    auth = None if unapproved else parsed.passphrase_for(file.policy)
    try:
        key = tpm2_evidence.DeviceKey(file, parsed.tcti, auth)
        if challenge is None:
            return tpm2_evidence.introduce(key)
        log = System().data(EVENT_LOG) or b""
        return tpm2_evidence.answer(key, challenge, log, unapproved=unapproved)
    finally:
        if auth is not None:
            auth.close()


def _of_store(key: str, challenge: Challenge | None) -> Evidence:
    with Identity(key) as identity:
        recipient = identity.recipient()
    if not isinstance(recipient, HpkeRecipient) or recipient.type != P256:
        raise UsageError("evidence is about P-256 keys", hint="modelkeep keys create KEY --kind p256")
    return Evidence(recipient.public, None if challenge is None else challenge.nonce)
