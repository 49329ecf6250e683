"""What a device remembers, for tests that look at it or at its file."""

from __future__ import annotations

from pathlib import Path

from modelkeep.device.contents import Contents
from modelkeep.device.state import DeviceState
from modelkeep.keys.identity import Identity


def state_of(identity: Identity) -> DeviceState:
    """Returns the state of the device that `identity` belongs to."""
    state = identity.device_state()
    assert state is not None
    return state


def path_of(identity: Identity) -> Path:
    """Returns where that state is."""
    return state_of(identity).path


def remembered(identity: Identity) -> Contents:
    """Returns what it says."""
    with state_of(identity) as state:
        return state.look()
