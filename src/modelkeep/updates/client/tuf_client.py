"""python-tuf's client over a channel: what the repository says now, and the steps by which that was verified.

The workflow is that of `tuf.ngclient`. Three things are ours. Files are written only where they change, and
a clock with floors judges. Of a copy on a disk or stick, the ends of timestamp and snapshot are judged
apart. Source: The Update Framework 1.0.34, section 5; spec/update-v1.md, "What a repository says".
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from modelkeep import canonical
from modelkeep.channels.channel import Channel
from modelkeep.device.tuf_roles import TufRole
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    NetworkError,
    RefusedError,
    RollbackError,
    SignatureError,
    StorageError,
    TamperedError,
    UnavailableError,
)
from modelkeep.storage import make_folder, read_small, words_for, write_file

try:
    from tuf.api import exceptions
    from tuf.api.metadata import Root, TargetFile, Targets
    from tuf.api.serialization import DeserializationError
    from tuf.ngclient import Updater
except ImportError as error:
    raise UnavailableError(
        "tuf is not installed, which following a repository takes", hint="pip install 'modelkeep[updates]'"
    ) from error

from modelkeep.updates.client.fetcher import ChannelFetcher
from modelkeep.updates.repository.metadata import LARGEST_METADATA, METADATA, TARGETS, ours, target_file_name

_LONGEST_NAME = 256
_SLASH = quote("/", safe="")
_BEFORE_EVERY_END = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_KINDS: tuple[tuple[type[Exception], type[KeepError]], ...] = (
    (exceptions.ExpiredMetadataError, ExpiredError),
    (exceptions.BadVersionNumberError, RollbackError),
    (exceptions.UnsignedMetadataError, SignatureError),
    (exceptions.LengthOrHashMismatchError, TamperedError),
    (DeserializationError, MalformedError),
    (exceptions.RepositoryError, RefusedError),
    (exceptions.DownloadError, NetworkError),
    (ValueError, MalformedError),
)


class TufClient(Updater):
    """One look at a repository; a new one for every look.

    Args:
        channel: where the repository is.
        folder: what was verified before, and proves nothing: it saves requests.
        first_root: the root that the device was given, as bytes.
        now: seconds since 1970-01-01 UTC, by which metadata ends; None lets nothing end, for copies whose
            ends the caller judges.
        is_flat: whether nobody but root and targets may delegate, as in every repository of ours.

    Raises:
        KeepError: the root is none, or the folder cannot be written.
    """

    def __init__(
        self, channel: Channel, folder: Path, first_root: bytes, now: int | None, *, is_flat: bool = True
    ) -> None:
        self.fetcher, self._is_flat = ChannelFetcher(channel), is_flat
        self._kept, self._used = folder / "targets", set[str]()
        with words_for(folder), in_our_words():
            make_folder(folder)
            _check_own(folder, self._kept, folder / "root_history")
            super().__init__(str(folder), f"{METADATA}/", fetcher=self.fetcher, bootstrap=first_root)
        self._trusted_set.reference_time = _BEFORE_EVERY_END if now is None else _moment(now)

    def refresh(self) -> None:
        """Loads the newest root, timestamp, snapshot and targets, in this order.

        Raises:
            ExpiredError, RollbackError, SignatureError, TamperedError, MalformedError, RefusedError:
                what came is not what the repository's keys say now.
            UnavailableError: the channel gives nothing, or the folder cannot be written.
        """
        with words_for(self._dir), in_our_words():
            super().refresh()

    def target(self, path: str, largest: int) -> bytes | None:
        """Returns a small target, verified; None where the repository lists none of this name.

        Raises:
            TamperedError: it is another one than was listed, or longer than `largest` bytes.
            KeepError: see `refresh`.
        """
        info = self.listed(path)
        return None if info is None else self.fetch(info, largest)

    def listed(self, path: str) -> TargetFile | None:
        """Returns what the repository lists under this name, or None.

        Raises:
            KeepError: see `refresh`.
        """
        with words_for(self._dir), in_our_words():
            return self.get_targetinfo(path)

    def fetch(self, info: TargetFile, largest: int) -> bytes:
        """Returns what is listed.

        Raises:
            KeepError: see `target`.
        """
        if info.length > largest:
            raise TamperedError(f"{info.path}: is listed with {info.length} bytes, more than {largest}")
        kept = self._kept / quote(info.path, safe="")
        self._used.add(kept.name)
        if (data := _verified(kept, info)) is not None:
            return data
        with in_our_words():
            data = self.fetcher.download_bytes(self.place(info), info.length)
            info.verify_length_and_hashes(data)
        with words_for(self._kept):
            make_folder(self._kept)
        write_file(kept, data, force=True, mode=0o600)
        return data

    def forget_others(self) -> None:
        """Removes the targets that were kept and that nobody has asked for this time; nothing else."""
        with words_for(self._kept):
            # Every target has a folder in its name, and so no file of somebody else looks like one.
            for each in self._kept.glob(f"*{_SLASH}*"):
                if each.name not in self._used and each.is_file():
                    each.unlink()

    def place(self, info: TargetFile) -> str:
        """Returns where in the channel what is listed lies."""
        if not self.root.consistent_snapshot:
            return f"{TARGETS}/{info.path}"
        return target_file_name(info.path, next(iter(info.hashes.values())))

    @property
    def root(self) -> Root:
        """The newest root."""
        return self._trusted_set.root

    @property
    def signed_at(self) -> int | None:
        """When the timestamp was signed, in seconds since 1970-01-01 UTC, as its key says; or None.

        Never later than the end of what the offline keys of the root have signed: an online key moves no
        clock further.
        """
        said = self._said("signed_at")
        return None if said is None else min(said, int(self.root.expires.timestamp()))

    @property
    def interval(self) -> int | None:
        """How many seconds later the repository wants to be asked again, as its timestamp says; or None."""
        return self._said("interval")

    def roles(self) -> dict[str, TufRole]:
        """Returns every role that was loaded: its version, and whose it is.

        Raises:
            MalformedError: a version or a name that no device can remember.
        """
        found = {}
        for delegator, name in self._trusted_set._trusted_delegations:
            parent = self._trusted_set[delegator]
            assert isinstance(parent, Root | Targets)
            role = parent.get_delegated_role(name)
            found[_name(name)] = TufRole(
                _version(self._trusted_set[name].version), keys_digest(role.keyids, role.threshold)
            )
        return found

    def ends(self) -> dict[str, int]:
        """Returns when every role that was loaded ends, in seconds since 1970-01-01 UTC."""
        names = {name for _, name in self._trusted_set._trusted_delegations}
        return {name: int(self._trusted_set[name].expires.timestamp()) for name in names}

    def _said(self, member: str) -> int | None:
        """Returns a number that is ours in the timestamp."""
        said = ours(self._trusted_set.timestamp).get(member)
        is_number = isinstance(said, int) and not isinstance(said, bool) and said >= 0
        return said if is_number else None

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        # Whoever stole the key of one role would else make roles without end, which fill disk and state.
        if self._is_flat and parent_role not in (Root.type, Targets.type):
            raise RefusedError(
                f"the repository: {_name(parent_role)} delegates to others, which targets alone may do",
                hint=_hint(RefusedError),
            )
        return super()._load_targets(role, parent_role)

    def _persist_file(self, filename: str, data: bytes) -> None:
        # Whatever is there already is not written again: a look without news wears out no disk.
        with suppress(KeepError):
            if read_small(filename, LARGEST_METADATA, "metadata") == data:
                return
        write_file(filename, data, force=True, mode=0o600)

    def _update_root_symlink(self) -> None:
        link = Path(self._dir, "root.json")
        wanted = Path("root_history", f"{self._trusted_set.root.version}.root.json")
        with suppress(OSError):
            if link.readlink() == wanted:
                return
        super()._update_root_symlink()


def _check_own(*folders: Path) -> None:
    # Whoever can write here could have files elsewhere removed or replaced, the device's state among them.
    for folder in folders:
        if folder.is_symlink():
            raise StorageError(f"{folder}: is a link, and not a folder", hint="remove it, and try again")


def _verified(kept: Path, info: TargetFile) -> bytes | None:
    """Returns what was kept of a target, where it is the one that is listed."""
    try:
        data = read_small(kept, info.length, "a target")
        info.verify_length_and_hashes(data)
    except (KeepError, exceptions.LengthOrHashMismatchError):
        return None
    return data


def keys_digest(key_ids: list[str], threshold: int) -> bytes:
    """Returns what tells the keys of a role from others: 32 bytes."""
    return hashlib.sha256(canonical.encode({"keyids": sorted(key_ids), "threshold": threshold})).digest()


def repository_id(first_root: bytes) -> bytes:
    """Returns what a device knows a repository by: SHA-256 of the root that it was given."""
    return hashlib.sha256(first_root).digest()


@contextmanager
def in_our_words() -> Iterator[None]:
    """Turns what python-tuf raises during a `with` block into errors of this package."""
    try:
        yield
    except tuple(kind for kind, _ in _KINDS) as error:
        ours = next(ours for kind, ours in _KINDS if isinstance(error, kind))
        raise ours(f"the repository: {error}", hint=_hint(ours)) from error


def _hint(kind: type[KeepError]) -> str:
    if kind is NetworkError:
        return "see whether the address is right and its server in order"
    return "nothing was installed; what counts here goes on counting"


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _name(role: str) -> str:
    if len(role) > _LONGEST_NAME or not role.isprintable():
        raise MalformedError("the repository: a role has a name that cannot be remembered")
    return role


def _version(version: int) -> int:
    if version > canonical.LARGEST_INTEGER:
        raise MalformedError(
            f"the repository: version {version} is beyond every number that can be remembered"
        )
    return version
