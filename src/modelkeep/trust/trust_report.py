"""What a trust file says, and who signed it: for people, and for those who are about to sign it.

Nothing here decides: a device reads trust files through `TrustFile.from_bytes`.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import certificates
from modelkeep.trust.envelope import Envelope
from modelkeep.trust.publisher import EVERY_FAMILY, EVERY_MODEL, LATEST_TIME, Publisher
from modelkeep.trust.trust_file import TrustFile

_WIDTH = 15

_Fact = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class TrustReport:
    """A trust file, held against roots where some are given.

    Attributes:
        trust: what the file says of itself.
        claimed: fingerprints of the keys that are said to have signed, each once.
        signed_by: names of the roots that did sign.
        roots: how many different roots were given.
        threshold: how many of them have to sign.
    """

    trust: TrustFile
    claimed: tuple[str, ...]
    signed_by: Mapping[str, str]
    roots: int
    threshold: int

    @staticmethod
    def of(
        envelope: Envelope, roots: Mapping[str, ec.EllipticCurvePublicKey], threshold: int = 1
    ) -> TrustReport:
        """Returns the report on a file.

        Args:
            envelope: the file.
            roots: root keys by the name that people know them by; may be empty.
            threshold: how many different ones of them have to sign.

        Raises:
            MalformedError: not a trust file.
            UnsupportedVersionError: made by a newer version.
        """
        names = {public_key.fingerprint(key): name for name, key in roots.items()}
        keys = {public_key.fingerprint(key): key for key in roots.values()}
        signed = envelope.signed_by(keys)
        return TrustReport(
            trust=TrustFile.unverified(envelope),
            claimed=tuple(dict.fromkeys(name for name, _ in envelope.signatures)),
            signed_by={name: names[name] for name in sorted(signed)},
            roots=len(keys),
            threshold=threshold,
        )

    def lines(self, now: int) -> list[str]:
        """Returns the report in words, one fact a line."""
        return [*statements(self.trust, now), *map(self._signature, self.claimed), *self._count()]

    def facts(self, now: int) -> dict[str, object]:
        """Returns the report as JSON; times in ISO 8601, None where there is no limit."""
        trust = self.trust
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
                model: {"epoch": floor.epoch, "sealed_at": _time(floor.sealed_at)}
                for model, floor in sorted(trust.floors.items())
            },
            "authorities": [_authority(each) for each in trust.authorities],
            "signatures": [{"key": key, "root": self.signed_by.get(key)} for key in self.claimed],
            "roots": {"given": self.roots, "signed": len(self.signed_by), "threshold": self.threshold},
        }

    def _signature(self, key: str) -> str:
        if not self.roots:
            return _line("signature", f"sha256:{key}, not checked")
        if key in self.signed_by:
            return _line("signature", f"sha256:{key}, root {self.signed_by[key]}")
        return _line("signature", f"sha256:{key}, counts nothing: of none of these roots, or broken")

    def _count(self) -> list[str]:
        if not self.roots:
            return [] if self.claimed else [_line("signed by", "nobody yet")]
        return [
            _line("signed by", f"{len(self.signed_by)} of {self.roots} roots; {self.threshold} are needed")
        ]


def statements(trust: TrustFile, now: int) -> list[str]:
    """Returns what a trust file says in words, one statement a line; no two files give the same lines."""
    return [line for _, line in _statements(trust, now)]


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
        (("number", trust.number), _line("number", str(trust.number))),
        (("expires", trust.expires), _line("expires", f"{_end(trust.expires) or 'never'}{expired}")),
        *((_fact(each, trust), _line("publisher", _words(each, trust))) for each in trust.publishers),
        *((("key", key), _line("revoked key", f"sha256:{key}")) for key in sorted(trust.revoked_keys)),
        *(
            (("bundle", bundle), _line("revoked bundle", bundle.hex()))
            for bundle in sorted(trust.revoked_bundles)
        ),
        *((("void", bundle), _line("void bundle", bundle.hex())) for bundle in sorted(trust.void)),
        *((("floor", *each), _line("floor", _floor(*each))) for each in sorted(trust.floors.items())),
        *((("authority", each), _line("authority", _authority(each))) for each in trust.authorities),
    ]


def _lines_of(facts: Counter[_Fact], stated: list[tuple[_Fact, str]], sign: str) -> list[str]:
    lines = []
    for fact, line in stated:
        if facts[fact]:
            facts[fact] -= 1
            lines.append(f"{sign} {line}")
    return lines


def _fact(publisher: Publisher, trust: TrustFile) -> _Fact:
    key = publisher.fingerprint
    limits = publisher.not_before, publisher.not_after
    return ("publisher", key, publisher.models, publisher.families, *limits, key in trust.revoked_keys)


def _facts(publisher: Publisher, trust: TrustFile) -> dict[str, object]:
    return {
        "key": publisher.fingerprint,
        "models": list(publisher.models),
        "families": list(publisher.families),
        "not_before": _beginning(publisher.not_before),
        "not_after": _end(publisher.not_after),
        "revoked": publisher.fingerprint in trust.revoked_keys,
    }


def _words(publisher: Publisher, trust: TrustFile) -> str:
    limits = [
        f"{word} {text}"
        for word, text in (("from", _beginning(publisher.not_before)), ("until", _end(publisher.not_after)))
        if text is not None
    ]
    revoked = ["revoked"] if publisher.fingerprint in trust.revoked_keys else []
    scope = _models(publisher.models), _scope(publisher.families)
    return "  ".join([f"sha256:{publisher.fingerprint}", *scope, *limits, *revoked])


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
    return f"{model}  epoch {floor.epoch}, sealed {_time(floor.sealed_at)}"


def _authority(certificate: x509.Certificate) -> str:
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return f"{certificates.name_of(certificate)}  certificate sha256:{digest}"


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _beginning(seconds: int) -> str | None:
    return None if seconds == 0 else _time(seconds)


def _end(seconds: int) -> str | None:
    return None if seconds == LATEST_TIME else _time(seconds)


def _time(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
