"""Approving PCR values for a key that lives here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.dsse import APPROVAL_LABEL, EcdsaSigner
from modelkeep.errors import SignatureError, UsageError
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.device import connected
from modelkeep.keys.tpm2.key_file import MOST_APPROVALS, KeyFile
from modelkeep.keys.tpm2.policy import Approval, approve


def approve_here(address: TpmAddress, signer: EcdsaSigner, values: Mapping[int, bytes] | None) -> None:
    """Signs `values`, or those of now, and adds the approval to the key file.

    Raises:
        UsageError: the key has no authority, or a value is missing.
        SignatureError: `signer` is not the key's authority.
        KeyStoreError: the TPM cannot be reached.
        StorageError: the file cannot be read or replaced.
    """
    pcrs = KeyFile.read(address.path).policy.pcrs
    if values is None:
        with connected(address.tcti) as tpm:
            values = tpm.pcr_values(pcrs)
    add_approval(address, approve(pcrs, values, signer))


def add_approval(address: TpmAddress, approval: Approval) -> None:
    """Adds an approval to the key file at a ``tpm2:`` address; earlier states stay approved.

    Raises:
        UsageError: the key has no authority.
        SignatureError: not signed by the key's authority.
        StorageError: the file cannot be read or replaced.
    """
    key_file = KeyFile.read(address.path)
    _check(key_file, approval)
    others = tuple(old for old in key_file.approvals if old.digest != approval.digest)
    replace(key_file, approvals=(*others, approval)[-MOST_APPROVALS:]).write(address.path, force=True)


def _check(key_file: KeyFile, approval: Approval) -> None:
    authority = key_file.policy.authority
    if authority is None:
        raise UsageError(
            "this key is bound to one state of the device for ever",
            hint="create a key with ?authority=PEM and get a new grant: modelkeep keys rotate",
        )
    try:
        authority.verify(approval.signature, approval.digest + APPROVAL_LABEL, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise SignatureError("the approval is not signed by this key's authority") from None
