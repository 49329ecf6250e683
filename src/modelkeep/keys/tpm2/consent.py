"""Meeting the policy of a key: PCR values, the authority's consent to them, the passphrase, the branch."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tpm2_pytss import (
    ESYS_TR,
    TPM2_ALG,
    TPM2B_DIGEST,
    TPM2B_PUBLIC,
    TPML_DIGEST,
    TPMS_SIGNATURE_ECC,
    TPMT_PUBLIC,
    TPMT_SIGNATURE,
    TPMU_SIGNATURE,
)

from modelkeep.dsse import APPROVAL_LABEL
from modelkeep.errors import KeyStoreError
from modelkeep.keys.point import COORDINATE_BYTES
from modelkeep.keys.tpm2.device import Handle, Tpm, pcr_selection
from modelkeep.keys.tpm2.key_file import OPEN, KeyFile
from modelkeep.keys.tpm2.policy import (
    Approval,
    authority_name,
    authority_public,
    branches,
    pcr_digest,
)


def satisfy(tpm: Tpm, session: Handle, key_file: KeyFile, command: int | None = None) -> None:
    """Runs the policy of a key in a policy session.

    Args:
        tpm: the connection.
        session: a fresh policy session.
        key_file: the key.
        command: what is to vouch for a device's key, CERTIFY or ACTIVATE_CREDENTIAL; None to use it.

    Raises:
        KeyStoreError: the present PCR values are not approved.
    """
    policy = key_file.policy
    if policy.pcrs:
        tpm.esapi.policy_pcr(session, b"", pcr_selection(policy.pcrs))
    if policy.authority is not None:
        _authorize(tpm, session, key_file)
    if policy.auth:
        tpm.esapi.policy_auth_value(session)
    if key_file.use == OPEN:
        _choose_branch(tpm, session, command)


def _choose_branch(tpm: Tpm, session: Handle, command: int | None) -> None:
    # Asked of the TPM, since nobody else knows the PCR values that the session is at.
    conditions = tpm.esapi.policy_get_digest(session)
    digests = [TPM2B_DIGEST(digest) for digest in branches(bytes(conditions))]
    if command is not None:
        tpm.esapi.policy_command_code(session, command)
    tpm.esapi.policy_or(session, TPML_DIGEST(digests))


def _authorize(tpm: Tpm, session: Handle, key_file: KeyFile) -> None:
    authority = key_file.policy.authority
    assert authority is not None
    approval = _fitting(tpm, key_file)
    public, _ = TPMT_PUBLIC.unmarshal(authority_public(authority))
    digest = hashlib.sha256(approval.digest + APPROVAL_LABEL).digest()
    # Signatures of keys in the null hierarchy give no ticket.
    loaded = tpm.esapi.load_external(TPM2B_PUBLIC(public), hierarchy=ESYS_TR.OWNER)
    try:
        ticket = tpm.esapi.verify_signature(loaded, digest, _signature(approval.signature))
    finally:
        tpm.esapi.flush_context(loaded)
    tpm.esapi.policy_authorize(session, approval.digest, authority_name(authority), ticket, APPROVAL_LABEL)


def _fitting(tpm: Tpm, key_file: KeyFile) -> Approval:
    pcrs = key_file.policy.pcrs
    present = pcr_digest(pcrs, tpm.pcr_values(pcrs))
    for approval in key_file.approvals:
        if approval.digest == present:
            return approval
    raise KeyStoreError(
        "the present state of the device (PCR values) is not approved",
        hint="start the approved system, or get this state approved: modelkeep keys approve",
    )


def _signature(der: bytes) -> Any:
    try:
        numbers = [number.to_bytes(COORDINATE_BYTES, "big") for number in decode_dss_signature(der)]
    except (ValueError, OverflowError):
        raise KeyStoreError("the approval of the PCR values is damaged", hint="get a new approval") from None
    parts = TPMS_SIGNATURE_ECC(hash=TPM2_ALG.SHA256, signatureR=numbers[0], signatureS=numbers[1])
    return TPMT_SIGNATURE(sigAlg=TPM2_ALG.ECDSA, signature=TPMU_SIGNATURE(ecdsa=parts))
