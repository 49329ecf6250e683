"""As which device of the roster a key that asks counts, or would count if it proves what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from modelkeep.device.state_place import device_id
from modelkeep.errors import RefusedError
from modelkeep.granter.index import Index
from modelkeep.granter.request import Request
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.posture.judging import claimed_hardware


class Ground(Enum):
    """Why a key counts as a device."""

    ROSTER = "roster"
    HANDOVER = "handover"
    HARDWARE = "hardware"


@dataclass(frozen=True, slots=True)
class Claim:
    """As what a key counts.

    Attributes:
        key: SHA-256 of the public key that asks.
        listed: the device of the roster.
        ground: why; anything but the roster is still to be proven.
        old: the key that it would replace, likewise; empty for none.
    """

    key: bytes
    listed: RosterDevice
    ground: Ground = Ground.ROSTER
    old: bytes = b""

    def named(self, recipient: HpkeRecipient) -> HpkeRecipient:
        """Returns the key that asks under the name that operators gave it, whatever it calls itself."""
        return recipient.named(self.listed.name)

    @property
    def account(self) -> bytes:
        """Whose questions are counted together: strangers' apart from those of the key on the roster."""
        return self.listed.device + self.ground.value.encode()

    @property
    def earlier(self) -> bytes:
        """The key whose grants count as having been this one's."""
        return self.old or self.key


def claim_of(request: Request, index: Index) -> Claim:
    """Returns as which device a request counts.

    Raises:
        RefusedError: as none.
        MalformedError: its evidence cannot be read.
    """
    key = device_id(request.recipient.public)
    listed = index.standing(key)
    if listed is not None:
        return Claim(key, listed)
    if index.is_replaced(key):
        raise RefusedError("another key has taken the place of this one")
    if request.handover is not None:
        return _by_handover(key, device_id(request.handover.old.public), index)
    return _by_hardware(key, request, index)


def _by_handover(key: bytes, old: bytes, index: Index) -> Claim:
    listed = index.standing(old)
    if listed is None:
        raise RefusedError("the key that is to be replaced is on no roster, or was replaced before")
    if not index.leases(old):
        raise RefusedError("the key that is to be replaced was never granted anything")
    return Claim(key, listed, Ground.HANDOVER, old)


def _by_hardware(key: bytes, request: Request, index: Index) -> Claim:
    hardware = "" if request.evidence is None else claimed_hardware(request.evidence)
    listed = index.with_hardware(hardware) if hardware else None
    if listed is None:
        raise RefusedError("on no roster")
    return Claim(key, listed, Ground.HARDWARE, index.holder(listed.device))
