"""A granter's policy as a file that people write, in TOML. Source: spec/granter-v1.md, "Policy file"."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography import x509

from modelkeep.granter.policy import Demand, GranterPolicy
from modelkeep.granter.roster_device import DEFAULT_GROUP
from modelkeep.posture import policy_file as posture_policy
from modelkeep.posture.android.revocations import LARGEST_LIST, Revocations
from modelkeep.posture.challenge import LONGEST_ORIGIN
from modelkeep.posture.judging import Anchors
from modelkeep.record import Record
from modelkeep.storage import named, read_small
from modelkeep.toml_record import toml_record
from modelkeep.trust.certificates import load as load_certificates
from modelkeep.trust.roots import Roots

LARGEST_FILE = 65_536
DEFAULT_LEASE_DAYS = 30
DEFAULT_FIRSTS = 20
DEFAULT_HANDOVERS = 1

_FORMAT, _VERSION = "modelkeep/granter-policy", 1
_DAY = 86_400
_LARGEST_KEY = 2**20


def read(path: str | os.PathLike[str]) -> GranterPolicy:
    """Reads a policy; what it names lies beside it.

    Raises:
        UsageError: not TOML, or not a policy; the message says where.
        UnsupportedVersionError: of a newer version.
        StorageError: a file that it names cannot be read.
    """
    data = read_small(path, LARGEST_FILE, "a granter's policy")
    with named(path), toml_record(data, "granter's policy", "docs/granting.md") as record:
        return _Reader(Path(path).parent, data).policy(record)


class _Reader:
    """Reads the files that a policy names, and keeps the digest of all of them."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self._folder = folder
        self._digests = [hashlib.sha256(data).digest()]

    def policy(self, record: Record) -> GranterPolicy:
        record.check_format(_FORMAT, _VERSION)
        with record.object("roster") as roster:
            operators = [self._data(each) for each in _texts(roster, "operators")]
            threshold = roster.integer("threshold", lowest=1) if "threshold" in roster else 1
            roots, file = Roots.of_keys(operators, threshold), self._path(roster.text("file"))
        origin = record.text("origin", longest=LONGEST_ORIGIN)
        demands = record.items("prove", longest=64) if "prove" in record else []
        return GranterPolicy(
            origin=origin,
            state=self._path(record.text("state")),
            lease=_number(record, "lease-days", DEFAULT_LEASE_DAYS, lowest=1, highest=3650) * _DAY,
            firsts=_number(record, "first-grants-a-day", DEFAULT_FIRSTS, lowest=0, highest=10**9),
            handovers=_number(record, "handovers-a-lease", DEFAULT_HANDOVERS, lowest=0, highest=1000),
            roster=file,
            operators=roots,
            bundles=tuple(self._path(each) for each in _texts(record, "bundles")),
            demands=tuple(map(self._demand, demands)),
            digest=hashlib.sha256(b"".join(self._digests)).digest(),
        )

    def _demand(self, value: object) -> Demand:
        with Record(value, "granter's policy: prove") as record:
            groups = _texts(record, "groups") if "groups" in record else (DEFAULT_GROUP,)
            policy = posture_policy.parse(self._data(record.text("policy")))
            makers = _texts(record, "tpm-makers") if "tpm-makers" in record else ()
            listed = self._revocations(record) if "revocations" in record else None
            renewals = record.boolean("renewals") if "renewals" in record else True
            return Demand(groups, policy, Anchors(self._certificates(makers), revocations=listed), renewals)

    def _certificates(self, makers: tuple[str, ...]) -> tuple[x509.Certificate, ...]:
        return tuple(each for maker in makers for each in load_certificates(self._data(maker)))

    def _revocations(self, record: Record) -> Revocations:
        return Revocations.parse(read_small(self._path(record.text("revocations")), LARGEST_LIST, "a list"))

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _data(self, name: str) -> bytes:
        data = read_small(self._path(name), _LARGEST_KEY, "what a policy names")
        self._digests.append(hashlib.sha256(data).digest())
        return data


def _texts(record: Record, name: str) -> tuple[str, ...]:
    texts = record.items(name, longest=1024)
    if not texts or not all(isinstance(each, str) and each for each in texts):
        raise record.fault(name, "must list names")
    return tuple(texts)


def _number(record: Record, name: str, default: int, *, lowest: int, highest: int) -> int:
    return record.integer(name, lowest=lowest, highest=highest) if name in record else default
