"""`modelkeep inspect`: what a bundle says of itself; with a key, also what its model takes."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from modelkeep import public_key
from modelkeep.bundle.access import Access, grants_of, unlock
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.install_record import InstallRecord
from modelkeep.bundle.installation import Installation, is_installation
from modelkeep.bundle.lease import in_force, read_lease
from modelkeep.bundle.slot_folder import SLOTS, SlotFolder
from modelkeep.cli.contract_words import entries_in_words, entry_to_json
from modelkeep.cli.output import counted, human_size, print_json, say, show, time_of
from modelkeep.container import names
from modelkeep.container.files import Files
from modelkeep.errors import UsageError
from modelkeep.grants.grant import Grant, issuer_key
from modelkeep.inner_manifest import Entry
from modelkeep.manifest import Manifest
from modelkeep.trust import oms
from modelkeep.trust.unsigned import UnsafeUnsigned

_MOST_GRANTS = 12
# Said where there is one.
_OPTIONAL = ("release", "family", "upstream")


def run(arguments: argparse.Namespace) -> None:
    """Prints what is public, and with a key what the model takes."""
    with _opened(arguments.bundle) as files:
        facts = _facts(files)
    entries = () if arguments.key is None else _entries(arguments)
    if arguments.json:
        inside = {} if arguments.key is None else {"entries": [entry_to_json(entry) for entry in entries]}
        print_json({"path": arguments.bundle} | facts | inside)
        return
    for name, value in facts.items():
        if value or name not in _OPTIONAL:
            show(f"{name:12} {_text(name, value)}")
    for words in _grant_lines(facts["grants"]):
        show(f"{'grant':12} {words}")
    for line in entries_in_words(entries):
        show(line)
    say("nothing above was verified; `modelkeep verify` does that")


def _entries(arguments: argparse.Namespace) -> tuple[Entry, ...]:
    access = Access(arguments.key, UnsafeUnsigned(), arguments.grant)
    with access, unlock(arguments.bundle, access) as unlocked:
        return unlocked.inner_manifest().entries


def _opened(path: str) -> Bundle | Installation:
    if SlotFolder.is_at(path):
        # Which one counts, the device's state knows; `modelkeep status` says it.
        folder = SlotFolder.read(path)
        there = [slot for slot in SLOTS if folder.installation(slot) is not None]
        if len(there) != 1:
            raise UsageError(
                f"{path}: {counted(len(there), 'slot')} in use",
                hint="name a file, or see modelkeep status",
            )
        return Installation(folder.file(there[0]))
    return Installation(path) if is_installation(path) else Bundle(path)


def _facts(files: Bundle | Installation) -> dict[str, Any]:
    manifest = Manifest.from_bytes(files.read(names.MANIFEST))
    size = sum(member.size for member in manifest.members)
    return {
        "model": manifest.model,
        "release": manifest.release,
        "family": manifest.family,
        "upstream": manifest.upstream or None,
        "epoch": manifest.epoch,
        "sealed_at": manifest.sealed_at,
        "bundle": manifest.bundle.hex(),
        "suite": manifest.suite.name,
        "leaf": manifest.leaf_algorithm.value,
        "digest": manifest.coverage.value,
        "members": len(manifest.members),
        "size": size,
        "signer": signer_of(files),
        "issuers": [public_key.fingerprint(issuer_key(each)) for each in manifest.grant_issuers],
        "grants": [_grant(grant) for grant in grants_of(files)] if isinstance(files, Bundle) else [],
    } | ({} if isinstance(files, Bundle) else _installed(files, manifest))


def _installed(installation: Installation, manifest: Manifest) -> dict[str, Any]:
    record = InstallRecord.from_bytes(installation.read(names.INSTALL))
    header = in_force(record, read_lease(installation.path), manifest).header
    return {
        "installation": header.installation.hex(),
        "device_id": header.device_id,
        "constraints": header.constraints.to_json(),
    }


def signer_of(files: Files) -> str | None:
    """Returns who a bundle says has signed it, which nobody has verified; None where nobody did."""
    if names.SIGNATURE not in files.sizes:
        return None
    signature = oms.parse(files.read(names.SIGNATURE))
    if signature.by_identity:
        return "an identity of Sigstore"
    if signature.certificates:
        from modelkeep.trust.certificates import name_of

        return f"certificate {name_of(signature.certificates[0])}"
    return f"key sha256:{signature.hint}"


def _grant(grant: Grant) -> dict[str, Any]:
    header = grant.header
    return {
        "type": header.type,
        "key_id": header.key_id.hex(),
        "constraints": header.constraints.to_json(),
    }


def _text(name: str, value: Any) -> str:
    match name:
        case "size":
            return human_size(value)
        case "sealed_at":
            return time_of(value)
        case "issuers":
            return ", ".join(f"sha256:{each}" for each in value) or "anybody who may grant"
        case "constraints":
            return ", ".join(_limits({name: value})) or "none"
        case "grants":
            return f"{len(value):,}"
    return "nobody: not signed" if value is None else str(value)


def _grant_lines(grants: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each grant; of many, how many there are on which terms."""
    if len(grants) <= _MOST_GRANTS:
        return ["  ".join([grant["type"], grant["key_id"][:16], *_limits(grant)]) for grant in grants]
    alike = Counter("  ".join([grant["type"], *_limits(grant)]) for grant in grants)
    return [f"{count:,} of {terms}" for terms, count in alike.most_common()]


def _limits(grant: dict[str, Any]) -> list[str]:
    return [
        f"{name} {time_of(value) if name.startswith('not_') else value}"
        for name, value in grant["constraints"].items()
    ]
