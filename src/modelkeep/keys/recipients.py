"""Recipients as people name them: public keys as text, key URIs, and files.

In a file, lines end with a line feed; empty lines and those that begin with ``#`` mean nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from modelkeep.errors import MalformedError, UsageError
from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.hpke import PUBLIC_BYTES
from modelkeep.grants.namesakes import Namesakes
from modelkeep.grants.recipient import Recipient
from modelkeep.grants.recipient_text import HINT, parse_recipient
from modelkeep.keys.registry import open_key
from modelkeep.storage import read_small
from modelkeep.uri import is_uri

LARGEST_RECIPIENTS_FILE = 64 * 2**20

RecipientLike = Recipient | str | os.PathLike[str]
RecipientsLike = RecipientLike | Iterable[RecipientLike]


def resolve(recipients: RecipientsLike) -> list[Recipient]:
    """Returns the recipients behind objects, lines of text, files of lines and key URIs, one or several.

    Raises:
        UsageError: a passphrase is not the only one, see `check_company`; or something else was passed.
        KeepError: the subclass says why one of them cannot be used; see `load_recipients`.
    """
    resolved: list[Recipient] = []
    for item in _several(recipients):
        if isinstance(item, str | os.PathLike):
            resolved += load_recipients(os.fspath(item))
        elif hasattr(item, "wrap"):
            resolved.append(item)
        else:
            raise _no_recipient(item)
    check_company(resolved)
    return resolved


def _several(recipients: RecipientsLike) -> Iterable[RecipientLike]:
    # A text is iterable, too, and its letters are no recipients.
    if isinstance(recipients, Iterable) and not isinstance(recipients, str):
        return recipients
    return (recipients,)


def _no_recipient(item: object) -> UsageError:
    return UsageError(
        f"not a recipient: {type(item).__name__}",
        hint="pass a public line, a file of such lines, or a key's URI",
    )


def check_company(recipients: Iterable[Recipient]) -> None:
    """Refuses recipients of one bundle who do not go together.

    Raises:
        UsageError: a passphrase is not the only recipient, which no reader would accept; or one key has two
            names, or stands there twice.
    """
    types, names = [], Namesakes()
    for recipient in recipients:
        types.append(recipient.type)
        names.add(recipient)
    if PASSPHRASE in types and len(types) > 1:
        raise UsageError(
            "a passphrase must be the only recipient of its bundle",
            hint="seal once for the passphrase and once for the devices",
        )


def load_recipients(spec: str) -> list[Recipient]:
    """Returns the recipients that `spec` names: a line of text, a key's URI, or a file of lines.

    A URI such as ``fleet:master.key?device=pi-17`` gives the recipient of that key.

    Raises:
        MalformedError: the line, or a line of the file, is not a recipient.
        UsageError: the file names nobody.
        StorageError: the file cannot be read.
        KeyStoreError: the key behind the URI cannot be used.
    """
    if _is_line(spec):
        return [parse_recipient(spec)]
    if is_uri(spec):
        return [open_key(spec).recipient()]
    return _read(spec)


def comments_in(spec: str) -> list[str]:
    """Returns the comments of a list of recipients; none of what is no list.

    Raises:
        MalformedError, StorageError: as for `load_recipients`.
    """
    if _is_line(spec) or is_uri(spec):
        return []
    return [line.strip() for line in _lines(spec) if line.startswith("#")]


def _is_line(spec: str) -> bool:
    return spec.startswith(tuple(f"{kind} " for kind in PUBLIC_BYTES))


def _lines(path: str) -> list[str]:
    try:
        text = read_small(path, LARGEST_RECIPIENTS_FILE, "a list of recipients").decode()
    except UnicodeDecodeError:
        raise MalformedError(f"{path}: not a text of recipients", hint=HINT) from None
    # At line feeds alone: what an editor shows as one line is one line, or a comment could hide a recipient.
    return text.split("\n")


def _read(path: str) -> list[Recipient]:
    recipients: list[Recipient] = []
    for number, line in enumerate(_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            recipients.append(_parse_line(path, number, line))
    if not recipients:
        raise UsageError(f"{path}: names no recipient", hint=HINT)
    return recipients


def _parse_line(path: str, number: int, line: str) -> Recipient:
    try:
        return parse_recipient(line)
    except MalformedError as error:
        raise MalformedError(f"{path}: line {number}: {error}", hint=error.hint) from None
