"""Approvals of PCR values as files: made where the authority's key is, used where the TPM is.

An approval is canonical JSON: ``version`` 1, ``pcrs``, ``digest`` and ``signature``. It says nothing
about a device, so that one approval of a new system serves all devices that run it. PCR values are
JSON too: ``{"7": "hexadecimal", ...}``, as `modelkeep keys show --json` prints them.
"""

from __future__ import annotations

import base64
import os

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.keys.tpm2.key_file import read_approval
from modelkeep.keys.tpm2.policy import DIGEST_BYTES, PCRS, Approval
from modelkeep.record import Record
from modelkeep.storage import read_as

LARGEST_FILE = 4096


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
    return read_as(path, LARGEST_FILE, "an approval of PCR values", _approval)


def _approval(data: bytes) -> Approval:
    with Record(canonical.decode(data, "approval"), "approval") as record:
        record.integer("version", lowest=1, highest=1)
        record.items("pcrs", longest=PCRS)
        return read_approval(record)


def values_from_file(path: str | os.PathLike[str]) -> dict[int, bytes]:
    """Returns the PCR values (32 bytes each) in a file, by ascending PCR number.

    Raises:
        StorageError: cannot be read.
        MalformedError: not PCR values.
    """
    return read_as(path, LARGEST_FILE, "PCR values", _values)


def _values(data: bytes) -> dict[int, bytes]:
    with Record(canonical.decode_lenient(data, "PCR values"), "PCR values") as record:
        values = {
            index: record.hexadecimal(str(index), DIGEST_BYTES)
            for index in range(PCRS)
            if str(index) in record
        }
    if not values:
        raise MalformedError("PCR values: there are none")
    return values
