"""`modelkeep trust`: sign and show trust files, roots documents and tickets."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from modelkeep import public_key
from modelkeep.cli import objects as options
from modelkeep.cli.agreement import check_agreed, signed, signers
from modelkeep.cli.output import counted, print_json, report, say, show
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.storage import folder_locked, named, read_small, refuse_overwrite, write_file
from modelkeep.trust.document_report import DocumentReport, changes, statements
from modelkeep.trust.envelope import LARGEST_FILE, Envelope, Kind
from modelkeep.trust.roots import Roots
from modelkeep.trust.trust_file import TrustFile


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    if arguments.action in ("sign", "show"):
        {"sign": _sign, "show": _show}[arguments.action](arguments)
        return
    from modelkeep.cli import trust_making

    make = {
        "create": trust_making.create,
        "next": trust_making.following,
        "roots": trust_making.roots,
        "ticket": trust_making.ticket,
    }
    make[arguments.action](arguments)


def read_envelope(path: str, *kinds: Kind) -> Envelope:
    """Returns the document in a file, which nobody has verified.

    Raises:
        StorageError: cannot be read.
        SignatureError, MalformedError: not a document of these kinds.
    """
    return _parsed(path, _read(path), *kinds)


def _parsed(path: str, data: bytes, *kinds: Kind) -> Envelope:
    with named(path):
        return Envelope.from_bytes(data, *kinds)


def _sign(arguments: argparse.Namespace) -> None:
    data = _read(arguments.file)
    envelope = _parsed(arguments.file, data)
    # Read once: what is compared with is what the key has to have signed.
    since = None if arguments.since is None else read_envelope(arguments.since)
    for line in _about(envelope, since):
        say(line)
    check_agreed(arguments.yes, envelope)
    if arguments.output is not None:
        refuse_overwrite(Path(arguments.output), force=arguments.force)
    roots = signers(arguments, Purpose.ROOT)
    for name, signer in roots.items():
        if envelope.kind is Kind.TRUST:
            TrustFile.unverified(envelope).check_root(name)
        envelope = signed(envelope, name, signer, since, arguments.since)
    target = arguments.output or arguments.file
    # Two who sign at the same moment: the later one sees that the file has changed.
    with folder_locked(target):
        if _read(arguments.file) != data:
            raise UsageError(
                f"{arguments.file}: was changed meanwhile", hint="look at it again, then sign it"
            )
        # The file itself takes the signature: it says what it said before, and lacks none that it had.
        write_file(target, envelope.to_bytes(), force=arguments.force or arguments.output is None)
    say(f"written: {target}, {envelope.kind.words}, with {counted(len(envelope.signatures), 'signature')}")
    report_document(arguments, target, envelope, signers=list(roots))


def report_document(arguments: argparse.Namespace, path: str, envelope: Envelope, **more: list[str]) -> None:
    """Prints what a document says for machines, where that was asked for."""
    if arguments.json:
        digest = hashlib.sha256(envelope.payload).hexdigest()
        facts = DocumentReport.of(envelope, {}).facts(_now())
        report(arguments, **facts | {"path": path, "digest": digest} | more)


def _about(envelope: Envelope, since: Envelope | None) -> list[str]:
    return statements(envelope, _now()) if since is None else changes(since, envelope, _now())


def _show(arguments: argparse.Namespace) -> None:
    data = _read(arguments.file)
    envelope = _parsed(arguments.file, data)
    known = options.known_roots(arguments)
    since = None
    if arguments.since is not None:
        since = _about(envelope, read_envelope(arguments.since))
    shown = _shown(arguments, envelope, known)
    if arguments.json:
        if known is not None:
            # Machines are told nothing that does not hold; people see what it is that does not.
            _verify(arguments, envelope, data, known)
        facts = shown.facts(_now()) | {"verified": known is not None}
        print_json({"path": arguments.file} | facts | ({} if since is None else {"changes": since}))
    else:
        for line in shown.lines(_now()) if since is None else since:
            show(line)
    if known is None:
        say("nothing above was verified; --trust-root does that")
        return
    if not arguments.json:
        _verify(arguments, envelope, data, known)


def _shown(arguments: argparse.Namespace, envelope: Envelope, known: Roots | None) -> DocumentReport:
    if known is None:
        return DocumentReport.of(envelope, {})
    if known.newest is not None:
        followed = known.following(envelope.documents)
        return DocumentReport.of(envelope, followed.keys, followed.threshold)
    named = {path: public_key.load(path) for path in arguments.trust_root}
    return DocumentReport.of(envelope, named, known.threshold)


def _verify(arguments: argparse.Namespace, envelope: Envelope, data: bytes, known: Roots) -> None:
    if envelope.kind is Kind.TRUST:
        trust = TrustFile.from_bytes(data, known, minimum=arguments.minimum_trust_number)
        trust.check_time(_now())
        say(f"ok: trust file {trust.number}")
        return
    followed = known.following(_chain(envelope))
    envelope.check_signed(followed.keys, followed.threshold)
    say(f"ok: {envelope.kind.words}")


def _chain(envelope: Envelope) -> Sequence[Envelope]:
    own = (envelope.bare(),) if envelope.kind is Kind.ROOTS else ()
    return (*envelope.documents, *own)


def _read(path: str) -> bytes:
    return read_small(path, LARGEST_FILE, "a trust file")


def _now() -> int:
    return int(time.time())
