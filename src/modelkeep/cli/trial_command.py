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
        result = _try_out(arguments, slots)
        while result is not None and result.verdict.end is TrialEnd.CRASHED:
            say(f"{result}")
            result = _try_out(arguments, slots)
    _tell(result)
    if arguments.json:
        print_json(_facts(result))


def _tell(result: TrialResult | None) -> None:
    if result is None:
        say("nothing waits for a trial there")
    elif result.verdict.end is TrialEnd.PASSED:
        say(f"{result}; it counts now")
    else:
        raise (RefusedError if result.verdict.end in _FAULTS else UnavailableError)(str(result))


def _try_out(arguments: argparse.Namespace, slots: Slots) -> TrialResult | None:
    return try_out(slots, isolation=options.isolation(arguments), runtime=arguments.runtime)


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
