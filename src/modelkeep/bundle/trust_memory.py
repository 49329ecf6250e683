"""What a device knows of trust files and of the time: old files and early clocks are refused.

Source: spec/trust-v1.md, "Numbers"; spec/bundle-v1.md, "Opening".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.device.state import DeviceState, SeenTrust, older_trust
from modelkeep.errors import StorageError, UsageError
from modelkeep.keys.identity import Identity
from modelkeep.storage import is_read_only, words_for


def refuse_older_trust(state: DeviceState, seen: SeenTrust | None) -> None:
    """Refuses a trust file that is older than one this device saw.

    Raises:
        RollbackError: it is older, or the device's state is an old one.
        StorageError, TamperedError, KeyStoreError: the state cannot be read.
    """
    if seen is not None:
        _is_newer(state, seen)


def see_trust(state: DeviceState, seen: SeenTrust | None) -> None:
    """Refuses an older trust file, and remembers a newer one.

    Raises:
        RollbackError: it is older, or the device's state is an old one.
        StorageError, TamperedError, KeyStoreError: the state cannot be read or written.
    """
    if seen is None or not _is_newer(state, seen):
        return
    try:
        state.see_trust(seen)
    except StorageError as error:
        # A device that runs from a read-only disk can check, but has nowhere to remember.
        if not is_read_only(error):
            raise


def see_trust_as(identity: Identity, seen: SeenTrust | None) -> None:
    """Does the same with the state of `identity`, if it has one; opening a bundle does not begin one.

    Raises:
        RollbackError, StorageError, TamperedError, KeyStoreError: as for `see_trust`.
    """
    if seen is None:
        return
    with _state_of(identity) as state:
        if state is not None:
            see_trust(state, seen)


def time_floor_of(identity: Identity) -> int:
    """Returns a time (seconds since 1970-01-01 UTC) that the state of `identity` knows to have passed.

    0 without a state.

    Raises:
        RollbackError, StorageError, TamperedError, KeyStoreError: the state cannot be read.
    """
    with _state_of(identity) as state:
        return 0 if state is None else state.time_floor()


@contextmanager
def _state_of(identity: Identity) -> Iterator[DeviceState | None]:
    if not _has_state(identity):
        yield None
        return
    local = identity.local_key()
    try:
        yield DeviceState(identity.state_path, local, identity.counter())
    finally:
        local.close()


def _has_state(identity: Identity) -> bool:
    try:
        path = identity.state_path
    except UsageError:
        # A passphrase belongs to a person.
        return False
    counter = identity.counter()
    # Where something has counted, a state that is missing was taken away.
    return _is_there(path) or (counter is not None and counter.value() is not None)


def _is_there(path: Path) -> bool:
    # A link that leads nowhere is there, as for whoever reads it.
    with words_for(path):
        try:
            path.lstat()
        except FileNotFoundError:
            return False
    return True


def _is_newer(state: DeviceState, seen: SeenTrust) -> bool:
    known = state.trust_number(seen.roots)
    if seen.number < known:
        raise older_trust(seen, known)
    return seen.number > known
