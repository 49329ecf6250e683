"""The text of a public key, as people and files carry it.

One line, ``hpke-p256 BASE64URL-OF-RAW-PUBLIC-KEY pi-17``: base64url without padding
(RFC 4648 section 5); the device id may be left out.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from modelkeep.errors import MalformedError
from modelkeep.file_kind import A_LINE, not_recipient
from modelkeep.grants.hpke import PUBLIC_BYTES, HpkeRecipient
from modelkeep.grants.recipient import Recipient
from modelkeep.grants.secret import is_device_id

HINT = "a recipient is a line like 'hpke-p256 BASE64URL device-id', as modelkeep keys create prints it"
# Printable ASCII, blanks around the words, and the line end of either kind of system.
_VISIBLE = re.compile(r"[\t\x20-\x7e]*\r?\n?")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# What nearly every line is; lines of other forms are read word by word, to say what is wrong with them.
_PLAIN = re.compile(r"(hpke-[a-z0-9-]+) ([A-Za-z0-9_-]+)(?: ([A-Za-z0-9._-]{1,64}))?\n?")


class Named(NamedTuple):
    """What a line of text says of a recipient; its key is not looked into.

    Attributes:
        type: kind of recipient, one that this version knows.
        public: the public value, which may be none of this type.
        device_id: name of the device, or empty.
    """

    type: str
    public: bytes
    device_id: str


def format_recipient(recipient: HpkeRecipient) -> str:
    """Returns the recipient as one line of text, without a line end."""
    public = base64.urlsafe_b64encode(recipient.public).decode().rstrip("=")
    return f"{recipient.type} {public} {recipient.device_id}".rstrip()


def public_of(text: str) -> bytes:
    """Returns the public key, raw, of a line that was read before: nothing of it is checked again.

    Raises:
        MalformedError: not such a line.
    """
    return _decode(text.split()[1])


def short_name(recipient: Recipient | Named) -> str:
    """Returns what to call a recipient in a list: its device id, or its type and the start of its key."""
    if recipient.device_id:
        return recipient.device_id
    public: bytes = getattr(recipient, "public", b"")
    return f"{recipient.type} {base64.urlsafe_b64encode(public).decode()[:8]}".rstrip()


def parse_recipient(text: str) -> HpkeRecipient:
    """Returns the recipient that one line of text names.

    Raises:
        MalformedError: not a recipient, or not a usable public key. The message never repeats
            the text, which may be a private key that was passed by mistake.
    """
    return HpkeRecipient(*read_recipient(text))


def read_recipient(text: str) -> Named:
    """Returns what one line of text says, at a third of what its key costs to look into.

    Raises:
        MalformedError: as for `parse_recipient`, but for what the key itself is.
    """
    plain = _PLAIN.fullmatch(text)
    kind, public, device_id = plain.groups("") if plain else _words(text)
    if kind not in PUBLIC_BYTES:
        raise MalformedError("not a recipient of a type known to this version", hint=HINT)
    if device_id and not is_device_id(device_id):
        raise MalformedError("recipient: not a device id", hint="use letters, digits, '.', '_' and '-'")
    return Named(kind, _decode(public), device_id)


def _words(text: str) -> list[str]:
    """Returns type, public key and device id (or nothing) of a line of any form."""
    if not _VISIBLE.fullmatch(text):
        raise MalformedError("not a recipient: holds characters that nobody sees", hint=HINT)
    if text[:1].isspace():
        # Behind enough of them an editor shows an empty line.
        raise MalformedError("begins with blanks, behind which not everybody sees it", hint=HINT)
    kind = not_recipient(text.encode())
    if kind not in (None, A_LINE):
        raise MalformedError(f"{kind}, not a recipient", hint=HINT)
    words = text.split()
    if not 2 <= len(words) <= 3:
        raise MalformedError("not a recipient", hint=HINT)
    return words if len(words) == 3 else [*words, ""]


def _decode(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        raise MalformedError("recipient: the public key is not base64url", hint=HINT)
    try:
        # More padding than there should be does no harm: what is read is held against the text.
        public = base64.urlsafe_b64decode(text + "==")
    except ValueError:
        raise MalformedError("recipient: the public key is not base64url", hint=HINT) from None
    if base64.urlsafe_b64encode(public).decode().rstrip("=") != text:
        raise MalformedError("recipient: the public key is not canonical base64url", hint=HINT)
    return public
