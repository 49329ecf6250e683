"""A repository on static files, of whose keys every one can be stolen: python-tuf alone."""

from __future__ import annotations

import copy
import datetime
import hashlib
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from modelkeep.bundle.bundle import Bundle
from modelkeep.updates.phase import Offer, Phase
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.catalogue import TRUST_NAME
from support.workshop import MODEL_ID

DAY = 86_400
TOP = ("root", "targets", "snapshot", "timestamp")
DELEGATED = {"models": "releases/*/*/*.json", "phase": "phases/*/*.json"}


@dataclass
class TufRepository:
    """What is said, and with which keys; `write` says it.

    Attributes:
        folder: what a web server would show.
        now: seconds since 1970-01-01 UTC at which everything is signed.
        keys: the key of each role.
        versions: the version of each role that the next `write` says.
        days: for how long each role counts.
        releases: the documents.
        offers: what the phase says, newest first.
        trust: the trust file that is carried along, or None.
    """

    folder: Path
    now: float = field(default_factory=time.time)
    keys: dict[str, CryptoSigner] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    days: dict[str, float] = field(default_factory=lambda: {"timestamp": 7, "snapshot": 30})
    releases: dict[str, ReleaseDocument] = field(default_factory=dict)
    offers: list[Offer] = field(default_factory=list)
    trust: bytes | None = None

    def __post_init__(self) -> None:
        for role in (*TOP, *DELEGATED):
            self.keys[role] = CryptoSigner.generate_ed25519()
            self.versions[role] = 1
        for name in ("metadata", "targets"):
            (self.folder / name).mkdir(parents=True)
        self.write_root(self.keys["root"])

    @property
    def first_root(self) -> bytes:
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def offer(
        self, bundle: Path, share: int = 1000, *, paused: bool = False, **members: Any
    ) -> ReleaseDocument:
        """Offers a bundle before everything else, and says so."""
        with Bundle(bundle) as opened:
            manifest = opened.unverified_manifest()
        document = ReleaseDocument(
            manifest.model,
            manifest.bundle,
            manifest.order,
            hashlib.sha256(manifest.to_bytes()).digest(),
            bundle.name,
            bundle.stat().st_size,
            **members,
        )
        shutil.copyfile(bundle, self.folder / "targets" / bundle.name)
        self.releases[document.name] = document
        others = [each for each in self.offers if each.release != document.name]
        self.offers = [Offer(document.name, document.attempt, share, paused), *others]
        self.write()
        return document

    def rotate(self, role: str) -> None:
        """Gives a role a new key, as the next version of the root says."""
        old_root = self.keys["root"]
        self.keys[role] = CryptoSigner.generate_ed25519()
        self.versions["root"] += 1
        self.write_root(old_root, self.keys["root"])

    def write_root(self, *signers: CryptoSigner) -> None:
        root = Root(self.versions["root"], expires=self._end("root"), consistent_snapshot=True)
        for role in TOP:
            root.add_key(self.keys[role].public_key, role)
        self._sign(f"{root.version}.root", root, *signers)

    def write(self) -> None:
        """Says everything anew, one version further."""
        phase = Phase(MODEL_ID, tuple(self.offers))
        self._targets("models", {each.name: each.to_bytes() for each in self.releases.values()})
        self._targets("phase", {phase.name: phase.to_bytes()})
        trust = {} if self.trust is None else {TRUST_NAME: self.trust}
        self._targets("targets", trust, self._delegations())
        self.write_snapshot()
        self.write_timestamp()

    def write_snapshot(self, *others: str) -> None:
        """Says which versions belong together, of other roles as well."""
        roles = ("targets", *DELEGATED, *others)
        listed = {f"{role}.json": MetaFile(self.versions[role] - 1) for role in roles}
        snapshot = Snapshot(self.versions["snapshot"], expires=self._end("snapshot"), meta=listed)
        self._sign(f"{self.versions['snapshot']}.snapshot", snapshot, self.keys["snapshot"])
        self.versions["snapshot"] += 1

    def write_timestamp(self, **ours: int) -> None:
        """Says which snapshot is the newest, and when that was signed."""
        meta = MetaFile(self.versions["snapshot"] - 1)
        timestamp = Timestamp(self.versions["timestamp"], expires=self._end("timestamp"), snapshot_meta=meta)
        timestamp.unrecognized_fields["modelkeep"] = {"signed_at": int(self.now), **ours}
        self._sign("timestamp", timestamp, self.keys["timestamp"])
        self.versions["timestamp"] += 1

    def copy(self, target: Path) -> Path:
        """Returns a copy of what is said now, as it lies on a stick or on a mirror."""
        shutil.copytree(self.folder, target)
        return target

    def _targets(self, role: str, files: dict[str, bytes], delegations: Delegations | None = None) -> None:
        targets = Targets(self.versions[role], expires=self._end(role), delegations=delegations)
        for name, data in files.items():
            targets.targets[name] = TargetFile.from_data(name, data, ["sha256"])
            place = self.folder / "targets" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.with_name(f"{hashlib.sha256(data).hexdigest()}.{place.name}").write_bytes(data)
        self._sign(f"{self.versions[role]}.{role}", targets, self.keys[role])
        self.versions[role] += 1

    def _delegations(self) -> Delegations:
        roles = {
            role: DelegatedRole(role, [self.keys[role].public_key.keyid], 1, True, [pattern])
            for role, pattern in DELEGATED.items()
        }
        public: list[Key] = [self.keys[role].public_key for role in DELEGATED]
        keys = {key.keyid: key for key in public}
        return Delegations(keys, roles)

    def _end(self, role: str) -> datetime.datetime:
        end = int(self.now) + int(self.days.get(role, 365) * DAY)
        return datetime.datetime.fromtimestamp(end, datetime.UTC)

    def _sign(self, name: str, signed: Any, *signers: CryptoSigner) -> None:
        metadata = Metadata(copy.deepcopy(signed))
        for signer in signers:
            metadata.sign(signer, append=True)
        (self.folder / "metadata" / f"{name}.json").write_bytes(metadata.to_bytes())
