"""What a trust file says: for people, and for those who are about to sign it."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections import Counter

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from modelkeep.clock import LATEST_TIME
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import certificates
from modelkeep.trust.publisher import EVERY_FAMILY, EVERY_MODEL, Publisher
from modelkeep.trust.roots_document import RootsName
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile

_WIDTH = 15

_Fact = tuple[object, ...]


def facts(trust: TrustFile, now: int) -> dict[str, object]:
    """Returns what a trust file says as JSON; times in ISO 8601, None where there is no limit."""
    return {
        "number": trust.number,
        "expires": _end(trust.expires),
        "expired": now > trust.expires,
        "publishers": [_facts(each, trust) for each in trust.publishers],
        "revoked": {
            "keys": sorted(trust.revoked_keys),
            "bundles": sorted(bundle.hex() for bundle in trust.revoked_bundles),
        },
        "void": sorted(bundle.hex() for bundle in trust.void),
        "floors": {
            model: {"epoch": floor.epoch, "sealed_at": moment(floor.sealed_at)}
            for model, floor in sorted(trust.floors.items())
        },
        "authorities": [_authority(each) for each in trust.authorities],
        "sigstore_root": _digest(trust.sigstore_root) if trust.sigstore_root else None,
        "chain": None if trust.named_roots is None else _chain(trust.named_roots),
    }


def statements(trust: TrustFile, now: int) -> list[str]:
    """Returns what a trust file says in words, one statement a line; no two files give the same lines."""
    return [text for _, text in _statements(trust, now)]


def changes(old: TrustFile, new: TrustFile, now: int) -> list[str]:
    """Returns what `new` says otherwise than `old`: lines with ``-`` are gone, those with ``+`` are new.

    It is empty only for files that say the same.
    """
    before, after = _statements(old, now), _statements(new, now)
    said, says = (Counter(fact for fact, _ in each) for each in (before, after))
    gone, come = _lines_of(said - says, before, "-"), _lines_of(says - said, after, "+")
    known, found = ([_fact(each, trust) for each in trust.publishers] for trust in (old, new))
    turned = known != found and Counter(known) == Counter(found)
    return gone + come + (["+ the same publishers in another order"] if turned else [])


def _statements(trust: TrustFile, now: int) -> list[tuple[_Fact, str]]:
    # Each with what it says: lines are for people, and what differs is found in what is said.
    expired = "  (has expired)" if now > trust.expires else ""
    return [
        (("number", trust.number), line("number", str(trust.number))),
        (("expires", trust.expires), line("expires", f"{_end(trust.expires) or 'never'}{expired}")),
        *((_fact(each, trust), line("publisher", _words(each, trust))) for each in trust.publishers),
        *((("key", key), line("revoked key", f"sha256:{key}")) for key in sorted(trust.revoked_keys)),
        *(
            (("bundle", bundle), line("revoked bundle", bundle.hex()))
            for bundle in sorted(trust.revoked_bundles)
        ),
        *((("void", bundle), line("void bundle", bundle.hex())) for bundle in sorted(trust.void)),
        *((("floor", *each), line("floor", _floor(*each))) for each in sorted(trust.floors.items())),
        *((("authority", each), line("authority", _authority(each))) for each in trust.authorities),
        *(
            (("sigstore", each), line("sigstore root", f"sha256:{_digest(each)}"))
            for each in (trust.sigstore_root,)
            if each
        ),
        *((("roots", each), line("roots", _roots(each))) for each in (trust.named_roots,) if each),
    ]


def _lines_of(facts: Counter[_Fact], stated: list[tuple[_Fact, str]], sign: str) -> list[str]:
    lines = []
    for fact, text in stated:
        if facts[fact]:
            facts[fact] -= 1
            lines.append(f"{sign} {text}")
    return lines


def _fact(publisher: Publisher, trust: TrustFile) -> _Fact:
    limits = publisher.not_before, publisher.not_after
    key = publisher.fingerprint
    return (
        "publisher",
        str(publisher),
        publisher.models,
        publisher.families,
        *limits,
        key in trust.revoked_keys,
    )


def _facts(publisher: Publisher, trust: TrustFile) -> dict[str, object]:
    return {
        **_who(publisher),
        "models": list(publisher.models),
        "families": list(publisher.families),
        "not_before": _beginning(publisher.not_before),
        "not_after": _end(publisher.not_after),
        "revoked": publisher.fingerprint in trust.revoked_keys,
    }


def _who(publisher: Publisher) -> dict[str, object]:
    if isinstance(publisher.who, SigstoreSigner):
        return {"identity": publisher.who.identity, "issuer": publisher.who.issuer}
    return {"key": publisher.fingerprint}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(publisher: Publisher, trust: TrustFile) -> str:
    limits = [
        f"{word} {text}"
        for word, text in (("from", _beginning(publisher.not_before)), ("until", _end(publisher.not_after)))
        if text is not None
    ]
    revoked = ["revoked"] if publisher.fingerprint in trust.revoked_keys else []
    scope = _models(publisher.models), _scope(publisher.families)
    return "  ".join([str(publisher), *scope, *limits, *revoked])


def _models(patterns: tuple[str, ...]) -> str:
    if patterns == (EVERY_MODEL,):
        return "every model"
    return f"models: {', '.join(patterns)}"


def _scope(families: tuple[str, ...]) -> str:
    if families == (EVERY_FAMILY,):
        return "every family"
    return f"families: {', '.join(map(_family, families)) or 'none'}"


def _family(name: str) -> str:
    if name == EVERY_FAMILY:
        return "every family"
    # In quotes and in ASCII: a name may hold commas, blanks, and letters that look like others.
    return json.dumps(name) if name else '"" (without a name)'


def _floor(model: str, floor: ReleaseOrder) -> str:
    return f"{model}  epoch {floor.epoch}, sealed {moment(floor.sealed_at)}"


def _chain(named: RootsName) -> dict[str, object]:
    return {"set": named.set.hex(), "number": named.number}


def _roots(named: RootsName) -> str:
    return f"document {named.number} of chain sha256:{named.set.hex()}"


def _authority(certificate: x509.Certificate) -> str:
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return f"{certificates.name_of(certificate)}  certificate sha256:{digest}"


def line(name: str, text: str) -> str:
    """Returns a statement: what it is about, and what is said."""
    return f"{name:<{_WIDTH}}{text}"


def _beginning(seconds: int) -> str | None:
    return None if seconds == 0 else moment(seconds)


def _end(seconds: int) -> str | None:
    return None if seconds == LATEST_TIME else moment(seconds)


def moment(seconds: int) -> str:
    """Returns a time in ISO 8601."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
