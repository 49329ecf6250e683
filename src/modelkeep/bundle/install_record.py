"""The record of an installation: what was installed, and its key, wrapped for this device alone.

Source: spec/install-v1.md, "Install record".
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

from modelkeep import canonical
from modelkeep.container import names
from modelkeep.container.archive import first_file
from modelkeep.device.contents_json import INSTALLATION_BYTES
from modelkeep.errors import MalformedError
from modelkeep.grants.constraints import Constraints
from modelkeep.manifest import Suite
from modelkeep.record import Record

FORMAT = "modelkeep/install"
VERSION = 1
LARGEST_RECORD = 65_536

_LABEL = b"modelkeep/v1/install"


class InstallHeader(NamedTuple):
    """What is bound to the install key.

    Attributes:
        installation: 16 random bytes.
        manifest: SHA-256 of the publisher's manifest, 32 bytes.
        model: the model's id, as in the manifest.
        epoch: the model's epoch, as in the manifest.
        suite: how the installed streams are encrypted.
        constraints: what the grant demands, at every open.
        device_id: the name in the grant, may be empty.
    """

    installation: bytes
    manifest: bytes
    model: str
    epoch: int
    suite: Suite
    constraints: Constraints
    device_id: str

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding."""
        members: dict[str, Any] = {
            "constraints": self.constraints.to_json(),
            "device_id": self.device_id,
            "epoch": self.epoch,
            "format": FORMAT,
            "installation": self.installation.hex(),
            "manifest": self.manifest.hex(),
            "model": self.model,
            "suite": self.suite.name,
            "version": VERSION,
        }
        return canonical.encode(members)

    @staticmethod
    def from_bytes(data: bytes) -> InstallHeader:
        """Parses a header; it is authentic only when the install key unwraps under it.

        Raises:
            MalformedError: not a header.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        with Record(canonical.decode(data, "install header"), "install header") as record:
            record.check_format(FORMAT, VERSION)
            return InstallHeader(
                installation=record.hexadecimal("installation", INSTALLATION_BYTES),
                manifest=record.hexadecimal("manifest", 32),
                model=record.text("model"),
                epoch=record.integer("epoch"),
                suite=record.choice("suite", Suite.__members__),
                constraints=Constraints.from_json(record.anything("constraints")),
                device_id=record.text("device_id", longest=64),
            )


class InstallRecord(NamedTuple):
    """The file `install.json`: a header and the install key that is wrapped under it."""

    header: InstallHeader
    header_bytes: bytes
    wrapped: bytes

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding."""
        return canonical.encode(
            {
                "header": base64.b64encode(self.header_bytes).decode(),
                "wrapped": base64.b64encode(self.wrapped).decode(),
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> InstallRecord:
        """Parses a record.

        Raises:
            MalformedError: not a record.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        with Record(canonical.decode(data, "install record"), "install record") as record:
            header_bytes = record.base64("header", longest=LARGEST_RECORD)
            wrapped = record.base64("wrapped", longest=LARGEST_RECORD)
        return InstallRecord(InstallHeader.from_bytes(header_bytes), header_bytes, wrapped)


def first_record(descriptor: int) -> InstallRecord | None:
    """Returns the record with which an open file begins, complete or not; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    data = first_file(descriptor, names.INSTALL, names.LARGEST_INSTALL)
    try:
        return None if data is None else InstallRecord.from_bytes(data)
    except MalformedError:
        return None


def wrapping_context(header_bytes: bytes) -> bytes:
    """Returns what the install key is bound to: label | SHA-256 of the exact header bytes."""
    return _LABEL + hashlib.sha256(header_bytes).digest()
