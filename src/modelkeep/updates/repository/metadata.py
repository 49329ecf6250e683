"""TUF's metadata as package tuf knows it, with the names and the few additions that are ours.

Source: TUF 1.0.34; spec/update-v1.md, "The repository".
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from modelkeep.errors import TamperedError, UnavailableError

try:
    from securesystemslib.signer import Key, Signature, SSlibKey
    from securesystemslib.signer import Signer as AnySigner
    from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
    from tuf.api.metadata import (
        DelegatedRole,
        Delegations,
        Metadata,
        MetaFile,
        Root,
        Signed,
        Snapshot,
        TargetFile,
        Targets,
        Timestamp,
    )
    from tuf.api.serialization import DeserializationError
except ImportError as error:
    raise UnavailableError(
        "tuf is not installed, which repositories take", hint="pip install 'modelkeep[updates]'"
    ) from error

# It has set its log up to go to the terminal. An application that wants to read it adds a handler of its own.
logging.getLogger("securesystemslib").handlers[:] = [logging.NullHandler()]

METADATA, TARGETS = "metadata", "targets"
TIMESTAMP_NAME = f"{METADATA}/timestamp.json"
ROOT_ROLE, TARGETS_ROLE, SNAPSHOT_ROLE, TIMESTAMP_ROLE = "root", "targets", "snapshot", "timestamp"
PHASE_ROLE = "phase"
LARGEST_METADATA = 5_000_000
DAY = 86_400
# For how long each role counts, in seconds; what is not named here: a year.
LIFETIMES = {TIMESTAMP_ROLE: 7 * DAY, SNAPSHOT_ROLE: 30 * DAY}
LIFETIME = 365 * DAY
# What ends within this time is made anew by the ceremony that comes next.
SOON = 90 * DAY

# Where a document of TUF says what is ours.
_OURS = "modelkeep"

# The kinds of documents that package tuf knows.
Document = TypeVar("Document", Root, Timestamp, Snapshot, Targets)


def file_name(role: str, version: int) -> str:
    """Returns the name of a role's metadata in the channel."""
    return TIMESTAMP_NAME if role == TIMESTAMP_ROLE else f"{METADATA}/{version}.{role}.json"


def target_file_name(name: str, sha256: str) -> str:
    """Returns the name in the channel of the target that is listed as `name`."""
    folder, slash, last = name.rpartition("/")
    return f"{TARGETS}/{folder}{slash}{sha256}.{last}"


def parse(kind: type[Document], data: bytes, name: str) -> Metadata[Document]:
    """Returns metadata of one kind, which nobody has verified.

    Raises:
        TamperedError: it is none.
    """
    try:
        found: Metadata[Any] = Metadata.from_bytes(data)
    except DeserializationError:
        raise TamperedError(f"{name} is not a document of TUF") from None
    if not isinstance(found.signed, kind):
        raise TamperedError(f"{name} is another document than its name says")
    return found


def ends_at(signed: Signed) -> int:
    """Returns the last second at which it counts, since 1970-01-01 UTC."""
    return int(signed.expires.timestamp())


def set_end(signed: Signed, role: str, now: int) -> None:
    """Lets metadata count as long as that of its role does, from `now` on."""
    end = now + LIFETIMES.get(role, LIFETIME)
    signed.expires = datetime.datetime.fromtimestamp(end, datetime.UTC)


def is_half_over(signed: Signed, role: str, now: int) -> bool:
    """Returns whether less than half of a document's time is left."""
    return ends_at(signed) < now + LIFETIMES.get(role, LIFETIME) // 2


def ours(signed: Signed) -> Mapping[str, Any]:
    """Returns what we have added to a document."""
    found = signed.unrecognized_fields.get(_OURS, {})
    return found if isinstance(found, dict) else {}


def set_ours(signed: Signed, members: Mapping[str, Any]) -> None:
    """Says in a document what is ours."""
    signed.unrecognized_fields[_OURS] = dict(members)


__all__ = [
    "DAY",
    "LARGEST_METADATA",
    "LIFETIME",
    "LIFETIMES",
    "METADATA",
    "PHASE_ROLE",
    "ROOT_ROLE",
    "SNAPSHOT_ROLE",
    "SOON",
    "TARGETS",
    "TARGETS_ROLE",
    "TIMESTAMP_NAME",
    "TIMESTAMP_ROLE",
    "AnySigner",
    "DelegatedRole",
    "Delegations",
    "Document",
    "Key",
    "MetaFile",
    "Metadata",
    "RepositoryError",
    "Root",
    "SSlibKey",
    "Signature",
    "Signed",
    "Snapshot",
    "TargetFile",
    "Targets",
    "Timestamp",
    "UnsignedMetadataError",
    "ends_at",
    "file_name",
    "is_half_over",
    "ours",
    "parse",
    "set_end",
    "set_ours",
    "target_file_name",
]
