"""Which files a bundle may hold, in which order and how large. Source: spec/bundle-v1.md, "Container"."""

from __future__ import annotations

import re

from modelkeep.bundle import names
from modelkeep.errors import MalformedError
from modelkeep.manifest import LARGEST_MANIFEST, MOST_MEMBERS

_SECTIONS = (names.MANIFEST, names.SIGNATURE, names.LEAVES, names.PAYLOAD, names.SIGNATURES, names.GRANTS)
_INDEXED = re.compile(r"(leaves|payload|signatures|grants)/(0|[1-9][0-9]{0,4})")
_MOST = {
    names.LEAVES: MOST_MEMBERS,
    names.PAYLOAD: MOST_MEMBERS,
    names.SIGNATURES: names.MOST_SIGNATURES,
    names.GRANTS: names.MOST_GRANTS,
}
_LARGEST = {
    names.MANIFEST: LARGEST_MANIFEST,
    names.SIGNATURE: names.LARGEST_SIGNATURE,
    names.SIGNATURES: names.LARGEST_SIGNATURE,
    names.GRANTS: names.LARGEST_GRANT,
}


class Order:
    """Which file may follow which, and how large each may be."""

    def __init__(self) -> None:
        self._section = -1
        self._counts = dict.fromkeys(_SECTIONS, 0)

    def check(self, name: str, size: int) -> None:
        """Accepts the next file.

        Raises:
            MalformedError: unknown, out of order, twice, or larger than allowed.
        """
        section, index = _split(name)
        place = _SECTIONS.index(section)
        if place < self._section or index != self._counts[section]:
            raise MalformedError(f"bundle: {name} is out of order")
        if index >= _MOST.get(section, 1):
            raise MalformedError(f"bundle: too many files under {section}")
        if size > _LARGEST.get(section, size):
            raise MalformedError(f"bundle: {name} is larger than allowed")
        self._section = place
        self._counts[section] += 1

    def finish(self) -> None:
        """Checks that nothing is missing.

        Raises:
            MalformedError: no manifest, or leaves and payload do not match.
        """
        counts = self._counts
        if not counts[names.MANIFEST]:
            raise MalformedError("bundle: has no manifest.json")
        if counts[names.LEAVES] != counts[names.PAYLOAD]:
            raise MalformedError("bundle: leaves and payload do not match")


def _split(name: str) -> tuple[str, int]:
    if name in (names.MANIFEST, names.SIGNATURE):
        return name, 0
    match = _INDEXED.fullmatch(name)
    if match is None:
        raise MalformedError(f"bundle: {name!r} does not belong into a bundle")
    return match[1], int(match[2])


def archive_order(name: str) -> tuple[int, int]:
    """Returns a key that sorts names as the archive has them.

    Raises:
        MalformedError: the name does not belong into a bundle.
    """
    section, index = _split(name)
    return _SECTIONS.index(section), index
