"""Checking a journal: that no line was changed, none is missing, and no grant was put out without one."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import KeepError, TamperedError
from modelkeep.granter.journal import entries_of
from modelkeep.granter.journal_entry import Event
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.mailbox import GRANTS_ENDING
from modelkeep.grants import sidecar
from modelkeep.grants.grant import Grant
from modelkeep.storage import words_for
from modelkeep.trust.roots_document import Keys


@dataclass(frozen=True, slots=True)
class Audit:
    """What a journal comes to.

    Attributes:
        number: how many lines there are.
        digest: SHA-256 of the last one, 32 bytes.
        events: how many lines of each kind.
        published: how many grants were found put out, each with its line.
    """

    number: int
    digest: bytes
    events: Mapping[Event, int]
    published: int


def audit(
    journal: Path,
    heads: Iterable[JournalHead] = (),
    answers: Path | None = None,
    signers: Keys | None = None,
    bundles: Iterable[str | os.PathLike[str]] = (),
) -> Audit:
    """Reads a journal from its first line to its last.

    Args:
        journal: the file.
        heads: verified heads that it has to hold, however old.
        answers: a folder of grants, of which each that `signers` signed has to have its line.
        signers: public keys that sign grants, by fingerprint.
        bundles: those that are granted: what they brought along is public, and anybody can put it there.

    Raises:
        TamperedError: a line was changed or is missing, or a grant has none.
        MalformedError: a line is not one.
        StorageError: something cannot be read.
    """
    expected = {head.number: head.digest for head in heads if head.number}
    published = {} if answers is None else dict(_published(answers, signers or {}))
    for brought in {each for path in bundles for each in _brought_along(path)}:
        published.pop(brought, "")
    events: Counter[Event] = Counter()
    number, digest, found = 0, bytes(32), 0
    for entry, place in entries_of(journal):
        number, digest = place.number, place.digest
        events[entry.event] += 1
        if expected.pop(number, digest) != digest:
            raise TamperedError(f"{journal}: line {number} is not the one that was signed as its end once")
        if entry.event is Event.GRANTED and published.pop(str(entry.facts.get("grant")), ""):
            found += 1
    _check_complete(journal, number, expected, published)
    return Audit(number, digest, events, found)


def _check_complete(
    journal: Path, number: int, expected: Mapping[int, bytes], published: Mapping[str, str]
) -> None:
    if expected:
        raise TamperedError(f"{journal}: ends at line {number}; {max(expected)} were signed once")
    if published:
        name = min(published.values())
        raise TamperedError(
            f"{name}: holds a grant of which the journal says nothing",
            hint="pass --bundle for those that bundles brought along; "
            "if it is none, somebody else has the keys of the granter: seal the next epoch with new ones",
        )


def _published(answers: Path, signers: Keys) -> Iterator[tuple[str, str]]:
    """Yields digest and file of each grant in a folder that one of the signers has signed."""
    issuers = tuple(public_key.to_der(key) for key in signers.values())
    with words_for(answers):
        paths = sorted(answers.glob(f"*{GRANTS_ENDING}"))
    for path in paths:
        for grant in _grants(path):
            if _is_signed(grant, issuers):
                yield _digest(grant), path.name


def _brought_along(path: str | os.PathLike[str]) -> set[str]:
    with Bundle(path) as bundle:
        return {_digest(grant) for grant in bundle.embedded_grants()}


def _digest(grant: Grant) -> str:
    return hashlib.sha256(grant.to_bytes()).hexdigest()


def _grants(path: Path) -> Iterator[Grant]:
    # Anybody can put lines there that are none; what stands behind them is looked at all the same.
    with suppress(KeepError):
        for line in sidecar.encoded(path):
            with suppress(KeepError):
                yield Grant.from_bytes(line)


def _is_signed(grant: Grant, issuers: tuple[bytes, ...]) -> bool:
    try:
        grant.check_issuer(issuers)
    except KeepError:
        return False
    return True
