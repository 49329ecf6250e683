"""The file that names a key in a TPM: its public part, its encrypted private part, its policy.

The private part is encrypted by the TPM for itself. Losing the file loses the key, except when
the key is persistent; publishing it gives nothing away. Canonical JSON, at most 64 KiB.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.errors import UnsupportedVersionError
from modelkeep.keys.point import point_of, public_from_point
from modelkeep.keys.tpm2.policy import DIGEST_BYTES, PCRS, Approval, Policy
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

LARGEST_KEY_FILE = 65_536
MOST_APPROVALS = 64
OPEN, SIGN, QUOTE = "open", "sign", "quote"

_LONGEST_BLOB = 2048
_SIGNATURE_BYTES = 80
_HIGHEST_HANDLE = 0x81FFFFFF


@dataclass(frozen=True, slots=True)
class Creation:
    """What a TPM said when it made a key, and its ticket: with both it vouches for the key later, too.

    Attributes:
        data: marshalled TPM2B_CREATION_DATA.
        ticket: marshalled TPMT_TK_CREATION.
    """

    data: bytes
    ticket: bytes

    @property
    def digest(self) -> bytes:
        """The creation hash, SHA-256 of the creation data without its length."""
        return hashlib.sha256(self.data[2:]).digest()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a key file says.

    Attributes:
        use: ``open`` (grants), ``sign`` (bundles) or ``quote`` (PCR values).
        public: marshalled TPM2B_PUBLIC.
        private: marshalled TPM2B_PRIVATE; empty for a persistent key, once it is where `handle` says.
        creation: what the TPM said when it made the key.
        handle: persistent handle, or 0.
        parent: persistent handle of the parent, or 0 for the storage primary key made afresh.
        parent_name: the parent's name; another TPM, or somebody between, has another one.
        policy: when the key may be used.
        approvals: PCR values that the policy's authority consented to.
    """

    use: str
    public: bytes
    private: bytes
    creation: Creation
    handle: int
    parent: int
    parent_name: bytes
    policy: Policy
    approvals: tuple[Approval, ...] = ()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> KeyFile:
        """Reads a key file.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a key file of this form.
        """
        data = read_small(path, LARGEST_KEY_FILE, "a TPM key file")
        with Record(canonical.decode(data, "TPM key file"), "TPM key file") as record:
            if record.integer("version") != 1:
                raise UnsupportedVersionError(
                    "TPM key file: made by a newer version", hint="update modelkeep"
                )
            return KeyFile(
                use=record.choice("use", {use: use for use in (OPEN, SIGN, QUOTE)}),
                public=record.base64("public", longest=_LONGEST_BLOB),
                private=record.base64("private", longest=_LONGEST_BLOB),
                creation=_creation(record.anything("creation")),
                handle=record.integer("handle", highest=_HIGHEST_HANDLE),
                parent=record.integer("parent", highest=_HIGHEST_HANDLE),
                parent_name=record.hexadecimal("parent_name", 2 + DIGEST_BYTES),
                policy=_policy(record),
                approvals=tuple(map(_approval, record.items("approvals", longest=MOST_APPROVALS))),
            )

    def write(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes the file, readable by its owner alone.

        Raises:
            StorageError: cannot be written; the old file is intact.
            UsageError: the file exists and `force` is not set.
        """
        write_file(path, self.to_bytes(), force=force, mode=0o600)

    def to_bytes(self) -> bytes:
        """Returns what the file holds."""
        authority = self.policy.authority
        document: dict[str, Any] = {
            "version": 1,
            "use": self.use,
            "public": _text(self.public),
            "private": _text(self.private),
            "creation": {"data": _text(self.creation.data), "ticket": _text(self.creation.ticket)},
            "handle": self.handle,
            "parent": self.parent,
            "parent_name": self.parent_name.hex(),
            "pcrs": list(self.policy.pcrs),
            "auth": self.policy.auth,
            "authority": _text(point_of(authority)) if authority else "",
            "approvals": [
                {"digest": approval.digest.hex(), "signature": _text(approval.signature)}
                for approval in self.approvals
            ],
        }
        return canonical.encode(document)


def read_approval(record: Record) -> Approval:
    """Takes the members of an approval."""
    digest = record.hexadecimal("digest", DIGEST_BYTES)
    return Approval(digest, record.base64("signature", longest=_SIGNATURE_BYTES))


def _policy(record: Record) -> Policy:
    pcrs = record.items("pcrs", longest=PCRS)
    if pcrs != sorted(set(pcrs)) or not all(type(index) is int and 0 <= index < PCRS for index in pcrs):
        raise record.fault("pcrs", "must be ascending PCR numbers")
    point = record.base64("authority", longest=65)
    try:
        authority = public_from_point(point) if point else None
    except ValueError:
        raise record.fault("authority", "is not a point of P-256") from None
    return Policy(tuple(pcrs), authority, record.boolean("auth"))


def _creation(value: object) -> Creation:
    with Record(value, "TPM key file: creation") as record:
        return Creation(
            record.base64("data", longest=_LONGEST_BLOB), record.base64("ticket", longest=_LONGEST_BLOB)
        )


def _approval(value: object) -> Approval:
    with Record(value, "TPM key file: approval") as record:
        return read_approval(record)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
