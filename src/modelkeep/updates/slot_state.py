"""What is known of one slot, and of one try of what is in it."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.device.contents import Installed, Stage
from modelkeep.updates.trial_notes import TrialEnd


@dataclass(frozen=True, slots=True)
class SlotState:
    """What is known of one slot.

    Attributes:
        slot: ``a`` or ``b``.
        installation: the id of what is in it, or None.
        known: what the device's state says of it; None of what was never staged here, or counts no more.
        is_complete: whether all of it has arrived.
    """

    slot: str
    installation: bytes | None
    known: Installed | None
    is_complete: bool

    @property
    def stage(self) -> Stage | None:
        """How far it has come, or None."""
        return None if self.known is None else self.known.stage

    @property
    def waits(self) -> bool:
        """Whether it is staged or on trial."""
        return self.stage in (Stage.STAGED, Stage.TRIAL)

    def is_of(self, bundle: bytes | None) -> bool:
        """Returns whether it is of a bundle, or of any where None is meant."""
        return bundle is None or (self.known is not None and self.known.mark.bundle == bundle)


@dataclass(slots=True)
class Trial:
    """A try that was counted; made by `Slots.begin_trial`.

    Attributes:
        slot: the slot that is tried.
        installation: the id of what is in it.
        known: the release, and who signed it.
        number: how many tries there were, this one included.
        end: what it came to, or None for as long as it runs.
    """

    slot: str
    installation: bytes
    known: Installed
    number: int
    end: TrialEnd | None = None
