"""Key URIs: ``scheme:address``; a path without a scheme is a file. And what of web addresses may be shown."""

from __future__ import annotations

import os
import re

DEFAULT_SCHEME = "file"

_URI = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.DOTALL)


def is_uri(text: str) -> bool:
    """Returns whether `text` begins with a scheme; a path that does is written with ``./`` before it."""
    return _URI.fullmatch(text) is not None


def split(uri: str | os.PathLike[str]) -> tuple[str, str]:
    """Returns scheme and address of `uri`; the scheme is ``file`` when it has none."""
    text = os.fspath(uri)
    match = _URI.fullmatch(text) if isinstance(uri, str) else None
    return (match[1], match[2]) if match else (DEFAULT_SCHEME, text)


def shown(address: object) -> str:
    """Returns of an address that cannot be read what is no user, password or query, which may be secret."""
    return re.split("[?#]", str(address).rpartition("@")[2])[0]
