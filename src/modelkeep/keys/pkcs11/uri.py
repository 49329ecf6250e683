"""PKCS#11 URIs: which token, which object, which library, where the PIN is. Source: RFC 7512.

Path attributes: ``token``, ``serial``, ``manufacturer``, ``model``, ``slot-id``, ``object``, ``id``.
Query attributes: ``module-path`` and ``pin-source`` (a path or a file: URI). The library is else
taken from PKCS11_MODULE, the PIN from MODELKEEP_PKCS11_PIN or the terminal. ``pin-value`` is
refused: URIs end up in process lists and logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from modelkeep import passphrase_source
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.memory import Pages

MODULE_VARIABLE, PIN_VARIABLE = "PKCS11_MODULE", "MODELKEEP_PKCS11_PIN"

_TOKEN = frozenset({"token", "serial", "manufacturer", "model", "slot-id"})
_PATH = _TOKEN | {"object", "id"}
_QUERY = frozenset({"module-path", "pin-source"})
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """A parsed URI.

    Attributes:
        module: path of the token's library.
        token: attributes that the token must have, name to value.
        label: label of the object, or None.
        identifier: CKA_ID of the object, or None.
        pin_source: file that holds the PIN, or None.
    """

    module: str
    token: tuple[tuple[str, str], ...]
    label: str | None
    identifier: bytes | None
    pin_source: str | None

    @staticmethod
    def parse(text: str) -> TokenAddress:
        """Returns the parsed address, the URI without its scheme.

        Raises:
            UsageError: not of this form, a PIN in it, or no library is named anywhere.
        """
        path, _, query = text.partition("?")
        named = dict(_attributes(path, ";", _PATH))
        options = dict(_attributes(query, "&", _QUERY))
        module = _text(options.get("module-path")) or os.environ.get(MODULE_VARIABLE)
        if not module:
            raise UsageError(
                "no PKCS#11 library is named", hint=f"add ?module-path=LIBRARY, or set {MODULE_VARIABLE}"
            )
        token = ((name, _text(value) or "") for name, value in named.items() if name in _TOKEN)
        return TokenAddress(
            module,
            tuple(sorted(token)),
            _text(named.get("object")),
            named.get("id"),
            _path(_text(options.get("pin-source"))),
        )

    @property
    def object_name(self) -> str:
        """The object in words."""
        if self.label is not None:
            return repr(self.label)
        return f"id {self.identifier.hex()}" if self.identifier is not None else "any object"

    def pin(self) -> Pages:
        """Returns the PIN; the caller owns it.

        Raises:
            KeyStoreError: there is none at the place named, or nobody to ask.
            StorageError: the file cannot be read.
        """
        if self.pin_source is not None:
            return passphrase_source.from_file(self.pin_source)
        if os.environ.get(PIN_VARIABLE):
            return passphrase_source.from_variable(PIN_VARIABLE)
        return passphrase_source.from_terminal(
            "PIN", f"add ?pin-source=PATH to the URI, or set {PIN_VARIABLE}"
        )

    def require_object(self) -> None:
        """Raises UsageError unless the URI names one object."""
        if self.label is None and self.identifier is None:
            raise UsageError("the URI names no key", hint="add ;object=LABEL or ;id=%01")


def _attributes(text: str, separator: str, known: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise UsageError("a PIN is never part of a key URI", hint="use ?pin-source=PATH")
        if name == "type":
            continue
        # No message repeats a value: somebody may have put a secret there.
        if name not in known:
            raise UsageError(f"PKCS#11 URI: attribute {name[:64]!r} is not known", hint=_hint(known))
        if not equals or not value or name in seen or _PERCENT.search(value):
            raise UsageError(f"PKCS#11 URI: attribute {name!r} needs exactly one value")
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise UsageError("PKCS#11 URI: a value is not UTF-8") from None


def _path(source: str | None) -> str | None:
    if source is not None and source.startswith("|"):
        raise KeyStoreError("PKCS#11 URI: a pin-source that runs a command is not supported")
    return None if source is None else source.removeprefix("file://").removeprefix("file:")


def _hint(known: frozenset[str]) -> str:
    return f"known: {', '.join(sorted(known))}"
