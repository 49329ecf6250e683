"""What a trust file says, and who signed it: for people, and for those who are about to sign it.

Nothing here decides: a device reads trust files through `TrustFile.from_bytes`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.trust import public_key
from modelkeep.trust.trust_envelope import TrustEnvelope
from modelkeep.trust.trust_file import EVERY_FAMILY, LATEST_TIME, Publisher, TrustFile

_WIDTH = 15


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
        envelope: TrustEnvelope, roots: Mapping[str, ec.EllipticCurvePublicKey], threshold: int = 1
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
            "expires": _time(trust.expires),
            "expired": now > trust.expires,
            "publishers": [_facts(each, trust) for each in trust.publishers],
            "revoked": {
                "keys": sorted(trust.revoked_keys),
                "bundles": sorted(bundle.hex() for bundle in trust.revoked_bundles),
            },
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
    """Returns what a trust file says in words, one statement a line."""
    expired = "  (has expired)" if now > trust.expires else ""
    return [
        _line("number", str(trust.number)),
        _line("expires", f"{_time(trust.expires) or 'never'}{expired}"),
        *(_line("publisher", _words(each, trust)) for each in trust.publishers),
        *(_line("revoked key", f"sha256:{key}") for key in sorted(trust.revoked_keys)),
        *(_line("revoked bundle", bundle.hex()) for bundle in sorted(trust.revoked_bundles)),
    ]


def changes(old: TrustFile, new: TrustFile, now: int) -> list[str]:
    """Returns what `new` says otherwise than `old`: lines with ``-`` are gone, those with ``+`` are new."""
    before, after = statements(old, now), statements(new, now)
    gone = [f"- {line}" for line in before if line not in after]
    return gone + [f"+ {line}" for line in after if line not in before]


def _facts(publisher: Publisher, trust: TrustFile) -> dict[str, object]:
    return {
        "key": publisher.fingerprint,
        "families": list(publisher.families),
        "not_before": _time(publisher.not_before),
        "not_after": _time(publisher.not_after),
        "revoked": publisher.fingerprint in trust.revoked_keys,
    }


def _words(publisher: Publisher, trust: TrustFile) -> str:
    families = ", ".join(family or "without a name" for family in publisher.families)
    limits = [
        f"{word} {text}"
        for word, text in (("from", _time(publisher.not_before)), ("until", _time(publisher.not_after)))
        if text is not None
    ]
    scope = "every family" if EVERY_FAMILY in publisher.families else f"families: {families}"
    revoked = ["revoked"] if publisher.fingerprint in trust.revoked_keys else []
    return "  ".join([f"sha256:{publisher.fingerprint}", scope, *limits, *revoked])


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _time(seconds: int) -> str | None:
    if seconds in (0, LATEST_TIME):
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
