"""`modelkeep trust create`, `next`, `roots` and `ticket`: documents that roots sign afterwards."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.output import say
from modelkeep.cli.trust_command import read_envelope, report_document
from modelkeep.errors import UsageError
from modelkeep.manifest import Manifest, check_model_id
from modelkeep.release_order import ReleaseOrder
from modelkeep.storage import write_file
from modelkeep.trust import trust_editing
from modelkeep.trust.certificates import load as load_certificates
from modelkeep.trust.document_report import statements
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.publisher import Who
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.sigstore_identity import read_root
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_report import changes

_BUNDLE_ID = re.compile(r"[0-9a-f]{32}")
_DEVICE = re.compile(r"(?:sha256:)?([0-9a-f]{64})")

Documents = Sequence[Envelope]
Names = tuple[str, ...] | None


def create(arguments: argparse.Namespace) -> None:
    """Makes the first trust file."""
    trust = trust_editing.first(arguments.number, options.moment(arguments.expires))
    _write_trust(arguments, *_with_roots(_changed(trust, arguments), arguments, ()))


def following(arguments: argparse.Namespace) -> None:
    """Makes the next trust file from the last."""
    envelope = read_envelope(arguments.file, Kind.TRUST)
    last = TrustFile.unverified(envelope)
    known = options.known_roots(arguments)
    if known is not None:
        last = TrustFile.from_bytes(envelope.to_bytes(), known)
    trust = trust_editing.following(last, options.optional_moment(arguments.expires))
    for text in arguments.end:
        path, separator, when = text.rpartition("=")
        end = options.moment(when) if separator else int(time.time())
        trust = trust_editing.with_end(trust, _publisher(trust, path if separator else text), end)
    for name in arguments.remove:
        trust = trust_editing.without_publisher(trust, _publisher(trust, name))
    trust = _changed(trust, arguments)
    _check_floors(last, trust, arguments)
    _write_trust(arguments, *_with_roots(trust, arguments, envelope.documents))
    for line in changes(last, trust, _now()):
        say(line)
    if known is None:
        say(f"{arguments.file} was not verified; pass --trust-root to be sure that it is the last one")


def roots(arguments: argparse.Namespace) -> None:
    """Makes a roots document: the first of a chain, or the next one."""
    if arguments.last is None:
        if arguments.remove:
            raise UsageError("the first roots document removes nobody", hint="pass --last")
        document = RootsDocument.first(arguments.root, arguments.threshold or 1)
        documents: Documents = ()
    else:
        last = read_envelope(arguments.last, Kind.ROOTS)
        removed = map(trust_editing.fingerprint_of, arguments.remove)
        before = RootsDocument.from_bytes(last.payload)
        document = before.following(arguments.root, removed, arguments.threshold)
        documents = _brought(last)
    _write(arguments, Envelope(Kind.ROOTS, document.to_bytes(), documents=tuple(documents)))


def ticket(arguments: argparse.Namespace) -> None:
    """Makes a ticket for one device."""
    match = _DEVICE.fullmatch(arguments.device)
    if match is None or not _BUNDLE_ID.fullmatch(arguments.generation):
        raise UsageError(
            "a ticket is for one device and one generation of its state",
            hint="`modelkeep state show` prints both",
        )
    device, generation = bytes.fromhex(match[1]), bytes.fromhex(arguments.generation)
    made = Ticket(device, generation, tuple(_acts(arguments)))
    _write(arguments, Envelope(Kind.TICKET, made.to_bytes()))


def _acts(arguments: argparse.Namespace) -> list[Act]:
    acts: list[Act] = [Void(_bundle_id(text)) for text in arguments.void]
    if arguments.time is not None:
        acts.append(SetTime(options.moment(arguments.time)))
    if arguments.forget_quarantine:
        acts.append(ForgetQuarantine())
    if arguments.adopt is not None:
        acts.append(Adopt(arguments.adopt, tuple(map(_floor, arguments.mark))))
    elif arguments.mark:
        raise UsageError("--mark goes with --adopt: it says which releases are brought back")
    return acts


def _changed(trust: TrustFile, arguments: argparse.Namespace) -> TrustFile:
    trust = _with_publishers(trust, arguments)
    root = None if arguments.sigstore_root is None else read_root(arguments.sigstore_root)
    trust = trust_editing.with_sigstore_root(trust, root)
    trust = trust_editing.with_floors(trust, dict(map(_floor, arguments.floor)))
    trust = trust_editing.with_authorities(trust, map(load_certificates, arguments.time_authority))
    return trust_editing.with_revoked(
        trust,
        keys=map(trust_editing.fingerprint_of, arguments.revoke),
        bundles=map(_bundle_id, arguments.revoke_bundle),
        void=map(_bundle_id, arguments.void),
    )


def _with_publishers(trust: TrustFile, arguments: argparse.Namespace) -> TrustFile:
    times = options.optional_moment(arguments.not_before), options.optional_moment(arguments.not_after)
    families = None if arguments.families is None else tuple(arguments.families.split(","))
    limits = (families, *times)
    publishers = [*_named(arguments.publisher, public_key.load), *_identities(arguments)]
    if not publishers and any(limit is not None for limit in limits):
        raise UsageError("--families, --not-before and --not-after go with --publisher or --identity")
    for who, names in publishers:
        trust = trust_editing.with_publisher(trust, who, names, *limits)
    return trust


def _named(texts: Sequence[str], read: Callable[[str], Who]) -> Iterator[tuple[Who, Names]]:
    """Yields publishers that are written as WHO or WHO=MODELS."""
    for text in texts:
        name, separator, models = text.rpartition("=")
        yield read(name if separator else text), tuple(models.split(",")) if separator else None


def _identities(arguments: argparse.Namespace) -> Iterator[tuple[Who, Names]]:
    if not arguments.identity:
        if arguments.issuer is not None:
            raise UsageError("--issuer goes with --identity", hint="say whom this issuer vouches for")
        return iter(())
    if arguments.issuer is None:
        raise UsageError("--identity goes with --issuer: the same name by another issuer is somebody else")
    return _named(arguments.identity, lambda name: SigstoreSigner(name, arguments.issuer))


def _publisher(trust: TrustFile, name: str) -> Who:
    """Returns the publisher that is named by an identity of the trust file, or by the file of a key."""
    identities = (each.who for each in trust.publishers if isinstance(each.who, SigstoreSigner))
    named = [each for each in identities if each.identity == name]
    if len(named) > 1:
        raise UsageError(f"several issuers vouch for {name}", hint="make the next file in Python")
    return named[0] if named else public_key.load(name)


def _check_floors(last: TrustFile, trust: TrustFile, arguments: argparse.Namespace) -> None:
    missing = trust_editing.missing_floors(last, trust, (model for model, _ in map(_floor, arguments.floor)))
    if not missing:
        return
    models = ", ".join(missing)
    if not arguments.no_floor:
        raise UsageError(
            f"a key no longer signs {models}: older releases by other keys would open again",
            hint="pass --floor with the newest release of each model that devices have, or --no-floor; to "
            "let go of a key that was not stolen, use --end",
        )
    say(f"warning: of {models}, older releases by other keys open again until a newer one is installed")


def _with_roots(
    trust: TrustFile, arguments: argparse.Namespace, documents: Documents
) -> tuple[TrustFile, Documents]:
    if arguments.roots is None:
        return trust, documents
    envelope = read_envelope(arguments.roots, Kind.ROOTS)
    brought = _brought(envelope)
    # Devices refuse a chain that does not hold, so it is not handed on.
    Roots.of_envelope(envelope).following(brought)
    for line in statements(envelope, _now()):
        say(f"signs from now on: {line}")
    return trust_editing.with_roots(trust, RootsName.of(RootsDocument.from_bytes(envelope.payload))), brought


def _brought(envelope: Envelope) -> Documents:
    return (*envelope.documents, envelope.bare())


def _write_trust(arguments: argparse.Namespace, trust: TrustFile, documents: Documents) -> None:
    if _now() > trust.expires:
        raise UsageError("the trust file would have expired already", hint="pass a later --expires")
    data = trust.to_bytes(documents=documents)
    write_file(arguments.output, data, force=arguments.force)
    say(f"trust file {trust.number} written: {arguments.output}; to do: modelkeep trust sign")
    report_document(arguments, arguments.output, Envelope.from_bytes(data))


def _write(arguments: argparse.Namespace, envelope: Envelope) -> None:
    write_file(arguments.output, envelope.to_bytes(), force=arguments.force)
    for line in statements(envelope, _now()):
        say(line)
    say(f"{envelope.kind.words} written: {arguments.output}; to do: modelkeep trust sign")
    report_document(arguments, arguments.output, envelope)


def _floor(text: str) -> tuple[str, ReleaseOrder]:
    # A bundle, or MODEL=EPOCH with the time of sealing after an @.
    model, separator, order = text.partition("=")
    if not separator:
        manifest = _manifest(text)
        return manifest.model, ReleaseOrder(manifest.epoch, manifest.sealed_at)
    epoch, at, sealed_at = order.partition("@")
    if not epoch.isdecimal() or len(epoch) > 16:
        raise UsageError(
            f"not a release: {text!r}", hint="pass a bundle, acme/detector=3, or acme/detector=3@TIME"
        )
    return check_model_id(model), ReleaseOrder(int(epoch), options.moment(sealed_at) if at else 0)


def _bundle_id(text: str) -> bytes:
    return bytes.fromhex(text) if _BUNDLE_ID.fullmatch(text) else _manifest(text).bundle


def _manifest(path: str) -> Manifest:
    with Bundle(path) as bundle:
        return bundle.unverified_manifest()


def _now() -> int:
    return int(time.time())
