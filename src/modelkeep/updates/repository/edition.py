"""What a repository says next: edited, signed, and written so that readers see all of it or nothing.

Every file gets a name of its own, by version or digest. Only the timestamp is replaced, at the very end:
until then nobody is led to what is new, and what a power cut leaves behind is written over by the next try.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelkeep.channels.channel import Channel
from modelkeep.updates.repository.metadata import (
    ROOT_ROLE,
    SNAPSHOT_ROLE,
    TARGETS_ROLE,
    TIMESTAMP_NAME,
    TIMESTAMP_ROLE,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    Targets,
    Timestamp,
    file_name,
    is_half_over,
    ours,
    set_end,
    set_ours,
    target_file_name,
)
from modelkeep.updates.repository.published import Published, listed
from modelkeep.updates.repository.role_signers import RoleSigners


@dataclass(slots=True)
class Edition:
    """A repository's next documents in the making.

    Attributes:
        now: present time in seconds since 1970-01-01 UTC.
        root: the root that counts then.
        roles: the newest document of targets and of each delegated role, by name.
        meta: what the snapshot lists.
        versions: of snapshot and timestamp, by role; 0 before the first.
        documents: content of the targets, by name.
        snapshot: the one that goes on counting where nothing that it lists changes; None if it is to be new.
        interval: how many seconds later devices are to ask again; None leaves it to them.
    """

    now: int
    root: Metadata[Root]
    roles: dict[str, Metadata[Targets]]
    meta: dict[str, MetaFile]
    versions: Mapping[str, int]
    documents: dict[str, bytes] = field(default_factory=dict)
    snapshot: MetaFile | None = None
    interval: int | None = None
    _changed: set[str] = field(default_factory=set)
    _new: set[str] = field(default_factory=set)

    @staticmethod
    def after(published: Published, now: int) -> Edition:
        """Returns what is published, to be changed."""
        return Edition(
            now,
            published.root,
            {TARGETS_ROLE: published.targets, **published.roles},
            dict(published.snapshot.signed.meta),
            {
                SNAPSHOT_ROLE: published.snapshot.signed.version,
                TIMESTAMP_ROLE: published.timestamp.signed.version,
            },
            dict(published.documents),
            _lasting(published, now),
            published.interval,
        )

    @property
    def targets(self) -> Metadata[Targets]:
        """The top role of targets."""
        return self.roles[TARGETS_ROLE]

    def put(self, role: str, name: str, data: bytes) -> None:
        """Lists a target; nothing changes where it is listed with this content."""
        target = listed(data, name)
        if self.roles[role].signed.targets.get(name) != target:
            self._edited(role).targets[name] = target
            self.documents[name] = data
            self._new.add(name)

    def remove(self, role: str, name: str) -> None:
        """Lists a target no more; its file stays, since readers of the edition before may ask for it."""
        if name in self.roles[role].signed.targets:
            del self._edited(role).targets[name]
            del self.documents[name]

    def note(self, role: str, **members: Any) -> None:
        """Says something of ours in the document of a role."""
        signed = self.roles[role].signed
        if dict(ours(signed)) != (wanted := {**ours(signed), **members}):
            set_ours(self._edited(role), wanted)

    def renew(self, role: str) -> None:
        """Lets the document of a role count anew from now on."""
        self._edited(role)

    def take(self, role: str, metadata: Metadata[Targets]) -> None:
        """Takes a document that was made and signed elsewhere."""
        self.roles[role] = metadata
        self._changed.add(role)

    def take_files(self, documents: Mapping[str, bytes]) -> None:
        """Takes the contents of targets that such a document lists."""
        self.documents |= documents
        self._new |= set(documents)

    def delegator(self, role: str) -> Root | Targets:
        """Returns who says which keys sign for a role."""
        return self.root.signed if role in self.root.signed.roles else self.targets.signed

    def check_signers(self, signers: RoleSigners) -> None:
        """Refuses to begin what could not be signed afterwards.

        Raises:
            UsageError: too few keys of a role are at hand, or one that signs for none.
        """
        signers.check_known(self.root.signed, self.targets.signed)
        self._check_thresholds(signers)

    def _check_thresholds(self, signers: RoleSigners) -> None:
        for role in (*sorted(self._changed), SNAPSHOT_ROLE, TIMESTAMP_ROLE):
            signers.check(role, self.delegator(role), self.roles.get(role))

    def write(self, channel: Channel, signers: RoleSigners, *, root: bool = False) -> None:
        """Signs and writes everything; the timestamp comes last.

        Args:
            channel: where to.
            signers: keys of all roles that changed, of snapshot and timestamp.
            root: whether the root is new, and signed already.

        Raises:
            UsageError: too few keys; nothing was written.
            UnavailableError: it cannot be written; what was published goes on counting.
            KeyStoreError: a key cannot be used; nothing was written.
        """
        self._check_thresholds(signers)
        for name, data in self._signed(signers, root=root).items():
            channel.put(name, [data])

    def _signed(self, signers: RoleSigners, *, root: bool) -> dict[str, bytes]:
        files = {_target_file(name, self.documents[name]): self.documents[name] for name in sorted(self._new)}
        for role in sorted(self._changed):
            files |= self._role(role, signers)
        if root:
            files[file_name(ROOT_ROLE, self.root.signed.version)] = self.root.to_bytes()
        if self._changed or root or self.snapshot is None:
            files |= self._next_snapshot(signers)
        return files | self._timestamp(signers)

    def _role(self, role: str, signers: RoleSigners) -> dict[str, bytes]:
        metadata = self.roles[role]
        signers.sign(role, metadata, self.delegator(role))
        data = metadata.to_bytes()
        self.meta[f"{role}.json"] = _meta(metadata, data)
        return {file_name(role, metadata.signed.version): data}

    def _next_snapshot(self, signers: RoleSigners) -> dict[str, bytes]:
        snapshot = Metadata(Snapshot(version=self.versions[SNAPSHOT_ROLE] + 1, meta=self.meta))
        set_end(snapshot.signed, SNAPSHOT_ROLE, self.now)
        signers.sign(SNAPSHOT_ROLE, snapshot, self.root.signed)
        data = snapshot.to_bytes()
        self.snapshot = _meta(snapshot, data)
        return {file_name(SNAPSHOT_ROLE, snapshot.signed.version): data}

    def _timestamp(self, signers: RoleSigners) -> dict[str, bytes]:
        signed = Timestamp(version=self.versions[TIMESTAMP_ROLE] + 1, snapshot_meta=self.snapshot)
        set_end(signed, TIMESTAMP_ROLE, self.now)
        asked = {} if self.interval is None else {"interval": self.interval}
        set_ours(signed, {"signed_at": self.now, **asked})
        timestamp = Metadata(signed)
        signers.sign(TIMESTAMP_ROLE, timestamp, self.root.signed)
        return {TIMESTAMP_NAME: timestamp.to_bytes()}

    def _edited(self, role: str) -> Targets:
        if role not in self._changed:
            self._changed.add(role)
            signed = copy.deepcopy(self.roles[role].signed)
            signed.version += 1
            set_end(signed, role, self.now)
            self.roles[role] = Metadata(signed)
        return self.roles[role].signed


def _meta(metadata: Metadata[Any], data: bytes) -> MetaFile:
    return MetaFile(metadata.signed.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def _target_file(name: str, data: bytes) -> str:
    return target_file_name(name, hashlib.sha256(data).hexdigest())


def _lasting(published: Published, now: int) -> MetaFile | None:
    """Returns the snapshot if more than half of its time is left."""
    if is_half_over(published.snapshot.signed, SNAPSHOT_ROLE, now):
        return None
    return published.timestamp.signed.snapshot_meta
