"""From the last roster to the next: devices come, change and go. Nothing here signs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from modelkeep.errors import UsageError
from modelkeep.granter.roster import Roster
from modelkeep.granter.roster_device import RosterDevice


def with_devices(last: Roster, devices: Iterable[RosterDevice], *, replace: bool = False) -> Roster:
    """Returns the next roster, with some devices besides.

    Args:
        last: the newest roster there is.
        devices: who comes.
        replace: whether they take the place of those that have the same name or key.

    Raises:
        UsageError: a name, key or hardware that another device has.
    """
    coming = list(devices)
    names, keys = {each.name for each in coming}, {each.key for each in coming}
    staying = [each for each in last.devices if not (replace and (each.name in names or each.key in keys))]
    return _next(last, [*staying, *coming])


def without_devices(last: Roster, names: Collection[str]) -> Roster:
    """Returns the next roster, without some devices.

    Raises:
        UsageError: one of them is not in it.
    """
    unknown = set(names) - {device.name for device in last.devices}
    if unknown:
        raise UsageError(f"not in the roster: {min(unknown)}", hint="modelkeep roster show names its devices")
    return _next(last, [device for device in last.devices if device.name not in names])


def with_end(roster: Roster, expires: int) -> Roster:
    """Returns the same roster with another end, in seconds since 1970-01-01 UTC."""
    return Roster.of(roster.head.number, expires, roster.devices)


def _next(last: Roster, devices: list[RosterDevice]) -> Roster:
    head = last.head
    # A draft that nobody has signed is still the same number.
    number = head.number + 1 if last.envelope.signatures else head.number
    return Roster.of(number, head.expires, devices)


def changes(old: Roster, new: Roster) -> list[str]:
    """Returns which devices `new` has otherwise than `old`: ``-`` is gone, ``+`` is new."""
    before, after = (dict.fromkeys(map(words, each.devices)) for each in (old, new))
    gone = [f"- {each}" for each in before if each not in after]
    return gone + [f"+ {each}" for each in after if each not in before]


def words(device: RosterDevice) -> str:
    """Returns a device in one line, for people; no two devices give the same."""
    hardware = f"  {device.hardware}" if device.hardware else ""
    return f"{device.name}  {device.group}  {','.join(device.models)}  {device.key}{hardware}"
