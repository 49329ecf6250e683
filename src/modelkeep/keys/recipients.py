"""Recipients as people name them: public keys as text, key URIs, and files.

The text of a public key is one line, ``hpke-p256 BASE64URL-OF-RAW-PUBLIC-KEY pi-17``:
base64url without padding (RFC 4648 section 5); the device id may be left out. In a file, empty
lines and lines that begin with ``#`` mean nothing.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable

from modelkeep.errors import MalformedError, UsageError
from modelkeep.keys.header import PASSPHRASE
from modelkeep.keys.hpke import PUBLIC_BYTES, HpkeRecipient
from modelkeep.keys.recipient import Recipient
from modelkeep.keys.registry import open_key
from modelkeep.keys.secret import is_device_id
from modelkeep.storage import read_small
from modelkeep.uri import is_uri

LARGEST_RECIPIENTS_FILE = 64 * 2**20

RecipientLike = Recipient | str | os.PathLike[str]

_HINT = "a recipient is a line like 'hpke-p256 BASE64URL device-id', as modelkeep keygen prints it"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def resolve(recipients: Iterable[RecipientLike]) -> list[Recipient]:
    """Returns the recipients behind objects, lines of text, files of lines and key URIs.

    Raises:
        UsageError: a passphrase is not the only one; see `check_company`.
        KeepError: the subclass says why one of them cannot be used; see `load_recipients`.
    """
    resolved: list[Recipient] = []
    for item in recipients:
        if isinstance(item, str | os.PathLike):
            resolved += load_recipients(os.fspath(item))
        else:
            resolved.append(item)
    check_company(resolved)
    return resolved


def check_company(recipients: Iterable[Recipient]) -> None:
    """Refuses a passphrase beside other recipients of one bundle, which no reader would accept.

    Raises:
        UsageError: a passphrase is not the only recipient.
    """
    types = [recipient.type for recipient in recipients]
    if PASSPHRASE in types and len(types) > 1:
        raise UsageError(
            "a passphrase must be the only recipient of its bundle",
            hint="seal once for the passphrase and once for the devices",
        )


def format_recipient(recipient: HpkeRecipient) -> str:
    """Returns the recipient as one line of text, without a line end."""
    public = base64.urlsafe_b64encode(recipient.public).decode().rstrip("=")
    return f"{recipient.type} {public} {recipient.device_id}".rstrip()


def parse_recipient(text: str) -> HpkeRecipient:
    """Returns the recipient that one line of text names.

    Raises:
        MalformedError: not a recipient, or not a usable public key. The message never repeats
            the text, which may be a private key that was passed by mistake.
    """
    words = text.split()
    if not 2 <= len(words) <= 3:
        raise MalformedError("not a recipient", hint=_HINT)
    if words[0] not in PUBLIC_BYTES:
        raise MalformedError("not a recipient of a type known to this version", hint=_HINT)
    device_id = words[2] if len(words) == 3 else ""
    if device_id and not is_device_id(device_id):
        raise MalformedError("recipient: not a device id", hint="use letters, digits, '.', '_' and '-'")
    return HpkeRecipient(words[0], _decode(words[1]), device_id)


def load_recipients(spec: str) -> list[Recipient]:
    """Returns the recipients that `spec` names: a line of text, a key's URI, or a file of lines.

    A URI such as ``fleet:master.key?device=pi-17`` gives the recipient of that key.

    Raises:
        MalformedError: the line, or a line of the file, is not a recipient.
        UsageError: the file names nobody.
        StorageError: the file cannot be read.
        KeyStoreError: the key behind the URI cannot be used.
    """
    if spec.startswith(tuple(f"{kind} " for kind in PUBLIC_BYTES)):
        return [parse_recipient(spec)]
    if is_uri(spec):
        return [open_key(spec).recipient()]
    return _read(spec)


def _read(path: str) -> list[Recipient]:
    try:
        text = read_small(path, LARGEST_RECIPIENTS_FILE, "a list of recipients").decode()
    except UnicodeDecodeError:
        raise MalformedError(f"{path}: not a text of recipients", hint=_HINT) from None
    recipients: list[Recipient] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            recipients.append(_parse_line(path, number, line))
    if not recipients:
        raise UsageError(f"{path}: names no recipient", hint=_HINT)
    return recipients


def _parse_line(path: str, number: int, line: str) -> Recipient:
    try:
        return parse_recipient(line)
    except MalformedError as error:
        raise MalformedError(f"{path}: line {number}: {error}", hint=error.hint) from None


def _decode(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        raise MalformedError("recipient: the public key is not base64url", hint=_HINT)
    try:
        public = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise MalformedError("recipient: the public key is not base64url", hint=_HINT) from None
    if base64.urlsafe_b64encode(public).decode().rstrip("=") != text:
        raise MalformedError("recipient: the public key is not canonical base64url", hint=_HINT)
    return public
