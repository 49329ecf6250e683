"""Bundles: an application, framework or plug-in with its resources, which compiled models are among.

Source: Apple, TN2206; "Placing content in a bundle".
"""

from __future__ import annotations

import plistlib
from collections.abc import Collection
from dataclasses import dataclass

from modelkeep.errors import MalformedError, SignatureError, TamperedError
from modelkeep.posture.apple import resources
from modelkeep.posture.apple.code import APPLE_ROOTS, CodeSignature, verify_code
from modelkeep.posture.apple.mach_o import is_mach_o
from modelkeep.posture.apple.resources import Files

_DEEPEST = 8
_SEALED = "_CodeSignature/CodeResources"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a bundle has its parts: below ``Contents`` on macOS, at its top elsewhere."""

    base: str
    code_folder: str


_LAYOUTS = (_Layout("Contents/", "Contents/MacOS/"), _Layout("Resources/", ""), _Layout("", ""))


class Below:
    """The files of a bundle within a bundle."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = f"{folder}/"

    def names(self) -> frozenset[str]:
        """Returns the paths below the inner bundle."""
        names = self._files.names()
        return frozenset(each.removeprefix(self._folder) for each in names if each.startswith(self._folder))

    def read(self, name: str) -> memoryview | bytes:
        """Returns a file's content."""
        return self._files.read(self._folder + name)

    def link(self, name: str) -> str | None:
        """Returns where a link leads, or None for a file."""
        return self._files.link(self._folder + name)


def verify_bundle(
    files: Files, now: int, *, roots: Collection[bytes] = APPLE_ROOTS, depth: int = _DEEPEST
) -> CodeSignature:
    """Checks a bundle: its code, its Info.plist, every resource, and the code that is nested in it.

    Args:
        files: the bundle's files.
        now: seconds since 1970-01-01 UTC.
        roots: SHA-256 of the public keys that are believed.
        depth: how deep bundles may lie in bundles.

    Raises:
        MalformedError: not a bundle, or not in form.
        RefusedError: see `verify_code`; or a resource is missing, added or different.
    """
    if depth == 0:
        raise MalformedError("bundles lie in bundles too deep")
    names = files.names()
    info, code, listed = _parts(names, files)
    sealed = bytes(files.read(listed))
    base = listed.removesuffix(_SEALED)
    plist = bytes(files.read(info))
    signature = verify_code(memoryview(files.read(code)), now, info=plist, resources=sealed, roots=roots)
    entries = resources.parse(sealed)
    for name in resources.check(entries, files, base, code):
        nested = _nested(files, base + name, now, roots, depth - 1)
        if entries[name]["cdhash"] not in nested.cdhashes:
            raise TamperedError(f"{base}{name} is not the code that was signed along")
    return signature


def _parts(names: frozenset[str], files: Files) -> tuple[str, str, str]:
    """Returns the paths of Info.plist, code and list of resources."""
    for layout in _LAYOUTS:
        info = f"{layout.base}Info.plist"
        if info not in names:
            continue
        code = layout.code_folder + _executable(bytes(files.read(info)))
        listed = next((each + _SEALED for each in (layout.base, "") if each + _SEALED in names), None)
        if code in names and listed is not None:
            return info, code, listed
        raise SignatureError("the bundle is not signed, or its code is missing")
    raise MalformedError("not a bundle: it has no Info.plist")


def _executable(info: bytes) -> str:
    try:
        name = plistlib.loads(info)["CFBundleExecutable"]
    except Exception:  # plistlib raises whatever its parsers do
        raise MalformedError("Info.plist does not name the bundle's code") from None
    if not isinstance(name, str) or "/" in name or name in ("", ".", ".."):
        raise MalformedError("Info.plist does not name the bundle's code")
    return name


def _nested(files: Files, name: str, now: int, roots: Collection[bytes], depth: int) -> CodeSignature:
    if name in files.names():
        data = memoryview(files.read(name))
        if files.link(name) is not None or not is_mach_o(data):
            raise TamperedError(f"{name} is not the code that was signed along")
        return verify_code(data, now, roots=roots)
    return verify_bundle(_version_of(Below(files, name)), now, roots=roots, depth=depth)


def _version_of(files: Below) -> Files:
    """Returns the current version of a framework, or the bundle itself."""
    target = files.link("Versions/Current") if "Versions/Current" in files.names() else None
    if target is None:
        return files
    version = f"Versions/{target}/"
    for name in sorted(files.names() - {"Versions/Current"}):
        # Beside the version there are links into it, and nothing that could be run or read in its place.
        if not name.startswith(version) and not (files.link(name) or "").startswith("Versions/Current/"):
            raise TamperedError(f"{name} lies in a framework beside the version that was signed")
    return Below(files, version.rstrip("/"))
