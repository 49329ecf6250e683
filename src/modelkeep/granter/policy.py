"""What a granter goes by: whom it believes, how long a lease lasts, and who must prove what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelkeep.posture.judging import Anchors
from modelkeep.posture.policy import Policy
from modelkeep.trust.roots import Roots

EVERY_GROUP = "*"


@dataclass(frozen=True, slots=True)
class Demand:
    """What devices of some groups must prove.

    Attributes:
        groups: which; ``*`` for all.
        policy: what the verdict goes by.
        anchors: whom to believe about hardware.
        renewals: whether a renewal needs a new proof, and not the first grant alone.
    """

    groups: tuple[str, ...]
    policy: Policy
    anchors: Anchors
    renewals: bool

    def is_for(self, group: str) -> bool:
        """Returns whether devices of a group are meant."""
        return bool({group, EVERY_GROUP} & set(self.groups))


@dataclass(frozen=True, slots=True)
class GranterPolicy:
    """What a granter goes by.

    Attributes:
        origin: as whom it asks.
        state: its own folder, with journal and index.
        lease: how long a grant lasts, in seconds.
        firsts: how many first grants are given in a day without a person.
        handovers: how often a device's key is replaced by another within a lease's time without a person.
        roster: the roster's file.
        operators: who signs rosters.
        bundles: what is granted.
        demands: who must prove what; the first one that is for a group counts.
        digest: SHA-256 of the policy's file and of all that it names but roster and bundles, 32 bytes.
    """

    origin: str
    state: Path
    lease: int
    firsts: int
    handovers: int
    roster: Path
    operators: Roots
    bundles: tuple[Path, ...]
    demands: tuple[Demand, ...]
    digest: bytes

    def demand(self, group: str) -> Demand | None:
        """Returns what devices of a group must prove; None for nothing."""
        return next((each for each in self.demands if each.is_for(group)), None)

    @property
    def groups(self) -> frozenset[str]:
        """The groups that have to prove something and are named one by one."""
        return frozenset(group for demand in self.demands for group in demand.groups) - {EVERY_GROUP}

    def is_due(self, begins: int, ends: int, now: int) -> bool:
        """Returns whether a grant is to be renewed: after a third of its time, or where a clock was ahead."""
        return now < begins or now >= begins + (ends - begins) // 3
