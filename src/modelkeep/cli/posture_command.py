"""`modelkeep posture`: what this device finds out about itself; questions to devices, and verdicts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from modelkeep.cli.options.posture import ONLY_DEVICE
from modelkeep.cli.output import print_json, report, say, show
from modelkeep.errors import UsageError
from modelkeep.keys.tpm2 import approval_file
from modelkeep.keys.tpm2.policy import DEFAULT_PCRS, device_key_digest
from modelkeep.keys.tpm2.policy import Policy as KeyPolicy
from modelkeep.posture import policy_file
from modelkeep.posture.android.revocations import LARGEST_LIST, Revocations
from modelkeep.posture.challenge import Asked
from modelkeep.posture.evidence import LARGEST_EVIDENCE, Evidence
from modelkeep.posture.finding import Finding, words
from modelkeep.posture.judging import Anchors, ask, judge
from modelkeep.posture.policy import Policy, UnsafeNoPolicy
from modelkeep.posture.verdict import Verdict, finding_json
from modelkeep.probes import android
from modelkeep.probes.local import local_findings
from modelkeep.public_key import load
from modelkeep.storage import read_as, read_small, write_file
from modelkeep.trust.certificates import load as load_certificates

_LARGEST_KEPT = 65_536


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    actions = {None: _show, "ask": _ask, "judge": _judge, "key-policy": _key_policy}
    actions[arguments.action](arguments)


def _show(arguments: argparse.Namespace) -> None:
    findings = _findings(arguments)
    if arguments.json:
        print_json({"findings": [finding_json(each) for each in findings]})
        return
    _show_findings(findings)
    say("none of this is proof: root makes it say anything; modelkeep keys attest makes evidence")


def _findings(arguments: argparse.Namespace) -> tuple[Finding, ...]:
    if arguments.adb is not None:
        return tuple(android.findings(arguments.adb if arguments.adb != ONLY_DEVICE else None))
    if arguments.verity_root is not None and arguments.model is None:
        raise UsageError("--verity-root is about the device of a model", hint="pass --model FILE")
    model = None if arguments.model is None else Path(arguments.model)
    return local_findings(model=model, root_hash=arguments.verity_root)


def _show_findings(findings: Sequence[Finding]) -> None:
    widest = max((len(each.name) for each in findings), default=0)
    for each in findings:
        value = words(each.value)
        show(f"{each.name:<{widest}}  {each.standing.value:<7}  {value[:64]:<5}  {each.why}".rstrip())


def _ask(arguments: argparse.Namespace) -> None:
    introduction = None
    if arguments.introduction is not None:
        introduction = read_as(arguments.introduction, LARGEST_EVIDENCE, "evidence", Evidence.from_bytes)
    asked = ask(arguments.origin, _now(), introduction, _anchors(arguments.tpm_maker))
    write_file(arguments.keep, asked.to_bytes(), force=arguments.force, mode=0o600)
    write_file(arguments.output, asked.challenge.to_bytes(), force=arguments.force)
    say(f"question written: {arguments.output}; {arguments.keep} is for you alone, and for one answer")
    report(arguments, path=arguments.output, keep=arguments.keep)


def _judge(arguments: argparse.Namespace) -> None:
    document = read_small(arguments.evidence, LARGEST_EVIDENCE, "evidence")
    asked = None
    if arguments.asked is not None:
        asked = read_as(arguments.asked, _LARGEST_KEPT, "what was kept", Asked.from_bytes)
    anchors = _anchors(arguments.tpm_maker, arguments.revocations)
    verdict = judge(document, asked, anchors, _policy(arguments), _now())
    if arguments.json:
        print_json(verdict.to_json())
    else:
        _show_verdict(verdict)
    verdict.require()


def _show_verdict(verdict: Verdict) -> None:
    show(f"key       {verdict.device_key.hex() or 'unreadable'}")
    show(f"hardware  {verdict.hardware or 'not proven'}")
    _show_findings(verdict.findings)
    if verdict.accepted:
        say("accepted")


def _policy(arguments: argparse.Namespace) -> Policy:
    if arguments.unsafe_no_policy:
        return UnsafeNoPolicy()
    return read_as(arguments.policy, policy_file.LARGEST_FILE, "a policy", policy_file.parse)


def _key_policy(arguments: argparse.Namespace) -> None:
    values = {} if arguments.values is None else approval_file.values_from_file(arguments.values)
    authority = None if arguments.authority is None else load(arguments.authority)
    # Which PCRs an authority approves is its affair: the key's policy names the authority only.
    policy = KeyPolicy(tuple(values) or DEFAULT_PCRS, authority, arguments.passphrase)
    digest = device_key_digest(policy.digest(values)).hex()
    if arguments.json:
        report(arguments, policy=digest)
        return
    show(digest)


def _anchors(makers: Sequence[str], revocations: str | None = None) -> Anchors:
    roots = tuple(root for maker in makers for root in load_certificates(maker))
    if revocations is None:
        return Anchors(roots)
    listed = read_as(revocations, LARGEST_LIST, "a revocation list", Revocations.parse)
    return Anchors(roots, revocations=listed)


def _now() -> int:
    return int(time.time())
