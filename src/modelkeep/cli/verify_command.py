"""`modelkeep verify`: check a bundle, or a plain file against its signature."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.installation import UnlockedInstallation, is_installation
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, human_size, print_json, progress, say
from modelkeep.cli.upstream import sigstore
from modelkeep.errors import UsageError
from modelkeep.folder_signature import verify_folder
from modelkeep.manifest import Manifest
from modelkeep.payload.layout import sealed_size
from modelkeep.storage import read_small
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.oms import LARGEST_DOCUMENT

# What each way to check goes by. All else that was typed would count for nothing.
_WHOM = (
    *("trust", "subject", "trust_root", "trust_threshold", "minimum_trust_number"),
    *("second_trust", "time_authority", "unsafe_unsigned"),
)
_WAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "a bundle": (*_WHOM, "model_id", "minimum_epoch", "maximum_age", "require_installed", "key"),
        "--apple": ("apple", "team", "trust", "unsafe_unsigned", "signature"),
        "a signature of Model Signing": (*_WHOM, "signature", "ignore"),
        "--identity": (
            "identity",
            "issuer",
            "sigstore_root",
            "trust",
            "unsafe_unsigned",
            "signature",
            "ignore",
        ),
        "a plain signature": ("trust", "second_trust", "unsafe_unsigned", "signature"),
    }
)
_ALWAYS = ("file", "json", "command")
_UNTYPED = {"trust_threshold": 1, "minimum_trust_number": 0, "minimum_epoch": 0}

_LARGEST_SIGNATURE = 2**16
_LARGEST_PEM = 2**20


def run(arguments: argparse.Namespace) -> None:
    """Checks everything that can be checked without a device's key."""
    way = _way(arguments)
    _refuse_others(arguments, way)
    {"a bundle": _bundle, "--apple": _apple, "a plain signature": _plain_file}.get(way, _folder)(arguments)


def _way(arguments: argparse.Namespace) -> str:
    if arguments.apple:
        return "--apple"
    if arguments.signature is None:
        return "a bundle"
    if arguments.identity:
        return "--identity"
    return "a signature of Model Signing" if _is_model_signature(arguments) else "a plain signature"


def _refuse_others(arguments: argparse.Namespace, way: str) -> None:
    for name, value in vars(arguments).items():
        is_typed = value is not False and value not in (None, []) and value != _UNTYPED.get(name)
        if is_typed and name not in _WAYS[way] + _ALWAYS:
            raise UsageError(
                f"--{name.replace('_', '-')} says nothing about {way}",
                hint="leave it out: it would not count",
            )


def _bundle(arguments: argparse.Namespace) -> None:
    verified = _check(arguments)(arguments.file, options.verifier(arguments))
    manifest = verified.manifest
    size = _sealed_size(manifest)
    options.say_which_model(arguments, manifest.model)
    signer = None if verified.signer is None else str(verified.signer)
    say(
        f"ok: {manifest.model} epoch {manifest.epoch}, {counted(len(manifest.members), 'encrypted file')}, "
        f"{human_size(size)}, signed by {signer or 'nobody'}{_witnessed(verified.signed_at)}"
    )
    if arguments.json:
        print_json(
            {
                "bundle": manifest.bundle.hex(),
                "epoch": manifest.epoch,
                "family": manifest.family,
                "members": len(manifest.members),
                "model": manifest.model,
                "release": manifest.release,
                "path": arguments.file,
                "sealed_at": manifest.sealed_at,
                "signed_at": verified.signed_at,
                "signer": signer,
                "size": size,
                "upstream": manifest.upstream or None,
                "verified": signer is not None,
            }
        )


def _check(arguments: argparse.Namespace) -> Callable[[str, BundleVerifier], SignedManifest]:
    path, key = arguments.file, arguments.key
    if path != "-" and (SlotFolder.is_at(path) or is_installation(path)):
        if key is None:
            raise UsageError("only this device can check what it installed", hint="pass its key with -k")
        return partial(_installation, key)
    if key is not None:
        raise UsageError("-k goes with what was installed; a bundle is checked without a key")
    return _from_stream if path == "-" else _from_file


def _installation(key: str, path: str, verifier: BundleVerifier) -> SignedManifest:
    with Access(key, verifier) as access, unlock(path, access) as unlocked:
        assert isinstance(unlocked, UnlockedInstallation)
        with progress("verifying", _sealed_size(unlocked.manifest)) as advance:
            unlocked.check(advance)
        return unlocked.signed


def _witnessed(moment: int | None) -> str:
    if moment is None:
        return ""
    time = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return f", by {time:%Y-%m-%dT%H:%M:%SZ} at the latest"


def _from_file(path: str, verifier: BundleVerifier) -> SignedManifest:
    with Bundle(path) as bundle:
        verified = bundle.verify(verifier)
        with progress("verifying", _sealed_size(verified.manifest)) as advance:
            verified.check_digests(advance)
    return verified.signed


def _from_stream(_path: str, verifier: BundleVerifier) -> SignedManifest:
    verified = ArrivingBundle(sys.stdin.buffer).verify(verifier)
    with progress("verifying", _sealed_size(verified.signed.manifest)) as advance:
        verified.check_digests(advance)
    return verified.signed


def _sealed_size(manifest: Manifest) -> int:
    return sum(sealed_size(member.size) for member in manifest.members)


def _apple(arguments: argparse.Namespace) -> None:
    if arguments.trust or arguments.signature or arguments.unsafe_unsigned:
        raise UsageError("with --apple, Apple's root is trusted and --team says whom else")
    # Here and below: what reads certificates takes long to import, and bundles seldom need it.
    from modelkeep.code_verification import verify_apple

    signature = verify_apple(arguments.file, team=arguments.team)
    if arguments.team is None:
        say(f"signed by team {signature.team} (pass --team {signature.team} to accept no other)")
    who = f"{signature.authorities[0]}{_witnessed(signature.signed_at)}"
    say(f"ok: {arguments.file}, {signature.identifier}, signed by {who}")
    if arguments.json:
        print_json(
            {
                "authorities": list(signature.authorities),
                "cdhashes": [each.hex() for each in signature.cdhashes],
                "hardened": signature.hardened,
                "identifier": signature.identifier,
                "path": arguments.file,
                "signed_at": signature.signed_at,
                "team": signature.team,
            }
        )


def _folder(arguments: argparse.Namespace) -> None:
    if arguments.unsafe_unsigned:
        raise UsageError("a folder is verified by whom one trusts", hint="pass -t publisher.pub")
    verifier = sigstore(arguments, arguments.trust) if arguments.identity else options.verifier(arguments)
    signed = verify_folder(arguments.file, arguments.signature, verifier, ignore=arguments.ignore)
    for name in signed.ignored:
        say(f"note: {name} was left out; nobody vouches for it")
    say(f"ok: {arguments.file}, {counted(len(signed.files), 'file')}, signed by {signed.signer}")
    if arguments.json:
        print_json(
            {
                "files": list(signed.files),
                "ignored": list(signed.ignored),
                "path": arguments.file,
                "signer": signed.signer,
                "verified": True,
            }
        )


def _is_model_signature(arguments: argparse.Namespace) -> bool:
    # A signature of OpenSSF Model Signing is JSON, one of openssl is DER or base64.
    if Path(arguments.file).is_dir():
        return True
    return read_small(arguments.signature, LARGEST_DOCUMENT, "a signature").lstrip()[:1] == b"{"


def _plain_file(arguments: argparse.Namespace) -> None:
    if len(arguments.trust) != 1 or arguments.unsafe_unsigned or arguments.second_trust:
        raise UsageError("a plain signature is checked against one public key", hint="pass -t KEY.pub once")
    signature = read_small(arguments.signature, _LARGEST_SIGNATURE, "a signature")
    public_key = read_small(arguments.trust[0], _LARGEST_PEM, "a public key")
    from modelkeep.trust import plain

    plain.verify(arguments.file, signature, public_key)
    say(f"ok: {arguments.file}")
    if arguments.json:
        print_json({"path": arguments.file, "verified": True})
