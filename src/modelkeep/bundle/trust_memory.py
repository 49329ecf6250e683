"""Trust files that this device has seen: an older one that is put back is refused.

Source: spec/trust-v1.md, "Numbers".
"""

from __future__ import annotations

import errno

from modelkeep.errors import StorageError, UsageError
from modelkeep.keys.device_state import DeviceState, SeenTrust, older_trust
from modelkeep.keys.identity import Identity


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
        if not _is_read_only(error):
            raise


def see_trust_as(identity: Identity, seen: SeenTrust | None) -> None:
    """Does the same with the state of `identity`, if it has one; opening a bundle does not begin one.

    Raises:
        RollbackError, StorageError, TamperedError, KeyStoreError: as for `see_trust`.
    """
    if seen is None or not _has_state(identity):
        return
    local = identity.local_key()
    try:
        see_trust(DeviceState(identity.state_path, local, identity.counter()), seen)
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
    return path.exists() or (counter is not None and counter.value() is not None)


def _is_newer(state: DeviceState, seen: SeenTrust) -> bool:
    known = state.trust_number(seen.roots)
    if seen.number < known:
        raise older_trust(seen, known)
    return seen.number > known


def _is_read_only(error: StorageError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS
