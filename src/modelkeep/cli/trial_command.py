"""`modelkeep trial`: try what waits in a slot, and let it count if it passes."""

from __future__ import annotations

import argparse
import logging

from modelkeep.bundle.access import Access
from modelkeep.cli import objects as options
from modelkeep.cli.output import print_json, say
from modelkeep.errors import RefusedError, UnavailableError
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial import TrialResult, try_out
from modelkeep.updates.trial_notes import TrialEnd

_FAULTS = (TrialEnd.REFUSED, TrialEnd.WITHDRAWN)


def run(arguments: argparse.Namespace) -> None:
    """Tries, again where the model's process crashed, and says what it came to."""
    # Said below, once.
    logging.getLogger("modelkeep.updates").addHandler(logging.NullHandler())
    posture = options.posture(arguments)
    with Access(arguments.key, options.verifier(arguments), posture=posture) as access:
        slots = Slots.open(arguments.bundle, access)
        result = _try_out(arguments, slots, again=arguments.again)
        while result is not None and result.verdict.end is TrialEnd.CRASHED:
            say(f"{result}")
            result = _try_out(arguments, slots)
        _tell(result, slots)
    if arguments.json:
        print_json(_facts(result))


def _tell(result: TrialResult | None, slots: Slots) -> None:
    if result is None:
        _tell_nothing(slots)
    elif result.verdict.end is TrialEnd.PASSED:
        say(f"{result}; it counts now")
    else:
        raise (RefusedError if result.verdict.end in _FAULTS else UnavailableError)(str(result))


def _tell_nothing(slots: Slots) -> None:
    if slots.primary() is None:
        raise UnavailableError(
            "nothing waits for a trial there, and nothing counts",
            hint=f"modelkeep install BUNDLE -o {slots.folder.path}",
        )
    say("nothing waits for a trial there: what counts goes on counting")


def _try_out(arguments: argparse.Namespace, slots: Slots, *, again: bool = False) -> TrialResult | None:
    isolation = options.isolation(arguments)
    return try_out(slots, isolation=isolation, runtime=arguments.runtime, again=again)


def _facts(result: TrialResult | None) -> dict[str, object]:
    if result is None:
        return {"end": None}
    return {
        "end": result.verdict.end.value,
        "epoch": result.release.epoch,
        "model": result.model,
        "reason": result.verdict.reason,
        "slot": result.slot,
        "try": result.number,
    }
