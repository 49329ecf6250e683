"""The resources of a bundle: each listed with its digest in a file that the code's signature covers.

Rules by which a signer leaves files out are not followed: what is not listed is refused, but for the few
files that never are. Source: Apple, TN2206 "macOS Code Signing In Depth", _CodeSignature/CodeResources.
"""

from __future__ import annotations

import hashlib
import hmac
import plistlib
import re
from collections.abc import Mapping
from typing import Any, Protocol

from modelkeep.errors import MalformedError, TamperedError

LARGEST_LIST = 2**24

# Never listed: signatures themselves, what the code directory covers by itself, and litter of the Finder.
_UNLISTED = re.compile(
    r"_CodeSignature/.*|CodeResources|Info\.plist|PkgInfo|(?:.*/)?\.DS_Store|Resources/.*\.lproj/locversion\.plist"
)


class Files(Protocol):
    """The files of a bundle, wherever they are."""

    def names(self) -> frozenset[str]:
        """Returns the paths of all files and links below the bundle, with slashes."""

    def read(self, name: str) -> memoryview | bytes:
        """Returns a file's content."""

    def link(self, name: str) -> str | None:
        """Returns where a link leads, or None for a file."""


def parse(data: bytes) -> Mapping[str, Mapping[str, Any]]:
    """Returns the entries of a list of resources by path.

    Raises:
        MalformedError: not such a list, or one without SHA-256 digests.
    """
    if len(data) > LARGEST_LIST:
        raise MalformedError(f"CodeResources: larger than {LARGEST_LIST} bytes")
    try:
        entries = plistlib.loads(data)["files2"]
        read = {str(name): _entry(entry) for name, entry in entries.items()}
    except Exception:  # plistlib raises whatever its parsers do
        raise MalformedError("CodeResources: not a list of resources with SHA-256 digests") from None
    return read


def check(entries: Mapping[str, Mapping[str, Any]], files: Files, base: str, code: str) -> tuple[str, ...]:
    """Checks the files of a bundle against the list; returns the paths of nested code, signed by itself.

    Args:
        entries: what `parse` returned.
        files: the bundle.
        base: where paths in the list begin, for example ``Contents/``; may be empty.
        code: path of the bundle's own code.

    Raises:
        TamperedError: a file is missing, added or different.
    """
    nested = tuple(name for name, entry in entries.items() if "cdhash" in entry)
    present = {name.removeprefix(base) for name in files.names() if name.startswith(base)}
    for name, entry in entries.items():
        if name not in nested:
            _check_entry(files, base + name, entry, there=name in present)
    inside = tuple(f"{name}/" for name in nested)
    for name in sorted(present - entries.keys() - {code.removeprefix(base)}):
        if not _UNLISTED.fullmatch(name) and not name.startswith(inside):
            raise TamperedError(f"{base}{name} is not among the resources that were signed")
    return nested


def _entry(entry: Any) -> Mapping[str, Any]:
    entry = {"hash2": entry} if isinstance(entry, bytes) else entry
    kinds = {"hash2": bytes, "symlink": str, "cdhash": bytes}
    (found,) = [name for name in kinds if name in entry]
    if not isinstance(entry[found], kinds[found]):
        raise TypeError
    return {found: entry[found], "optional": entry.get("optional") is True}


def _check_entry(files: Files, name: str, entry: Mapping[str, Any], *, there: bool) -> None:
    if not there:
        if entry["optional"]:
            return
        raise TamperedError(f"{name} is missing")
    target = files.link(name)
    if "symlink" in entry:
        same = target == entry["symlink"]
    else:
        digest = b"" if target is not None else hashlib.sha256(files.read(name)).digest()
        same = hmac.compare_digest(digest, entry["hash2"])
    if not same:
        raise TamperedError(f"{name} is not the resource that was signed")
