"""Who signs what in a repository: what people agree on in a ceremony, before anybody signs.

Everybody has two keys: one for TUF's root and targets, one for trust files. Each role below has a key of its
own, and so has whoever seals bundles. No key stands at two places.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, public_key
from modelkeep.errors import MalformedError, UsageError
from modelkeep.record import Record
from modelkeep.trust.trust_payload import MOST_PATTERNS
from modelkeep.updates.repository.family import MOST_FAMILIES, Family, check_apart

FORMAT, VERSION = "modelkeep/ceremony", 1
LARGEST_PLAN = 2**19
MOST_PEOPLE = 32
PHASE, ONLINE, PUBLISHER = "phase", "online", "publisher"
CHANNEL, TRUST = "channel", "trust"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LARGEST_PEM = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """Who takes part, and the keys that they have brought.

    Attributes:
        people: names; each has two places, ``NAME.channel`` and ``NAME.trust``.
        threshold: how many of them have to sign.
        families: whose releases have a key of their own.
        keys: public keys by place.
    """

    people: tuple[str, ...]
    threshold: int
    families: tuple[Family, ...]
    keys: Mapping[str, ec.EllipticCurvePublicKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what no repository can be made of.

        Raises:
            UsageError: names that are none, a threshold that cannot be reached, families that meet, or a
                key that stands at two places.
        """
        if not all(map(_NAME.fullmatch, self.people)) or len(set(self.people)) != len(self.people):
            raise UsageError("people have different names, of small letters, digits and '-'")
        if not 1 <= self.threshold <= len(self.people) <= MOST_PEOPLE:
            raise UsageError(f"the threshold lies between 1 and the number of people, at most {MOST_PEOPLE}")
        if not self.families:
            raise UsageError(
                "a repository has models", hint="pass --models audio=acme/audio/*, or --models *"
            )
        check_apart(self.families)
        self._check_keys()

    @property
    def places(self) -> list[str]:
        """All places for keys, in the order in which people are asked for them."""
        people = [f"{name}.{chain}" for name in self.people for chain in (CHANNEL, TRUST)]
        families = [place for each in self.families for place in (each.role, publisher_place(each))]
        return [*people, *families, PHASE, ONLINE]

    @property
    def missing(self) -> list[str]:
        """Places whose keys nobody has brought."""
        return [place for place in self.places if place not in self.keys]

    @property
    def digest(self) -> str:
        """SHA-256 of the plan, hexadecimal: what people read to each other before they sign."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def with_key(self, place: str, key: ec.EllipticCurvePublicKey) -> Plan:
        """Returns the plan with a key at a place, in the stead of what was there.

        Raises:
            UsageError: no such place, or the key stands at another one.
        """
        if place not in self.places:
            raise UsageError(
                f"no such place for a key: {place!r:.80}", hint=f"places are {', '.join(self.places)}"
            )
        return replace(self, keys={**self.keys, place: key})

    def keys_of(self, chain: str) -> list[ec.EllipticCurvePublicKey]:
        """Returns everybody's key for one of the two chains; all of them are there."""
        return [self.keys[f"{name}.{chain}"] for name in self.people]

    def to_bytes(self) -> bytes:
        """Returns the plan, canonical JSON."""
        return canonical.encode(
            {
                "format": FORMAT,
                "version": VERSION,
                "people": list(self.people),
                "threshold": self.threshold,
                "families": [{"name": each.name, "models": list(each.models)} for each in self.families],
                "keys": {place: public_key.to_pem(key).decode() for place, key in self.keys.items()},
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> Plan:
        """Reads a plan.

        Raises:
            MalformedError: it is none.
            UnsupportedVersionError: made by a newer version.
        """
        with Record(canonical.decode(data, "ceremony"), "ceremony") as record:
            record.check_format(FORMAT, VERSION)
            people = _texts(record, "people", MOST_PEOPLE)
            threshold = record.integer("threshold", lowest=1)
            families = record.items("families", longest=MOST_FAMILIES)
            keys = record.anything("keys")
        try:
            return Plan(people, threshold, tuple(map(_family, families)), _keys(keys))
        except UsageError as error:
            raise MalformedError(f"ceremony: {error}") from None

    def _check_keys(self) -> None:
        seen: dict[str, str] = {}
        for place, key in self.keys.items():
            other = seen.setdefault(public_key.fingerprint(key), place)
            if place not in self.places:
                raise UsageError(f"no such place for a key: {place!r:.80}")
            if other != place:
                raise UsageError(
                    f"one key stands at {other} and at {place}",
                    hint="make one for each: modelkeep keys create",
                )


def publisher_place(family: Family) -> str:
    """Returns the place for the key that seals a family's bundles."""
    return f"{PUBLISHER}-{family.name}" if family.name else PUBLISHER


def _family(item: object) -> Family:
    with Record(item, "ceremony: family") as record:
        return Family(record.text("name"), _texts(record, "models", MOST_PATTERNS))


def _texts(record: Record, name: str, longest: int) -> tuple[str, ...]:
    items = record.items(name, longest=longest)
    if not all(isinstance(item, str) for item in items):
        raise record.fault(name, "must list strings")
    return tuple(items)


def _keys(members: Any) -> dict[str, ec.EllipticCurvePublicKey]:
    if not isinstance(members, dict):
        raise MalformedError("ceremony: member 'keys' must be an object")
    texts = {place: Record(members, "ceremony: key").text(place, longest=_LARGEST_PEM) for place in members}
    return {place: public_key.load(text.encode()) for place, text in texts.items()}
