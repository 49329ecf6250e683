"""A list of devices to grant to, one a line: a public key as text, or JSON with constraints.

    hpke-p256 BASE64URL pi-17
    {"recipient": "hpke-p256 BASE64URL pi-18", "not_after": 1893456000, "delegate": true}

JSON members beside `recipient` are the constraints of spec/grant-v1.md, section 5.
"""

from __future__ import annotations

from typing import NamedTuple

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient_text import Named, read_recipient

LONGEST_LINE = 65_536
_NOTHING_MORE = Constraints()


class ListedDevice(NamedTuple):
    """One line of the list.

    Attributes:
        recipient: the device.
        constraints: what its grant demands beyond what everybody's does.
    """

    recipient: HpkeRecipient
    constraints: Constraints


class Entry(NamedTuple):
    """What a line of the list says; the device's key is not looked into.

    Attributes:
        recipient: the device.
        constraints: as in `ListedDevice`.
    """

    recipient: Named
    constraints: Constraints


def is_device(line: bytes) -> bool:
    """Returns whether a line names a device; empty lines and comments do not."""
    return bool(line.strip()) and not line.lstrip().startswith(b"#")


def parse_device(line: bytes) -> ListedDevice:
    """Returns the device that a line names.

    Raises:
        MalformedError: the line is of neither form, longer than 64 KiB, or its key is none.
        UnsupportedVersionError: it holds a constraint that this version does not know.
    """
    recipient, constraints = read_device(line)
    return ListedDevice(HpkeRecipient(*recipient), constraints)


def read_device(line: bytes) -> Entry:
    """Returns what a line says, for those who want to know whom a long list names.

    Raises:
        MalformedError, UnsupportedVersionError: as for `parse_device`, but for what the key itself is.
    """
    if len(line) > LONGEST_LINE:
        raise MalformedError("longer than 64 KiB")
    if not line.startswith(b"{"):
        return Entry(read_recipient(_text(line)), _NOTHING_MORE)
    members = canonical.decode_lenient(line, "device")
    recipient = members.pop("recipient", None)
    if not isinstance(recipient, str):
        raise MalformedError("names no recipient")
    return Entry(read_recipient(recipient), Constraints.from_json(members))


def _text(line: bytes) -> str:
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedError("not a recipient: not ASCII") from None
