"""`modelkeep trust`: create, continue, sign and show trust files."""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from pathlib import Path

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.options.trust import YES
from modelkeep.cli.output import print_json, say, show
from modelkeep.errors import UsageError
from modelkeep.storage import read_small, refuse_overwrite, write_file
from modelkeep.trust import trust_editing
from modelkeep.trust.envelope import LARGEST_FILE, Envelope
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.signers import open_signer
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_report import TrustReport, changes, statements

_BUNDLE_ID = re.compile(r"[0-9a-f]{32}")


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    actions = {"create": _create, "next": _next, "sign": _sign, "show": _show}
    actions[arguments.action](arguments)


def _create(arguments: argparse.Namespace) -> None:
    trust = trust_editing.first(arguments.number, options.moment(arguments.expires))
    _write(arguments, _changed(trust, arguments))


def _next(arguments: argparse.Namespace) -> None:
    data = _read(arguments.file)
    last = _verified(arguments, data) if arguments.trust_root else _unverified(data)
    trust = trust_editing.following(last, options.optional_moment(arguments.expires))
    for text in arguments.end:
        path, separator, when = text.rpartition("=")
        end = options.moment(when) if separator else int(time.time())
        trust = trust_editing.with_end(trust, public_key.load(path if separator else text), end)
    trust = _changed(trust, arguments)
    _write(arguments, trust)
    for line in changes(last, trust, _now()):
        say(line)
    if not arguments.trust_root:
        say(f"{arguments.file} was not verified; pass --trust-root to be sure that it is the last one")


def _changed(trust: TrustFile, arguments: argparse.Namespace) -> TrustFile:
    times = options.optional_moment(arguments.not_before), options.optional_moment(arguments.not_after)
    families = None if arguments.families is None else tuple(arguments.families.split(","))
    limits = (families, *times)
    if not arguments.publisher and any(limit is not None for limit in limits):
        raise UsageError("--families, --not-before and --not-after go with --publisher")
    for text in arguments.publisher:
        path, separator, models = text.rpartition("=")
        key = public_key.load(path if separator else text)
        names = tuple(models.split(",")) if separator else None
        trust = trust_editing.with_publisher(trust, key, names, *limits)
    return trust_editing.with_revoked(
        trust,
        keys=map(trust_editing.fingerprint_of, arguments.revoke),
        bundles=map(_bundle_id, arguments.revoke_bundle),
    )


def _write(arguments: argparse.Namespace, trust: TrustFile) -> None:
    if _now() > trust.expires:
        raise UsageError("the trust file would have expired already", hint="pass a later --expires")
    write_file(arguments.output, trust.to_bytes(), force=arguments.force)
    say(f"trust file {trust.number} written: {arguments.output}; to do: modelkeep trust sign")


def _sign(arguments: argparse.Namespace) -> None:
    data = _read(arguments.file)
    envelope = Envelope.from_bytes(data)
    # Read once: what is compared with is what the key has to have signed.
    since = None if arguments.since is None else Envelope.from_bytes(_read(arguments.since))
    for line in _about(envelope, since):
        say(line)
    _check_agreed(arguments.yes, envelope)
    if arguments.output is not None:
        refuse_overwrite(Path(arguments.output), force=arguments.force)
    for signer in _signers(arguments):
        name = public_key.fingerprint(signer.public_key)
        if since is not None:
            _check_signed(since, arguments.since, name, signer)
        signed = envelope.signed(signer)
        say(f"{'signed already by' if signed is envelope else 'signed by'} sha256:{name}")
        envelope = signed
    target = arguments.output or arguments.file
    if _read(arguments.file) != data:
        raise UsageError(f"{arguments.file}: was changed meanwhile", hint="look at it again, then sign it")
    # The file itself takes the signature: it says what it said before, and lacks none that it had.
    write_file(target, envelope.to_bytes(), force=arguments.force or arguments.output is None)
    say(f"written: {target}")


def _check_agreed(yes: str | None, envelope: Envelope) -> None:
    digest = hashlib.sha256(envelope.payload).hexdigest()
    if yes in (YES, digest):
        return
    if yes is None:
        raise UsageError(
            "nothing was signed",
            hint=f"look at what is shown above, and pass --yes {digest} to sign just that",
        )
    raise UsageError(f"the file says something else than what was agreed to: sha256:{digest}")


def _check_signed(since: Envelope, path: str, name: str, signer: BundleSigner) -> None:
    # What both files say was not shown, so it has to be known from another signature of this key.
    if not since.signed_by({name: signer.public_key}):
        raise UsageError(
            f"{path} was not signed with this key, so what it says does not count as seen",
            hint="leave --since out, and look at the whole file",
        )


def _about(envelope: Envelope, since: Envelope | None) -> list[str]:
    trust = TrustFile.unverified(envelope)
    if since is None:
        return statements(trust, _now())
    return changes(TrustFile.unverified(since), trust, _now())


def _signers(arguments: argparse.Namespace) -> list[BundleSigner]:
    passphrase = options.passphrase(arguments)
    if passphrase is not None and len(arguments.signer) > 1:
        raise UsageError("a passphrase goes with one key", hint="sign with one after the other")
    return [open_signer(uri, passphrase=passphrase) for uri in arguments.signer]


def _show(arguments: argparse.Namespace) -> None:
    data = _read(arguments.file)
    envelope = Envelope.from_bytes(data)
    roots = {path: public_key.load(path) for path in arguments.trust_root}
    report = TrustReport.of(envelope, roots, arguments.trust_threshold)
    since = None
    if arguments.since is not None:
        since = _about(envelope, Envelope.from_bytes(_read(arguments.since)))
    if arguments.json:
        print_json(report.facts(_now()) | ({} if since is None else {"changes": since}))
    else:
        for line in report.lines(_now()) if since is None else since:
            show(line)
    if not roots:
        say("nothing above was verified; --trust-root does that")
        return
    trust = _verified(arguments, data, minimum=arguments.minimum_trust_number)
    trust.check_time(_now())
    say(f"ok: trust file {trust.number}")


def _verified(arguments: argparse.Namespace, data: bytes, *, minimum: int = 0) -> TrustFile:
    return TrustFile.from_bytes(data, arguments.trust_root, arguments.trust_threshold, minimum=minimum)


def _unverified(data: bytes) -> TrustFile:
    return TrustFile.unverified(Envelope.from_bytes(data))


def _read(path: str) -> bytes:
    return read_small(path, LARGEST_FILE, "a trust file")


def _bundle_id(text: str) -> bytes:
    if _BUNDLE_ID.fullmatch(text):
        return bytes.fromhex(text)
    with Bundle(text) as bundle:
        return bundle.unverified_manifest().bundle


def _now() -> int:
    return int(time.time())
