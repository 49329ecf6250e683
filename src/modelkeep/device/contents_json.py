"""The JSON form of what a device remembers; what this version does not know is refused.

An older reader that passed over new members would forget what they say.
Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from modelkeep import canonical
from modelkeep.device.contents import (
    GENERATION_BYTES,
    MOST_INSTALLATIONS,
    MOST_QUARANTINED,
    Contents,
    Installed,
    ModelState,
    Quarantined,
    Stage,
)
from modelkeep.device.marks import MOST_OF_ONE_SIGNER, MOST_SIGNERS, Mark
from modelkeep.device.seen_trust import TrustEntry
from modelkeep.device.tuf_roles import MOST_ROLES, TufRole
from modelkeep.errors import MalformedError
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId

FORMAT = "modelkeep/state"
VERSION = 1
MOST_MODELS = 10_000
MOST_ROOT_SETS = 1000
MOST_ROOT_KEYS = 64
MOST_ADOPTERS = 64
INSTALLATION_BYTES = BUNDLE_BYTES = 16
SECRET_BYTES = DIGEST_BYTES = 32


_STAGES = {stage.value: stage for stage in Stage}
_MOST_MARKS = MOST_SIGNERS * MOST_OF_ONE_SIGNER


def to_bytes(contents: Contents) -> bytes:
    """Returns the canonical JSON encoding."""
    members: dict[str, Any] = {
        "adopted_by": None if contents.adopted_by is None else sorted(map(bytes.hex, contents.adopted_by)),
        "counter": contents.counter,
        "format": FORMAT,
        "generation": contents.generation.hex(),
        "models": [_model_to_json(model, state) for model, state in contents.models.items()],
        "trust": [_trust_to_json(entry) for entry in contents.trust],
        "tuf": [_role_to_json(name, role) for name, role in sorted(contents.tuf.items())],
        "version": VERSION,
    }
    return canonical.encode(members)


def from_bytes(body: bytes) -> Contents:
    """Parses a body that was authenticated.

    Raises:
        MalformedError: not of this form.
        UnsupportedVersionError: written by a newer modelkeep.
    """
    contents = _parsed(body)
    # Elsewhere other tools may keep what they like under `ext`; a state is written anew by every reader.
    # What stands there twice is found by this, too.
    if to_bytes(contents) != body:
        raise MalformedError("device state: holds something that would be forgotten")
    return contents


def _parsed(body: bytes) -> Contents:
    with Record(canonical.decode(body, "device state"), "device state") as record:
        record.check_format(FORMAT, VERSION)
        return Contents(
            models=dict(map(_model, record.items("models", longest=MOST_MODELS))),
            trust=tuple(map(_trust, record.items("trust", longest=MOST_ROOT_SETS))),
            tuf=dict(map(_role, record.items("tuf", longest=MOST_ROLES))),
            adopted_by=record.nullable("adopted_by", lambda name: _digests(record, name, MOST_ADOPTERS)),
            generation=record.hexadecimal("generation", GENERATION_BYTES),
            counter=record.nullable("counter", record.integer),
        )


def _model_to_json(model: str, state: ModelState) -> dict[str, Any]:
    return {
        "active": None if state.active is None else state.active.hex(),
        "installations": [
            _installation_to_json(identifier, installed)
            for identifier, installed in state.installations.items()
        ],
        "marks": [_mark_to_json(mark) for mark in state.marks],
        "model": model,
        "quarantine": [
            {"attempt": each.attempt, "bundle": each.bundle.hex(), "voucher": each.voucher.hex()}
            for each in state.quarantine
        ],
        "tries": state.tries,
    }


def _model(item: object) -> tuple[str, ModelState]:
    with Record(item, "device state: model") as record:
        state = ModelState(
            marks=tuple(map(_mark, record.items("marks", longest=_MOST_MARKS))),
            installations=dict(map(_installation, record.items("installations", longest=MOST_INSTALLATIONS))),
            active=record.nullable("active", _hexadecimal(record, INSTALLATION_BYTES)),
            tries=record.integer("tries"),
            quarantine=tuple(map(_quarantined, record.items("quarantine", longest=MOST_QUARANTINED))),
        )
        return record.text("model"), state


def _mark_to_json(mark: Mark) -> dict[str, Any]:
    return {
        "bundle": mark.bundle.hex(),
        "epoch": mark.order.epoch,
        "sealed_at": mark.order.sealed_at,
        "signer": mark.signer.to_json(),
        "voucher": mark.voucher.hex(),
    }


def _mark(item: object) -> Mark:
    with Record(item, "device state: mark") as record:
        return _mark_of(record)


def _mark_of(record: Record) -> Mark:
    return Mark(
        signer=SignerId.from_json(record.anything("signer"), "device state: signer"),
        order=ReleaseOrder(record.integer("epoch"), record.integer("sealed_at")),
        bundle=record.hexadecimal("bundle", BUNDLE_BYTES),
        voucher=record.hexadecimal("voucher", DIGEST_BYTES),
    )


def _installation_to_json(identifier: bytes, installed: Installed) -> dict[str, Any]:
    return _mark_to_json(installed.mark) | {
        "id": identifier.hex(),
        "secret": installed.secret.hex(),
        "stage": installed.stage.value,
    }


def _installation(item: object) -> tuple[bytes, Installed]:
    with Record(item, "device state: installation") as record:
        identifier = record.hexadecimal("id", INSTALLATION_BYTES)
        secret = record.hexadecimal("secret", SECRET_BYTES)
        return identifier, Installed(_mark_of(record), secret, record.choice("stage", _STAGES))


def _quarantined(item: object) -> Quarantined:
    with Record(item, "device state: quarantine") as record:
        return Quarantined(
            record.hexadecimal("bundle", BUNDLE_BYTES),
            record.integer("attempt"),
            record.hexadecimal("voucher", DIGEST_BYTES),
        )


def _trust_to_json(entry: TrustEntry) -> dict[str, Any]:
    return {
        "keys": sorted(key.hex() for key in entry.keys),
        "number": entry.number,
        "roots": entry.roots,
        "roots_digest": None if entry.roots_digest is None else entry.roots_digest.hex(),
        "set": None if entry.set is None else entry.set.hex(),
        "threshold": entry.threshold,
        "time": entry.time,
    }


def _trust(item: object) -> TrustEntry:
    with Record(item, "device state: trust") as record:
        digest = _hexadecimal(record, DIGEST_BYTES)
        return TrustEntry(
            set=record.nullable("set", digest),
            roots=record.integer("roots"),
            roots_digest=record.nullable("roots_digest", digest),
            keys=_digests(record, "keys", MOST_ROOT_KEYS),
            threshold=record.integer("threshold", lowest=1),
            number=record.integer("number"),
            time=record.integer("time"),
        )


def _role_to_json(name: str, role: TufRole) -> dict[str, Any]:
    return {"keys": role.keys.hex(), "role": name, "version": role.version}


def _role(item: object) -> tuple[str, TufRole]:
    with Record(item, "device state: role") as record:
        return record.text("role"), TufRole(
            record.integer("version"), record.hexadecimal("keys", DIGEST_BYTES)
        )


def _digests(record: Record, name: str, longest: int) -> frozenset[bytes]:
    return frozenset(
        Record({"id": item}, f"device state: {name}").hexadecimal("id", DIGEST_BYTES)
        for item in record.items(name, longest=longest)
    )


def _hexadecimal(record: Record, length: int) -> Callable[[str], bytes]:
    return partial(record.hexadecimal, length=length)
