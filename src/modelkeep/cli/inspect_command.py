"""`modelkeep inspect`: what a bundle says of itself; with a key, also what its model takes."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

from modelkeep.bundle.access import Access, grants_of, unlock
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli.contract_words import entries_in_words, entry_to_json
from modelkeep.cli.output import human_size, print_json, say, show
from modelkeep.container import names
from modelkeep.grants.grant import Grant
from modelkeep.inner_manifest import Entry
from modelkeep.trust import certificates, oms
from modelkeep.trust.verifier import UnsafeUnsigned


def run(arguments: argparse.Namespace) -> None:
    """Prints what is public, and with a key what the model takes."""
    with Bundle(arguments.bundle) as bundle:
        facts = _facts(bundle)
    entries = () if arguments.key is None else _entries(arguments)
    if arguments.json:
        inside = {} if arguments.key is None else {"entries": [entry_to_json(entry) for entry in entries]}
        print_json(facts | inside)
        return
    for name, value in facts.items():
        if name != "grants":
            show(f"{name:12} {_text(name, value)}")
    for grant in facts["grants"]:
        show(f"{'grant':12} {_words(grant)}")
    for line in entries_in_words(entries):
        show(line)
    say("nothing above was verified; `modelkeep verify` does that")


def _entries(arguments: argparse.Namespace) -> tuple[Entry, ...]:
    access = Access(arguments.key, UnsafeUnsigned(), arguments.grant)
    with access, unlock(arguments.bundle, access) as unlocked:
        return unlocked.inner_manifest().entries


def _facts(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.unverified_manifest()
    size = sum(member.size for member in manifest.members)
    return {
        "model": manifest.model,
        "release": manifest.release,
        "family": manifest.family,
        "epoch": manifest.epoch,
        "sealed": _time(manifest.sealed_at),
        "bundle": manifest.bundle.hex(),
        "suite": manifest.suite.name,
        "leaf": manifest.leaf_algorithm.value,
        "digest": manifest.coverage.value,
        "members": len(manifest.members),
        "size": size,
        "signer": _signer(bundle),
        "grants": [_grant(grant) for grant in grants_of(bundle)],
    }


def _signer(bundle: Bundle) -> str:
    if names.SIGNATURE not in bundle.sizes:
        return "nobody: not signed"
    signature = oms.parse(bundle.read(names.SIGNATURE))
    if signature.certificates:
        return f"certificate {certificates.name_of(signature.certificates[0])}"
    return f"key sha256:{signature.hint}"


def _grant(grant: Grant) -> dict[str, Any]:
    header = grant.header
    return {
        "type": header.type,
        "key_id": header.key_id.hex(),
        "constraints": header.constraints.to_json(),
    }


def _text(name: str, value: Any) -> str:
    return human_size(value) if name == "size" else str(value)


def _words(grant: dict[str, Any]) -> str:
    limits = [
        f"{name} {_time(value) if name.startswith('not_') else value}"
        for name, value in grant["constraints"].items()
    ]
    return "  ".join([grant["type"], grant["key_id"][:16], *limits])


def _time(seconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"
