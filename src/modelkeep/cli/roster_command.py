"""`modelkeep roster`: which devices operators vouch for."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelkeep.cli import objects as options
from modelkeep.cli.agreement import check_agreed, signed, signers
from modelkeep.cli.options.roster import CLAIMED
from modelkeep.cli.output import counted, print_json, report, say, show, time_of
from modelkeep.errors import UsageError
from modelkeep.granter.request import LARGEST_REQUEST, Request
from modelkeep.granter.roster import Roster
from modelkeep.granter.roster_device import DEFAULT_GROUP, RosterDevice
from modelkeep.granter.roster_editing import changes, with_devices, with_end, without_devices, words
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.key_purpose import Purpose
from modelkeep.keys.recipients import load_recipients
from modelkeep.posture.judging import claimed_hardware
from modelkeep.storage import folder_locked, read_as
from modelkeep.trust.roots import Roots


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"add": _add, "remove": _remove, "sign": _sign, "show": _show}[arguments.action](arguments)


def _add(arguments: argparse.Namespace) -> None:
    coming = [_device(arguments, *each) for each in _named(arguments)]
    if not coming:
        raise UsageError("no device was named", hint="pass -r PUB, or --request FILE")
    with folder_locked(arguments.file):
        last = _last(arguments)
        _write_next(arguments, last, with_devices(last, coming, replace=arguments.replace))


def _remove(arguments: argparse.Namespace) -> None:
    with folder_locked(arguments.file):
        last = Roster.read(arguments.file)
        _write_next(arguments, last, without_devices(last, arguments.names))


def _named(arguments: argparse.Namespace) -> Iterable[tuple[HpkeRecipient, Sequence[str], str]]:
    for spec in arguments.recipient:
        for recipient in load_recipients(spec):
            if not isinstance(recipient, HpkeRecipient):
                raise UsageError("a roster names public keys: no fleet: keys and no passphrases")
            yield recipient, (), ""
    for path in arguments.request:
        request = read_as(path, LARGEST_REQUEST, "a request", Request.from_bytes)
        hardware = "" if request.evidence is None else claimed_hardware(request.evidence)
        yield request.recipient, request.models, hardware


def _device(
    arguments: argparse.Namespace, recipient: HpkeRecipient, asked: Sequence[str], claimed: str
) -> RosterDevice:
    models = arguments.model or asked
    if not models:
        raise UsageError("which models may these devices have?", hint="pass --model acme/detector, or '*'")
    hardware = claimed if arguments.hardware == CLAIMED else arguments.hardware or ""
    if arguments.hardware == CLAIMED and not claimed:
        raise UsageError(f"{recipient.device_id}: says of no hardware that it has it")
    return RosterDevice.of(recipient, models, arguments.group or DEFAULT_GROUP, hardware)


def _last(arguments: argparse.Namespace) -> Roster:
    if Path(arguments.file).exists():
        return Roster.read(arguments.file)
    if arguments.expires is None:
        raise UsageError("the first roster needs an end", hint="pass --expires +180d")
    return Roster.of(1, options.moment(arguments.expires), ())


def _write_next(arguments: argparse.Namespace, last: Roster, new: Roster) -> None:
    if arguments.expires is not None:
        new = with_end(new, options.moment(arguments.expires))
    if new.head.expires < time.time():
        raise UsageError("the roster would have expired already", hint="pass a later --expires")
    for line in changes(last, new):
        say(line)
    target = _target(arguments)
    new.write(target, force=arguments.force or arguments.output is None)
    say(f"roster {new.head.number} written: {target}; to do: modelkeep roster sign")
    _report(arguments, target, new)


def _sign(arguments: argparse.Namespace) -> None:
    roster = Roster.read(arguments.file)
    since = None if arguments.since is None else Roster.read(arguments.since)
    for line in _statements(roster, since):
        say(line)
    check_agreed(arguments.yes, roster.envelope)
    envelope = roster.envelope
    operators = signers(arguments, Purpose.OPERATOR)
    for name, signer in operators.items():
        known = None if since is None else since.envelope
        envelope = signed(envelope, name, signer, known, arguments.since)
    target = _target(arguments)
    # Two who sign at the same moment: the later one sees that the file has changed.
    with folder_locked(target):
        if Roster.read(arguments.file) != roster:
            raise UsageError(
                f"{arguments.file}: was changed meanwhile", hint="look at it again, then sign it"
            )
        roster = replace(roster, envelope=envelope)
        roster.write(target, force=arguments.force or arguments.output is None)
    say(f"written: {target}")
    _report(arguments, target, roster, signers=list(operators))


def _show(arguments: argparse.Namespace) -> None:
    roster = Roster.read(arguments.file)
    since = None if arguments.since is None else Roster.read(arguments.since)
    if arguments.json:
        print_json({"path": arguments.file} | _facts(roster))
    else:
        for line in _statements(roster, since):
            show(line)
    if not arguments.operator:
        say("nothing above was verified; --operator does that")
        return
    operators = Roots.of_keys(arguments.operator, arguments.threshold)
    roster.envelope.check_signed(operators.keys, operators.threshold)
    roster.head.check_time(int(time.time()))
    say(f"ok: roster {roster.head.number}")


def _statements(roster: Roster, since: Roster | None) -> list[str]:
    head = roster.head
    first = f"roster {head.number}, {counted(head.devices, 'device')}, until {time_of(head.expires)}"
    if since is None:
        return [first, *map(words, roster.devices)]
    return [first, *_gap(since.head.number, head.number), *changes(since, roster)]


def _gap(since: int, number: int) -> list[str]:
    if since == number - 1:
        return []
    return [f"compared with roster {since}: a device that went after it and is back is not shown"]


def _facts(roster: Roster) -> dict[str, Any]:
    head = roster.head
    return {
        "number": head.number,
        "expires": time_of(head.expires),
        "digest": hashlib.sha256(roster.envelope.payload).hexdigest(),
        "devices": [device.to_json() for device in roster.devices],
        "signatures": [{"key": key} for key, _ in roster.envelope.signatures],
    }


def _report(arguments: argparse.Namespace, path: str, roster: Roster, **more: list[str]) -> None:
    report(arguments, **_facts(roster) | {"path": path} | more)


def _target(arguments: argparse.Namespace) -> str:
    return str(arguments.output or arguments.file)
