"""What waits for the signatures of people: drafts in a folder, which can go from one to the next on a stick.

Nothing in the folder is believed: a draft counts only as far as it says what follows from the plan.
"""

from __future__ import annotations

import datetime
from contextlib import suppress
from typing import Any

from modelkeep.channels.channel import AbsentError, Channel, read_whole
from modelkeep.errors import MalformedError, SignatureError, TamperedError
from modelkeep.trust.envelope import LARGEST_FILE, Envelope, Kind
from modelkeep.updates.repository.metadata import (
    DAY,
    LARGEST_METADATA,
    LIFETIME,
    ROOT_ROLE,
    Document,
    Metadata,
    Root,
    ends_at,
    parse,
)
from modelkeep.updates.repository.plan import LARGEST_PLAN, Plan

FOLDER = "ceremony"
_PLAN = f"{FOLDER}/plan.json"
_KINDS = {Kind.ROOTS: "trust-roots", Kind.TRUST: "trust"}


class Papers:
    """The folder of drafts of a repository."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def plan(self) -> Plan | None:
        """Returns what people agree on; None before anybody began.

        Raises:
            MalformedError: it is none.
            StorageError: it cannot be read.
        """
        data = self._read(_PLAN, LARGEST_PLAN)
        return None if data is None else Plan.from_bytes(data)

    def write_plan(self, plan: Plan) -> None:
        """Writes it.

        Raises:
            StorageError: it cannot be written.
        """
        self._channel.put(_PLAN, [plan.to_bytes()])

    def envelope(self, kind: Kind) -> Envelope | None:
        """Returns the draft of a document of trust, which nobody has verified; None if there is none."""
        data = self._read(_name(_KINDS[kind]), LARGEST_FILE)
        with suppress(MalformedError, SignatureError):
            return None if data is None else Envelope.from_bytes(data, kind)
        return None

    def write_envelope(self, envelope: Envelope) -> None:
        """Writes the draft of a document of trust."""
        self._channel.put(_name(_KINDS[envelope.kind]), [envelope.to_bytes()])

    def signed(self, wanted: Document, role: str, now: int) -> Metadata[Document]:
        """Returns the draft of a role that says just what is `wanted`, with its signatures, or a new one.

        When it ends is the draft's to say, if that is not later than what is made now would end.
        """
        draft = self._draft(type(wanted), role)
        if draft is not None:
            end = ends_at(draft.signed)
            wanted_then = type(wanted).from_dict({**wanted.to_dict(), "expires": _text(end)})
            if draft.signed == wanted_then and now < end <= now + LIFETIME + DAY:
                return draft
        return Metadata(wanted)

    def root_version(self) -> int | None:
        """Returns the number of the root that is drafted; None if there is none."""
        draft = self._draft(Root, ROOT_ROLE)
        return None if draft is None else draft.signed.version

    def write_role(self, role: str, metadata: Metadata[Any]) -> None:
        """Writes the draft of a role."""
        self._channel.put(_name(role), [metadata.to_bytes()])

    def _draft(self, kind: type[Document], role: str) -> Metadata[Document] | None:
        data = self._read(_name(role), LARGEST_METADATA)
        # Noise is no draft: what is wanted is made anew.
        with suppress(TamperedError):
            return None if data is None else parse(kind, data, _name(role))
        return None

    def _read(self, name: str, largest: int) -> bytes | None:
        try:
            return read_whole(self._channel, name, largest)
        except AbsentError:
            return None


def same(envelope: Envelope | None, wanted: Envelope) -> bool:
    """Returns whether a draft says just what is wanted."""
    return envelope is not None and envelope.payload == wanted.payload


def _name(stem: str) -> str:
    return f"{FOLDER}/{stem}.json"


def _text(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
