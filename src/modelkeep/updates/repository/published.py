"""What a repository says by now, as its publisher reads it: all of it, and all of it verified.

Whoever may write the folder can change what is in it. The publisher signs what comes next, so that it signs
nothing which builds on such a change. Ends are no concern here: what has ended is what it renews.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelkeep.channels.channel import AbsentError, Channel, read_whole
from modelkeep.errors import TamperedError
from modelkeep.updates.repository.metadata import (
    LARGEST_METADATA,
    ROOT_ROLE,
    SNAPSHOT_ROLE,
    TARGETS_ROLE,
    TIMESTAMP_NAME,
    TIMESTAMP_ROLE,
    Document,
    Metadata,
    MetaFile,
    RepositoryError,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
    file_name,
    ours,
    parse,
    target_file_name,
)

LARGEST_DOCUMENT = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Published:
    """A verified repository.

    Attributes:
        root, targets, snapshot, timestamp: the newest document of each role.
        roles: those of the delegated roles, by name.
        documents: content of every target, by the name that it is listed with.
    """

    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]
    roles: Mapping[str, Metadata[Targets]]
    documents: Mapping[str, bytes]

    @property
    def signed_at(self) -> int:
        """When the newest timestamp was signed, by the clock of whoever did; 0 where it does not say."""
        said = ours(self.timestamp.signed).get("signed_at")
        return said if isinstance(said, int) else 0

    @property
    def interval(self) -> int | None:
        """How many seconds later devices are to ask again, or None."""
        said = ours(self.timestamp.signed).get("interval")
        return said if isinstance(said, int) else None

    @staticmethod
    def read(channel: Channel, *, last_root: int | None = None) -> Published:
        """Reads a repository and verifies it from its first root on.

        Args:
            channel: where it is.
            last_root: number of the last root that is followed; by default the newest there is.

        Raises:
            AbsentError: there is none.
            TamperedError: something is not what was signed.
            UnavailableError: it cannot be read.
        """
        return _Reader(channel, newest_root(channel, last_root)).published()


def newest_root(channel: Channel, last: int | None = None) -> Metadata[Root]:
    """Returns the newest root, or the one with number `last`, after following all from the first one on.

    Raises:
        AbsentError: there is no first one.
        TamperedError: one does not follow.
    """
    root = _verified_root(channel, 1, None)
    while root.signed.version != last:
        try:
            root = _verified_root(channel, root.signed.version + 1, root.signed)
        except AbsentError:
            break
    return root


def _verified_root(channel: Channel, version: int, before: Root | None) -> Metadata[Root]:
    name = file_name(ROOT_ROLE, version)
    found = parse(Root, read_whole(channel, name, LARGEST_METADATA), name)
    if found.signed.version != version:
        raise _changed(name)
    for delegator in filter(None, (before, found.signed)):
        _verify(delegator, ROOT_ROLE, found, name)
    return found


class _Reader:
    def __init__(self, channel: Channel, root: Metadata[Root]) -> None:
        self._channel, self._root = channel, root
        self._timestamp = self._read_timestamp()
        named = self._timestamp.signed.snapshot_meta
        self._snapshot = self._listed(Snapshot, SNAPSHOT_ROLE, named, self._root.signed)
        self._targets = self._role(TARGETS_ROLE, self._root.signed)

    def published(self) -> Published:
        delegations = self._targets.signed.delegations
        names = list(delegations.roles or ()) if delegations else []
        roles = {name: self._role(name, self._targets.signed) for name in names}
        documents = {
            name: data for each in (self._targets, *roles.values()) for name, data in self._read(each)
        }
        return Published(self._root, self._targets, self._snapshot, self._timestamp, roles, documents)

    def _read_timestamp(self) -> Metadata[Timestamp]:
        data = read_whole(self._channel, TIMESTAMP_NAME, LARGEST_METADATA)
        found = parse(Timestamp, data, TIMESTAMP_NAME)
        _verify(self._root.signed, TIMESTAMP_ROLE, found, TIMESTAMP_NAME)
        return found

    def _role(self, role: str, delegator: Root | Targets) -> Metadata[Targets]:
        named = self._snapshot.signed.meta.get(f"{role}.json")
        if named is None:
            raise TamperedError(f"the snapshot does not name the role {role}")
        return self._listed(Targets, role, named, delegator)

    def _listed(
        self, kind: type[Document], role: str, named: MetaFile, delegator: Root | Targets
    ) -> Metadata[Document]:
        name = file_name(role, named.version)
        data = self._file(name)
        _check(named.verify_length_and_hashes, data, name)
        found = parse(kind, data, name)
        if found.signed.version != named.version:
            raise _changed(name)
        _verify(delegator, role, found, name)
        return found

    def _read(self, role: Metadata[Targets]) -> Iterator[tuple[str, bytes]]:
        for name, target in role.signed.targets.items():
            file = target_file_name(name, target.hashes.get("sha256", ""))
            data = self._file(file)
            _check(target.verify_length_and_hashes, data, file)
            yield name, data

    def _file(self, name: str) -> bytes:
        try:
            return read_whole(self._channel, name, LARGEST_METADATA)
        except AbsentError:
            raise TamperedError(f"{self._channel.name}: {name} is missing", hint=_HINT) from None


def _check(check: Callable[[bytes], None], data: bytes, name: str) -> None:
    try:
        check(data)
    except RepositoryError:
        raise _changed(name) from None


def _verify(delegator: Root | Targets, role: str, metadata: Metadata[Any], name: str) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError):
        raise _changed(name) from None


_HINT = "bring the repository back from where it was copied to, then publish again"


def _changed(name: str) -> TamperedError:
    return TamperedError(f"{name} is not what was signed", hint=_HINT)


def listed(data: bytes, name: str) -> TargetFile:
    """Returns how a target with this content is listed."""
    return TargetFile(len(data), {"sha256": hashlib.sha256(data).hexdigest()}, name)
