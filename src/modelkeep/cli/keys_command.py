"""`modelkeep keys`: list, create, show, rotate, approve, attest and delete keys, and find their grants."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.key_ids import key_ids
from modelkeep.cli.output import print_json, report, say, show
from modelkeep.cli.suite_hint import wish
from modelkeep.device.contents import Contents
from modelkeep.errors import RefusedError, UsageError
from modelkeep.granting import Granted, grant
from modelkeep.grants import fleet_device
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient import Recipient
from modelkeep.grants.recipient_text import format_recipient, short_name
from modelkeep.key_purpose import Purpose
from modelkeep.keys import management
from modelkeep.keys.fleet import create_device
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key
from modelkeep.keys.tpm2 import approval_file
from modelkeep.keys.tpm2.policy import approve
from modelkeep.posture.challenge import LARGEST_CHALLENGE, Challenge
from modelkeep.probes.attesting import attest
from modelkeep.storage import read_as, write_file
from modelkeep.trust import private_key
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.signers import open_signer
from modelkeep.trust.signing_keys import SIGNING_KINDS, create_signing_key
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.uri import DEFAULT_SCHEME, split

_SIGNING = "signing"
_TPM = "tpm2"
_OPENS = "; it opens models, and signs none"
_OPENING_KINDS = (None, "p256", "x25519", "mlkem768-x25519")
_ADVICE = dict.fromkeys(_OPENING_KINDS, _OPENS) | {"master": "; keep it off every device"}


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    actions = {
        "list": _list,
        "create": _create,
        "show": _show,
        "rotate": _rotate,
        "approve": _approve,
        "attest": _attest,
        "delete": _delete,
        "id": key_ids,
    }
    actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> None:
    found = [uri for place in arguments.places for uri in _keys_at(place)]
    if arguments.json:
        print_json({"keys": found})
        return
    for uri in found:
        show(uri)


def _keys_at(place: str) -> tuple[str, ...]:
    scheme, address = split(place)
    return management.list_keys(scheme, address)


def _create(arguments: argparse.Namespace) -> None:
    scheme, address = split(arguments.key)
    if arguments.master is not None:
        _create_fleet_device(scheme, address, arguments)
    elif arguments.kind in SIGNING_KINDS and scheme == DEFAULT_SCHEME:
        with private_key.unlocking(address) as (path, secret):
            public = create_signing_key(path, arguments.kind, passphrase=secret, force=arguments.force)
        say(f"private key made: {arguments.key}; keep it off every device")
        _deliver(arguments, arguments.key, public.decode().rstrip())
    else:
        _create_in_store(arguments)


def _create_in_store(arguments: argparse.Namespace) -> None:
    recipient = create_key(arguments.key, arguments.kind, force=arguments.force)
    public = None if recipient is None else _line(recipient, arguments.device_id)
    if arguments.kind == _SIGNING:
        public = public_key.to_pem(open_signer(arguments.key).public_key).decode().rstrip()
    say(f"key made: {arguments.key}{_ADVICE.get(arguments.kind, '')}")
    _warn_of_zeros(arguments.key)
    _deliver(arguments, arguments.key, public)
    if isinstance(recipient, HpkeRecipient) and not arguments.json:
        sys.stdout.write(wish())


def _deliver(arguments: argparse.Namespace, key: str, public: str | None, **more: Any) -> None:
    """Prints the public key, which is the result; for machines with what else there is to know."""
    if arguments.json:
        report(arguments, key=key, public=public, **more)
    elif public is not None:
        # Several lines in PEM, all of them printable.
        sys.stdout.write(f"{public}\n")


def _warn_of_zeros(key: str) -> None:
    pcrs = management.describe_key(key).get("pcrs", {}) if split(key)[0] == _TPM else {}
    if pcrs and all(set(value) == {"0"} for value in pcrs.values()):
        hold, them = ("holds", "it") if len(pcrs) == 1 else ("hold", "them")
        say(
            f"note: PCR {', '.join(pcrs)} {hold} zeros alone: nothing is measured into {them} here, "
            "so that the key works whatever is booted"
        )


def _create_fleet_device(scheme: str, path: str, arguments: argparse.Namespace) -> None:
    if scheme != fleet_device.FLEET:
        raise UsageError("--master goes with a fleet: key")
    if arguments.device_id is None:
        raise UsageError("a fleet key is made for one device", hint="pass --device-id ID")
    create_device(path, arguments.master, arguments.device_id, force=arguments.force)
    say(f"key of device {arguments.device_id} made: {path}; move it there, and nothing else of the fleet's")
    _deliver(arguments, arguments.key, None)


def _show(arguments: argparse.Namespace) -> None:
    described = management.describe_key(arguments.key)
    if described.get("use") in (None, "open"):
        with Identity(arguments.key) as identity:
            described = {"public": _line(identity.recipient(), None), **described}
    if arguments.json:
        print_json({"key": arguments.key, **described})
        return
    for name, value in described.items():
        for line in _lines(name, value):
            show(line)


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{f'{name} {part}':<12} {text}" for part, text in value.items()]
    return [f"{name:<12} {value}"]


def _rotate(arguments: argparse.Namespace) -> None:
    # Nothing is granted that nobody verified, here as in `modelkeep grant`.
    verifier = options.verifier(arguments) if arguments.bundles else UnsafeUnsigned()
    for bundle in arguments.bundles:
        # Before there is a new key: a command that failed must be one that can be repeated.
        Bundle(bundle).close()
    with Identity(arguments.key) as old:
        remembered = _remembered(old)
        recipient = create_key(arguments.new, _kind_for(arguments.new, arguments.key, old))
        if recipient is None:
            raise UsageError("the new key cannot be granted to")
        _hand_on(remembered, arguments.new)
        recipient = _renamed(recipient, getattr(old.recipient(), "device_id", ""))
        granted = {bundle: _granted(bundle, old, verifier, recipient) for bundle in arguments.bundles}
    for bundle, made in granted.items():
        say(_what_became(bundle, made))
    say(
        f"new key made: {arguments.new}; when everything opens with it: modelkeep keys delete {arguments.key}"
    )
    facts = {
        "granted": [_grant_facts(bundle, made) for bundle, made in granted.items() if made is not None],
        "refused": [bundle for bundle, made in granted.items() if made is None],
    }
    _deliver(arguments, arguments.new, _line(recipient, None), replaces=arguments.key, **facts)


def _what_became(bundle: str, made: Granted | None) -> str:
    if made is None:
        return f"{bundle}: the old key may not grant it; send the new public line to whoever may"
    return f"{bundle}: granted to {short_name(made.admins[0])} (may grant), in {made.path}"


def _grant_facts(bundle: str, made: Granted) -> dict[str, Any]:
    with Bundle(bundle) as opened:
        name = opened.unverified_manifest().bundle.hex()
    admins = [short_name(each) for each in made.admins]
    return {"path": str(made.path), "source": bundle, "bundle": name, "admins": admins}


def _remembered(identity: Identity) -> Contents | None:
    state = identity.device_state()
    if state is None:
        return None
    with state:
        return state.look() if state.has_begun else None


def _hand_on(remembered: Contents | None, key: str) -> None:
    # A device that forgot what it has installed would take old releases again.
    if remembered is None:
        return
    with Identity(key) as new:
        state = new.device_state()
        if state is not None:
            with state:
                state.inherit(remembered)


def _granted(bundle: str, old: Identity, verifier: BundleVerifier, recipient: Recipient) -> Granted | None:
    try:
        return grant(bundle, identity=old, verifier=verifier, admins=[recipient])
    except RefusedError:
        return None


def _approve(arguments: argparse.Namespace) -> None:
    values = None if arguments.values is None else approval_file.values_from_file(arguments.values)
    if arguments.key is None:
        _prepare(arguments, values)
        return
    if arguments.output is not None:
        raise UsageError("-o goes with an approval that is made without KEY")
    if arguments.approval is not None:
        approval = approval_file.approval_from_file(arguments.approval)
        management.approve_key(arguments.key, approval=approval)
    else:
        management.approve_key(arguments.key, signer=_authority(arguments.signer), values=values)
    say(f"approved for {arguments.key}; states approved before stay so")
    report(arguments, key=arguments.key)


def _authority(key: str) -> BundleSigner:
    return open_signer(key, purpose=Purpose.APPROVE)


def _prepare(arguments: argparse.Namespace, values: dict[int, bytes] | None) -> None:
    if arguments.signer is None or values is None or arguments.output is None:
        raise UsageError("without KEY, an approval needs -s, --values and -o")
    pcrs = tuple(values)
    approval = approve(pcrs, values, _authority(arguments.signer))
    write_file(arguments.output, approval_file.approval_to_bytes(approval, pcrs))
    say(f"approval written: {arguments.output}")
    report(arguments, path=arguments.output, key=arguments.signer)


def _attest(arguments: argparse.Namespace) -> None:
    challenge = None
    if arguments.challenge is not None:
        challenge = read_as(arguments.challenge, LARGEST_CHALLENGE, "a challenge", Challenge.from_bytes)
    evidence = attest(arguments.key, challenge, unapproved=arguments.unapproved)
    write_file(arguments.output, evidence.to_bytes(), force=arguments.force)
    if challenge is None:
        say("an introduction, which proves nothing: modelkeep posture ask makes the question to it")
    say(f"evidence written: {arguments.output}")
    report(arguments, path=arguments.output, key=arguments.key)


def _delete(arguments: argparse.Namespace) -> None:
    if not arguments.yes:
        raise UsageError(
            "what was granted to a deleted key never opens again", hint="pass --yes to delete it"
        )
    management.delete_key(arguments.key)
    say(f"deleted: {arguments.key}")
    report(arguments, key=arguments.key, deleted=True)


def _kind_for(new: str, key: str, old: Identity) -> str | None:
    if not old.type.startswith("hpke-"):
        raise UsageError(f"keys of type {old.type} are not rotated", hint="make a new one and grant to it")
    # Another store may not have the old kind; its usual one will do.
    return old.type.removeprefix("hpke-") if split(new)[0] == split(key)[0] else None


def _renamed(recipient: Recipient, device_id: str | None) -> Recipient:
    if not device_id or not isinstance(recipient, HpkeRecipient):
        return recipient
    return HpkeRecipient(recipient.type, recipient.public, device_id)


def _line(recipient: Recipient, device_id: str | None) -> str:
    recipient = _renamed(recipient, device_id)
    return (
        format_recipient(recipient) if isinstance(recipient, HpkeRecipient) else f"{recipient.type} (secret)"
    )
