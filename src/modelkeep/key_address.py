"""The part of a key URI after its scheme: a path and options, ``pi-17.pem?passphrase-env=PW``.

Values are taken as written, without percent-decoding. Options never hold a secret: URIs end up
in process lists and logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from modelkeep.errors import UsageError


class Address(NamedTuple):
    """A parsed address.

    Attributes:
        path: what stands before the question mark; may be empty.
        options: name to value.
    """

    path: str
    options: Mapping[str, str]


def parse_address(text: str, known: frozenset[str]) -> Address:
    """Returns the parsed address.

    Args:
        text: the address, without the scheme.
        known: names of the options that the key store understands.

    Raises:
        UsageError: an option is unknown, given twice or without a value.
    """
    path, _, query = text.partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        # Neither message repeats the value: somebody may have put a secret there.
        if name not in known:
            raise UsageError(f"key address: option {name!r} is not known", hint=_hint(known))
        if not value or name in options:
            raise UsageError(f"key address: option {name!r} needs exactly one value")
        options[name] = value
    return Address(path, MappingProxyType(options))


def _hint(known: frozenset[str]) -> str:
    return f"known options: {', '.join(sorted(known))}"
