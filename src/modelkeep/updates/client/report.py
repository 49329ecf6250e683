"""What an update came to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelkeep.release_order import ReleaseOrder
from modelkeep.updates.client.decision import Decision
from modelkeep.updates.client.listing import Listing
from modelkeep.updates.client.notes import Outcome
from modelkeep.updates.installation import InstallReport
from modelkeep.updates.trial import TrialResult
from modelkeep.updates.trial_notes import TrialEnd

_OUTCOMES = {
    TrialEnd.PASSED: Outcome.UPDATED,
    TrialEnd.POSTPONED: Outcome.NOT_TRIED,
    TrialEnd.INTERRUPTED: Outcome.NOT_TRIED,
}


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update came to.

    Attributes:
        model: the model's id.
        outcome: in a word.
        reason: why, for people.
        release: the release that was to be taken, or None.
        bundle: its bundle, 16 bytes, or None.
        installed: what was fetched, or None where nothing was.
        trial: the last try of it, or None.
        requests: how many times the repository was asked, but for bundles and grants.
        ends: when what the repository says ends, in seconds since 1970-01-01 UTC.
        interval: how many seconds later it wants to be asked again, or None.
    """

    model: str
    outcome: Outcome
    reason: str
    release: ReleaseOrder | None
    bundle: bytes | None
    requests: int
    ends: int
    interval: int | None = None
    installed: InstallReport | None = None
    trial: TrialResult | None = None

    def __str__(self) -> str:
        return f"{self.model}: {self.outcome.value}: {self.reason}"

    @staticmethod
    def of(model: str, listing: Listing, decision: Decision) -> UpdateReport:
        """Returns the report of a decision, before anything is done about it."""
        taken = decision.take
        return UpdateReport(
            model,
            decision.outcome,
            decision.reason,
            None if taken is None else taken.order,
            None if taken is None else taken.bundle,
            listing.requests,
            listing.ends,
            listing.interval,
        )

    def tried(self, installed: InstallReport | None, trial: TrialResult | None) -> UpdateReport:
        """Returns the report after a release was fetched and, where there was anything to try, tried."""
        if trial is None:
            return replace(self, installed=installed)
        outcome = _OUTCOMES.get(trial.verdict.end, Outcome.RETURNED)
        return replace(self, outcome=outcome, reason=str(trial), installed=installed, trial=trial)
