"""From the last trust file to the next: publishers come and end, keys and bundles are revoked.

Nothing here signs: what is made passes from root to root. Source: spec/trust-v1.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cryptography import x509

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.publisher import Publisher, Who, covers, matches
from modelkeep.trust.roots_document import RootsName
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_payload import (
    LARGEST_SIGSTORE_ROOT,
    MOST_AUTHORITIES,
    MOST_FLOORS,
    MOST_PUBLISHERS,
    MOST_REVOKED,
)

_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def first(number: int, expires: int) -> TrustFile:
    """Returns a file that trusts nobody yet.

    Raises:
        UsageError: the number is not positive, or the time is not one that a file can hold.
    """
    if number < 1:
        raise UsageError("trust files are numbered from 1")
    return TrustFile(number, _moment(expires), ())


def following(last: TrustFile, expires: int | None = None) -> TrustFile:
    """Returns a file that says the same as `last` under the next number.

    Args:
        last: the newest file there is.
        expires: last second at which the new one counts; by default that of `last`.

    Raises:
        UsageError: the time is not one that a file can hold.
    """
    expires = last.expires if expires is None else _moment(expires)
    return replace(last, number=last.number + 1, expires=expires, roots=None)


def with_publisher(
    trust: TrustFile,
    who: Who,
    models: tuple[str, ...] | None = None,
    families: tuple[str, ...] | None = None,
    not_before: int | None = None,
    not_after: int | None = None,
) -> TrustFile:
    """Returns the file with a publisher added, or changed; what is None stays as it was.

    A new publisher may sign every family of its models at any time, unless that is given.

    Raises:
        UsageError: a new publisher without models, a time that is not one that a file can hold, an end
            before the beginning, a key that stands there several times and it is not said what becomes of
            them, or there is no room.
    """
    mine = [each for each in trust.publishers if each.who == who]
    if len(mine) > 1 and None in (models, families, not_before, not_after):
        raise UsageError(
            "the trust file has several entries for this publisher",
            hint="give models, families, beginning and end of the one that takes their place",
        )
    if models is None and not mine:
        raise UsageError(
            "a new publisher signs certain models", hint="name them: PEM=acme/detector, PEM=acme/*, or PEM=*"
        )
    old = mine[0] if mine else Publisher(who, models or ())
    new = Publisher(
        who,
        old.models if models is None else models,
        old.families if families is None else families,
        old.not_before if not_before is None else _moment(not_before),
        old.not_after if not_after is None else _moment(not_after),
    )
    if new.not_before > new.not_after:
        raise UsageError("the time of a publisher ends before it begins")
    others = tuple(each for each in trust.publishers if each.who != who)
    if len(others) >= MOST_PUBLISHERS:
        raise UsageError(f"a trust file has at most {MOST_PUBLISHERS} publishers")
    return replace(trust, publishers=(*others, new))


def with_end(trust: TrustFile, who: Who, end: int) -> TrustFile:
    """Returns the file with the time of a publisher ended; what it sealed before goes on.

    Raises:
        UsageError: this is no publisher, begins later only, or the time is not one that a file can hold.
    """
    end = _moment(end)
    mine = [each for each in trust.publishers if each.who == who]
    if not mine:
        raise _no_publisher(who)
    if any(each.not_before > end for each in mine):
        raise UsageError("the time of this publisher begins later", hint="revoke the key instead")
    ended = tuple(
        replace(each, not_after=min(each.not_after, end)) if each.who == who else each
        for each in trust.publishers
    )
    return replace(trust, publishers=ended)


def without_publisher(trust: TrustFile, who: Who) -> TrustFile:
    """Returns the file without a publisher: nothing that it sealed counts any more.

    Raises:
        UsageError: this is no publisher.
    """
    others = tuple(each for each in trust.publishers if each.who != who)
    if len(others) == len(trust.publishers):
        raise _no_publisher(who)
    return replace(trust, publishers=others)


def with_floors(trust: TrustFile, floors: Mapping[str, ReleaseOrder]) -> TrustFile:
    """Returns the file with the floors of some models set.

    Raises:
        UsageError: there is no room for so many.
    """
    merged = {**trust.floors, **floors}
    if len(merged) > MOST_FLOORS:
        raise UsageError(f"a trust file has floors for at most {MOST_FLOORS} models")
    return replace(trust, floors=merged)


def with_sigstore_root(trust: TrustFile, root: bytes | None) -> TrustFile:
    """Returns the file with Sigstore's trusted root (JSON) set, or as it was.

    Raises:
        UsageError: it is too large, no text, or missing where publishers are identities.
    """
    try:
        text = trust.sigstore_root if root is None else root.decode("ascii")
    except UnicodeDecodeError:
        raise UsageError("a trusted root of Sigstore is JSON in ASCII") from None
    if len(text) > LARGEST_SIGSTORE_ROOT:
        raise UsageError(f"a trusted root of Sigstore has at most {LARGEST_SIGSTORE_ROOT} bytes")
    if not text and any(isinstance(each.who, SigstoreSigner) for each in trust.publishers):
        raise UsageError("identities need Sigstore's trusted root", hint="pass --sigstore-root FILE")
    return replace(trust, sigstore_root=text)


def with_authorities(trust: TrustFile, roots: Iterable[Sequence[x509.Certificate]]) -> TrustFile:
    """Returns the file with the roots of authorities of time added.

    Raises:
        UsageError: there is no room for so many.
    """
    added = (certificate for each in roots for certificate in each if certificate not in trust.authorities)
    authorities = tuple(dict.fromkeys((*trust.authorities, *added)))
    if len(authorities) > MOST_AUTHORITIES:
        raise UsageError(f"a trust file names at most {MOST_AUTHORITIES} authorities")
    return replace(trust, authorities=authorities)


def with_roots(trust: TrustFile, named: RootsName) -> TrustFile:
    """Returns the file for the roots of a chain.

    Raises:
        UsageError: they are of another chain than before, or older.
    """
    before = trust.named_roots
    if before is not None and (named.set != before.set or named.number < before.number):
        raise UsageError(
            "these are not newer roots of the same chain", hint="a new chain needs a new first trust file"
        )
    return replace(trust, named_roots=named)


def missing_floors(last: TrustFile, trust: TrustFile, given: Iterable[str]) -> list[str]:
    """Returns the models (ids and patterns) that a key no longer signs, and no floor was given for.

    A device goes by the newest release of each model whose signer still counts. Where a key does not count
    any more, an older release by another one would open again; a floor is what stops it.

    Args:
        last: the file before.
        trust: the new file.
        given: models whose floors were set now: what was set long ago says nothing of the last release.
    """
    models = set(given)
    gone = {
        pattern
        for publisher in last.publishers
        if publisher.fingerprint not in last.revoked_keys
        for pattern in publisher.models
        if not _still_signs(trust, publisher, pattern)
    }
    return sorted(pattern for pattern in gone if not any(matches(pattern, model) for model in models))


def _still_signs(trust: TrustFile, publisher: Publisher, pattern: str) -> bool:
    return publisher.fingerprint not in trust.revoked_keys and any(
        each.who == publisher.who and any(covers(wider, pattern) for wider in each.models)
        for each in trust.publishers
    )


def with_revoked(
    trust: TrustFile,
    *,
    keys: Iterable[str] = (),
    bundles: Iterable[bytes] = (),
    void: Iterable[bytes] = (),
) -> TrustFile:
    """Returns the file with keys (by fingerprint) and bundles (by id) revoked or void besides.

    Raises:
        UsageError: there is no room for so many.
    """
    revoked = trust.revoked_keys.union(keys), trust.revoked_bundles.union(bundles), trust.void.union(void)
    if max(map(len, revoked)) > MOST_REVOKED:
        raise UsageError(f"a trust file revokes at most {MOST_REVOKED} keys and as many bundles")
    return replace(trust, revoked_keys=revoked[0], revoked_bundles=revoked[1], void=revoked[2])


def fingerprint_of(key: str) -> str:
    """Returns the fingerprint of a key that is named by it, or by the path of its public key in PEM.

    Raises:
        StorageError: the file cannot be read.
        UsageError: not a public key.
    """
    match = _FINGERPRINT.fullmatch(key)
    return match[1] if match else public_key.fingerprint(public_key.load(key))


def _no_publisher(who: Who) -> UsageError:
    words = who if isinstance(who, SigstoreSigner) else f"key sha256:{public_key.fingerprint(who)}"
    return UsageError(
        f"{words} is not among the publishers",
        hint="`modelkeep trust show` names them",
    )


def _moment(seconds: int) -> int:
    if not 0 <= seconds <= LATEST_TIME:
        raise UsageError("times of a trust file lie between 1970 and 9999")
    return seconds
