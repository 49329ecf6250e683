"""A trial: a release that was installed is opened and run as it would be for use, before it counts.

Source: spec/update-v1.md, "Trials", and spec/golden-v1.md, section 3.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from modelkeep.bundle.access import Access, unlock
from modelkeep.device.contents import Stage
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    PostureError,
    RefusedError,
    RuntimeCrashedError,
    StorageError,
    TamperedError,
    UnavailableError,
    UnsupportedVersionError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.isolated_loading import Isolation
from modelkeep.opening import session_of
from modelkeep.release_order import ReleaseOrder
from modelkeep.updates.golden_trial import golden_of, problems
from modelkeep.updates.slot_state import Trial
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_notes import TrialEnd

_LOG = logging.getLogger("modelkeep.updates")
_MOST_PROBLEMS = 3

# What an error says of the release while it is opened, loaded and run; the first that fits.
_OPENING: tuple[tuple[type[Exception], TrialEnd], ...] = (
    (UnsupportedVersionError, TrialEnd.POSTPONED),
    (TamperedError, TrialEnd.DAMAGED),
    (MalformedError, TrialEnd.DAMAGED),
    (StorageError, TrialEnd.DAMAGED),
    (ExpiredError, TrialEnd.POSTPONED),
    (PostureError, TrialEnd.POSTPONED),
    (RefusedError, TrialEnd.WITHDRAWN),
    (Exception, TrialEnd.POSTPONED),
)
_RUNNING: tuple[tuple[type[Exception], TrialEnd], ...] = (
    (UnsupportedVersionError, TrialEnd.POSTPONED),
    (TamperedError, TrialEnd.DAMAGED),
    (StorageError, TrialEnd.DAMAGED),
    (RuntimeCrashedError, TrialEnd.CRASHED),
    (MemoryError, TrialEnd.CRASHED),
    (UnavailableError, TrialEnd.POSTPONED),
    (Exception, TrialEnd.REFUSED),
)
# A runtime or option that this call got wrong is not the release's fault.
_LOADING = ((UsageError, TrialEnd.POSTPONED), *_RUNNING)
# Says who asks, and nothing of the release: a slip in an option must not cost a download.
_MISTAKEN = (UntrustedSignerError, WrongModelError)


class Verdict(NamedTuple):
    """What a try came to.

    Attributes:
        end: in a word.
        reason: why, for people; of one that passed, what it was held against.
    """

    end: TrialEnd
    reason: str


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A try, and what it came to.

    Attributes:
        model: the model's id.
        release: which release of it.
        slot: where it is, or was.
        number: how many tries there were, this one included.
        verdict: what it came to; one that `PASSED` counts now.
    """

    model: str
    release: ReleaseOrder
    slot: str
    number: int
    verdict: Verdict

    def __str__(self) -> str:
        what = f"{self.model} {self.release.epoch} in slot {self.slot}"
        return f"try {self.number} of {what}: {self.verdict.end.value}: {self.verdict.reason}"


def try_out(
    slots: Slots,
    *,
    isolation: Isolation = "in-process",
    runtime: str | None = None,
    options: Mapping[str, Any] | None = None,
    again: bool = False,
) -> TrialResult | None:
    """Tries what waits in a slot, and lets it count if it passes; what counts until then is left alone.

    The try is counted before anything of the release is loaded: one that ends this process is found by the
    next call.

    Args:
        slots: where it waits.
        isolation: see `open_session`; a model in a process of its own ends that one alone.
        runtime: name of the adapter, where a format has several.
        options: passed on to the runtime's adapter.
        again: begin to count anew what was interrupted, postponed or damaged too often.

    Returns:
        What it came to, or None where nothing waits.

    Raises:
        RefusedError: the tries before crashed too often; the release is in quarantine now.
        UnavailableError: the power failed too often, or it was postponed too often; it waits.
        StorageError: what happened cannot be remembered.
        UntrustedSignerError, WrongModelError: the verifier trusts others, or means another model; it waits.
        KeepError: the release passed, and may not count any more.
    """
    with slots.exclusively():
        if again:
            slots.try_again()
        waiting = slots.staged()
        if waiting is None:
            return None
        trial = _begun(slots, waiting.slot, runtime)
        try:
            verdict = _verdict(slots, trial, isolation, runtime, options or {})
        except BaseException as error:
            # Somebody ends this in an orderly way, for example at the keyboard, or may not judge it.
            reason = str(error) if isinstance(error, KeepError) else "ended from outside"
            slots.end_trial(trial, TrialEnd.POSTPONED, reason, counts=not isinstance(error, _MISTAKEN))
            raise
        slots.end_trial(trial, verdict.end, verdict.reason)
        if verdict.end is TrialEnd.PASSED:
            slots.commit(trial)
    order, number = trial.known.mark.order, trial.number
    result = TrialResult(slots.folder.model, order, trial.slot, number, verdict)
    _LOG.log(logging.INFO if verdict.end is TrialEnd.PASSED else logging.WARNING, "%s", result)
    return result


def _begun(slots: Slots, slot: str, runtime: str | None) -> Trial:
    try:
        return slots.begin_trial(slot, runtime)
    except (RefusedError, UnavailableError) as error:
        _LOG.warning("%s: slot %s is not tried: %s", slots.folder.path, slot, error)
        raise


def _verdict(
    slots: Slots, trial: Trial, isolation: Isolation, runtime: str | None, options: Mapping[str, Any]
) -> Verdict:
    access = slots.access
    trying = Access(access.identity, access.verifier, posture=access.posture, stage=Stage.TRIAL)
    meanings = _OPENING
    try:
        with unlock(slots.folder.file(trial.slot), trying) as bundle:
            meanings = _LOADING
            golden = golden_of(bundle)
            session = session_of(bundle, trying, isolation=isolation, runtime=runtime, options=options)
        meanings = _RUNNING
        with session:
            found = () if golden is None else tuple(islice(problems(session, golden), _MOST_PROBLEMS))
    except _MISTAKEN:
        raise
    except Exception as error:
        return Verdict(next(end for kind, end in meanings if isinstance(error, kind)), str(error))
    if found:
        return Verdict(TrialEnd.REFUSED, "; ".join(found))
    held = "opened" if golden is None else f"golden cases held: {len(golden.golden.cases)}"
    return Verdict(TrialEnd.PASSED, held)
