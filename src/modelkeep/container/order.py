"""Which files a bundle may hold, in which order and how large. Source: spec/bundle-v1.md, "Container"."""

from __future__ import annotations

import re
from typing import NamedTuple

from modelkeep.container import names
from modelkeep.errors import MalformedError
from modelkeep.grants.grant import LARGEST_GRANT
from modelkeep.manifest import LARGEST_MANIFEST, MOST_MEMBERS


class Form(NamedTuple):
    """What kind of archive this is.

    Attributes:
        sections: names of files and folders, in their order.
        required: those that must not be missing.
    """

    sections: tuple[str, ...]
    required: tuple[str, ...]


BUNDLE = Form(
    (names.MANIFEST, names.SIGNATURE, names.SIGNATURES, names.GRANTS, names.LEAVES, names.PAYLOAD),
    (names.MANIFEST,),
)
INSTALLATION = Form(
    (names.INSTALL, names.MANIFEST, names.SIGNATURE, names.SIGNATURES, names.PAYLOAD),
    (names.INSTALL, names.MANIFEST, names.SIGNATURE),
)

_SINGLE = frozenset({names.MANIFEST, names.SIGNATURE, names.INSTALL})
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
    names.SIGNATURES: names.LARGEST_FURTHER_SIGNATURE,
    names.GRANTS: LARGEST_GRANT,
    names.INSTALL: names.LARGEST_INSTALL,
}


class Order:
    """Which file may follow which, and how large each may be."""

    def __init__(self, form: Form = BUNDLE) -> None:
        self._form = form
        self._section = -1
        self._counts = dict.fromkeys(form.sections, 0)

    def check(self, name: str, size: int) -> None:
        """Accepts the next file.

        Raises:
            MalformedError: unknown, out of order, twice, or larger than allowed.
        """
        place, index = archive_order(name, self._form)
        section = self._form.sections[place]
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
            MalformedError: something is missing, or leaves and payload do not match.
        """
        counts = self._counts
        for name in self._form.required:
            if not counts[name]:
                raise MalformedError(f"bundle: has no {name}")
        if counts.get(names.LEAVES, counts[names.PAYLOAD]) != counts[names.PAYLOAD]:
            raise MalformedError("bundle: leaves and payload do not match")


def _split(name: str) -> tuple[str, int]:
    if name in _SINGLE:
        return name, 0
    match = _INDEXED.fullmatch(name)
    if match is None:
        raise MalformedError(f"bundle: {name!r} does not belong into a bundle")
    return match[1], int(match[2])


def archive_order(name: str, form: Form = BUNDLE) -> tuple[int, int]:
    """Returns section and number of a file: a key that sorts names as the archive has them.

    Raises:
        MalformedError: the name does not belong into an archive of this form.
    """
    section, index = _split(name)
    if section not in form.sections:
        raise MalformedError(f"bundle: {name!r} does not belong into a bundle")
    return form.sections.index(section), index
