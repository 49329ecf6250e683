"""One device of a roster. Source: spec/granter-v1.md, "Roster"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.device.state_place import device_id
from modelkeep.errors import KeepError, MalformedError, UsageError
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient_text import format_recipient, parse_recipient, public_of
from modelkeep.grants.secret import is_device_id
from modelkeep.record import Record
from modelkeep.trust.publisher import check_pattern, matches

LONGEST_LINE = 8192
MOST_MODELS = 64
DEFAULT_GROUP = "devices"

_HARDWARE = re.compile(r"tpm:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RosterDevice:
    """A device that operators vouch for.

    Attributes:
        name: what people call it.
        key: its public key as text, without a name.
        models: the models it may have: ids, ``prefix/*``, or ``*``; ascending, each once.
        group: what a policy asks of it goes by this.
        hardware: what its evidence has to prove, ``tpm:`` and the digest of an endorsement key; or empty.

    Raises:
        UsageError: without a name or models, or something is not of its form.
    """

    name: str
    key: str
    models: tuple[str, ...]
    group: str = DEFAULT_GROUP
    hardware: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(sorted(set(map(check_pattern, self.models)))))
        if not is_device_id(self.name):
            raise UsageError("a device of a roster has a name", hint="put a device id behind its public key")
        if not 1 <= len(self.models) <= MOST_MODELS:
            raise UsageError(f"a device of a roster may have certain models, 1 to {MOST_MODELS}")
        if not is_device_id(self.group):
            raise UsageError("a group is named like a device: letters, digits, '.', '_' and '-'")
        if self.hardware and not _HARDWARE.fullmatch(self.hardware):
            raise UsageError("hardware is named as verdicts name it: tpm: and 64 hexadecimal digits")

    @staticmethod
    def of(
        recipient: HpkeRecipient, models: Iterable[str], group: str = DEFAULT_GROUP, hardware: str = ""
    ) -> RosterDevice:
        """Returns the device that a public line with a name is about; raises as the class does."""
        key = format_recipient(HpkeRecipient(recipient.type, recipient.public))
        return RosterDevice(recipient.device_id, key, tuple(models), group, hardware)

    @property
    def recipient(self) -> HpkeRecipient:
        """Its public key, with its name.

        Raises:
            MalformedError: the key is none.
        """
        return parse_recipient(f"{self.key} {self.name}")

    @property
    def device(self) -> bytes:
        """SHA-256 of the public key, by which states and journals know it."""
        return device_id(public_of(self.key))

    def may_have(self, model: str) -> bool:
        """Returns whether `model` is one of its models."""
        return any(matches(pattern, model) for pattern in self.models)

    def to_json(self) -> dict[str, Any]:
        """Returns the device as a JSON object."""
        members = {"name": self.name, "key": self.key, "group": self.group, "models": list(self.models)}
        return members | ({"hardware": self.hardware} if self.hardware else {})

    def to_line(self) -> bytes:
        """Returns the line of a roster, with its line feed.

        Raises:
            UsageError: it would be longer than 8192 bytes.
        """
        line = canonical.encode(self.to_json()) + b"\n"
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{self.name}: has too many models for one line of a roster")
        return line

    @staticmethod
    def from_line(line: bytes) -> RosterDevice:
        """Reads the line of a roster.

        Raises:
            MalformedError: not one.
        """
        if len(line) > LONGEST_LINE or not line.endswith(b"\n"):
            raise MalformedError("roster: a line that is too long, or has no end")
        with Record(canonical.decode(line[:-1], "roster: device"), "roster: device") as record:
            # Operators are shown all of it.
            if "ext" in record:
                raise record.fault("ext", "is not known to this version")
            return _from_record(record)


def _from_record(record: Record) -> RosterDevice:
    models = record.items("models", longest=MOST_MODELS)
    if not all(isinstance(each, str) for each in models):
        raise record.fault("models", "must list models")
    key, name = record.text("key", longest=4096), record.text("name", longest=64)
    hardware = record.text("hardware", longest=68) if "hardware" in record else None
    if hardware == "":
        raise record.fault("hardware", "is left out where there is none")
    try:
        recipient = parse_recipient(f"{key} {name}")
        device = RosterDevice(name, key, tuple(models), record.text("group", longest=64), hardware or "")
    except KeepError as error:
        raise MalformedError(f"roster: device {name!r}: {error}") from None
    if format_recipient(recipient) != f"{key} {name}":
        raise record.fault("key", "is not written as keys are")
    if list(device.models) != models:
        raise record.fault("models", "must be in ascending order without repetition")
    return device
