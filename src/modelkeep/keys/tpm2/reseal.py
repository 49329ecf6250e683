"""Approvals of PCR values: made where the authority's key is, added where the TPM is.

An approval file is canonical JSON: ``version`` 1, ``pcrs``, ``digest`` and ``signature``. It says
nothing about a device, so that one approval of a new system serves all devices that run it.
"""

from __future__ import annotations

import base64
import os
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical
from modelkeep.errors import SignatureError, UsageError
from modelkeep.keys.tpm2.address import TpmAddress
from modelkeep.keys.tpm2.key_file import MOST_APPROVALS, KeyFile, read_approval
from modelkeep.keys.tpm2.policy import APPROVAL_LABEL, PCRS, Approval
from modelkeep.record import Record
from modelkeep.storage import read_small

LARGEST_APPROVAL = 4096


def approval_to_bytes(approval: Approval, pcrs: tuple[int, ...]) -> bytes:
    """Returns the approval file."""
    return canonical.encode(
        {
            "version": 1,
            "pcrs": list(pcrs),
            "digest": approval.digest.hex(),
            "signature": base64.b64encode(approval.signature).decode(),
        }
    )


def approval_from_file(path: str | os.PathLike[str]) -> Approval:
    """Returns the approval in a file.

    Raises:
        StorageError: cannot be read.
        MalformedError: not an approval.
    """
    data = canonical.decode(read_small(path, LARGEST_APPROVAL, "an approval of PCR values"), "approval")
    with Record(data, "approval") as record:
        record.integer("version", lowest=1, highest=1)
        record.items("pcrs", longest=PCRS)
        return read_approval(record)


def add_approval(address: str, approval: Approval) -> None:
    """Adds an approval to the key file at a ``tpm2:`` address; earlier states stay approved.

    Raises:
        UsageError: the key has no authority.
        SignatureError: not signed by the key's authority.
        StorageError: the file cannot be read or replaced.
    """
    path = TpmAddress.parse(address).path
    key_file = KeyFile.read(path)
    _check(key_file, approval)
    others = tuple(old for old in key_file.approvals if old.digest != approval.digest)
    replace(key_file, approvals=(*others, approval)[-MOST_APPROVALS:]).write(path, force=True)


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
