"""`modelkeep update`: take from a repository what is this device's own, try it, and let it count."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from pathlib import Path

from modelkeep.cli import objects as options
from modelkeep.cli.output import report, say
from modelkeep.cli.sources import channel
from modelkeep.errors import RefusedError, UnavailableError, UsageError
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.client.notes import Outcome
from modelkeep.updates.client.priority import run_behind_others
from modelkeep.updates.client.report import UpdateReport
from modelkeep.updates.client.schedule import HOUR, Schedule, Window
from modelkeep.updates.client.service import Service
from modelkeep.updates.client.trust_place import TrustPlace
from modelkeep.updates.client.updater import Updater


def run(arguments: argparse.Namespace) -> None:
    """Updates once, or goes on until it is told to end."""
    _refuse_mixture(arguments)
    # What the slots say is not authentic.
    options.demand_model(arguments)
    with _updater(arguments) as updater:
        if arguments.daemon:
            _serve(arguments, updater)
            return
        # Said below, once.
        logging.getLogger("modelkeep.updates").addHandler(logging.NullHandler())
        found = updater.check() if arguments.check else updater.update(trial=not arguments.no_trial)
    report(arguments, **_facts(arguments, found))
    _tell(found)


def _refuse_mixture(arguments: argparse.Namespace) -> None:
    of_service = arguments.interval is not None or arguments.window or arguments.status
    if of_service and not arguments.daemon:
        raise UsageError("--interval, --window and --status are for a service", hint="pass --daemon as well")
    if arguments.daemon and (arguments.check or arguments.no_trial or arguments.json):
        raise UsageError("a service fetches, tries and goes on", hint="leave --check, --no-trial, --json out")


def _updater(arguments: argparse.Namespace) -> Updater:
    verifier = options.verifier(arguments)
    if not isinstance(verifier, Verifier):
        raise UsageError("what nobody signed is never installed", hint="pass -t")
    return Updater(
        arguments.bundle,
        channel(arguments),
        arguments.root,
        identity=arguments.key,
        verifier=verifier,
        trust=_trust(arguments),
        posture=options.posture(arguments),
        offline=arguments.offline,
        isolation=options.isolation(arguments),
        runtime=arguments.runtime,
    )


def _trust(arguments: argparse.Namespace) -> TrustPlace | None:
    if not arguments.trust_root:
        return None
    return TrustPlace(Path(arguments.trust[0]), lambda data: options.verifier_by(arguments, data))


def _serve(arguments: argparse.Namespace, updater: Updater) -> None:
    schedule = Schedule(updater.device, HOUR if arguments.interval is None else arguments.interval)
    window = None if arguments.window is None else Window.parse(arguments.window)
    status = None if arguments.status is None else Path(arguments.status)
    _log_to_terminal()
    run_behind_others()
    try:
        Service(updater, schedule, window, status).run(threading.Event())
    except (KeyboardInterrupt, SystemExit):
        # Told to end: whatever was under way goes on from there at the next start.
        say("ended; nothing was left half done")
        sys.exit(0)


def _log_to_terminal() -> None:
    log = logging.getLogger("modelkeep.updates")
    log.setLevel(logging.INFO)
    log.addHandler(_Lines())


class _Lines(logging.Handler):
    """A line for each thing that happens, where the words of commands are."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _tell(found: UpdateReport) -> None:
    if found.outcome is Outcome.RETURNED:
        raise RefusedError(f"{found}")
    if found.outcome is Outcome.NOT_TRIED and found.trial is not None:
        raise UnavailableError(f"{found}")
    say(f"{found}")


def _facts(arguments: argparse.Namespace, found: UpdateReport) -> dict[str, object]:
    return {
        "path": arguments.bundle,
        "source": arguments.repository,
        "model": found.model,
        "outcome": found.outcome.value,
        "reason": found.reason,
        "bundle": None if found.bundle is None else found.bundle.hex(),
        "epoch": None if found.release is None else found.release.epoch,
        "sealed_at": None if found.release is None else found.release.sealed_at,
        "fetched": 0 if found.installed is None else found.installed.fetched,
        "ends": found.ends,
    }
