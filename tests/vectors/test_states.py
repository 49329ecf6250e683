"""The committed vectors of what devices remember: places, marks, trust files that were seen, bodies."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.device import contents_json
from modelkeep.device.contents import Contents
from modelkeep.device.marks import Mark, floor_of, with_mark
from modelkeep.device.obeying import obey
from modelkeep.device.seen_trust import SeenTrust, TrustEntry, with_seen
from modelkeep.device.state_place import state_path
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust.ticket import Ticket, VerifiedTicket
from support.paper import Believing

INDEX = json.loads((Path(__file__).parents[2] / "vectors" / "v1" / "states" / "index.json").read_text())
MODEL = "acme/detector"


def about(vector: dict[str, Any]) -> str:
    return str(vector["about"])


def mark_of(item: dict[str, Any]) -> Mark:
    order = ReleaseOrder(item["epoch"], item["sealed_at"])
    signer, voucher = SignerId.from_json(item["signer"]), bytes.fromhex(item["voucher"])
    return Mark(signer, order, bytes.fromhex(item["bundle"]), voucher)


def expecting(vector: dict[str, Any]) -> Any:
    return pytest.raises(getattr(errors, vector["error"]))


@pytest.mark.parametrize("vector", INDEX["checks"], ids=about)
def test_check(vector: dict[str, Any]) -> None:
    floors = {} if vector["floor"] is None else {MODEL: ReleaseOrder(*vector["floor"])}
    void = frozenset(map(bytes.fromhex, vector["void"]))
    judge = Believing(frozenset(map(SignerId.from_json, vector["vouched"])), floors, void)
    floor, release = floor_of(map(mark_of, vector["marks"]), MODEL, judge), mark_of(vector["release"])
    if vector["error"] is None:
        floor.check(release.order, release.bundle)
        return
    with expecting(vector):
        floor.check(release.order, release.bundle)


@pytest.mark.parametrize("vector", INDEX["commits"], ids=about)
def test_commit(vector: dict[str, Any]) -> None:
    marks, new = tuple(map(mark_of, vector["marks"])), mark_of(vector["new"])
    if vector["error"] is None:
        assert with_mark(marks, new) == tuple(map(mark_of, vector["after"]))
        return
    with expecting(vector):
        with_mark(marks, new)


def entries_of(items: list[dict[str, Any]]) -> tuple[TrustEntry, ...]:
    body = json.loads(contents_json.to_bytes(Contents())) | {"trust": items}
    return contents_json.from_bytes(json.dumps(body, separators=(",", ":"), sort_keys=True).encode()).trust


@pytest.mark.parametrize("vector", INDEX["trust"], ids=about)
def test_trust(vector: dict[str, Any]) -> None:
    file, entries = vector["file"], entries_of(vector["trust"])
    seen = SeenTrust(
        file["number"],
        frozenset(map(bytes.fromhex, file["keys"])),
        file["threshold"],
        None if file["set"] is None else bytes.fromhex(file["set"]),
        {int(number): bytes.fromhex(digest) for number, digest in file["documents"].items()},
    )
    if vector["error"] is None:
        assert with_seen(entries, seen) == entries_of(vector["after"])
        return
    with expecting(vector):
        with_seen(entries, seen)


@pytest.mark.parametrize("vector", INDEX["bodies"], ids=about)
def test_body(vector: dict[str, Any]) -> None:
    body = base64.b64decode(vector["body"])
    if vector["error"] is None:
        assert contents_json.to_bytes(contents_json.from_bytes(body)) == body
        return
    with expecting(vector):
        contents_json.from_bytes(body)


@pytest.mark.parametrize("vector", INDEX["tickets"], ids=about)
def test_ticket(vector: dict[str, Any]) -> None:
    contents = contents_json.from_bytes(base64.b64decode(vector["body"]))
    ticket = Ticket.from_bytes(base64.b64decode(vector["ticket"]))
    verified = VerifiedTicket(ticket, frozenset(map(bytes.fromhex, vector["signers"])))
    device = bytes.fromhex(vector["device"])
    if vector["error"] is None:
        obey(contents, device, verified)
        assert contents_json.to_bytes(contents) == base64.b64decode(vector["after"])
        return
    with expecting(vector):
        obey(contents, device, verified)


@pytest.mark.parametrize("vector", INDEX["names"], ids=lambda vector: str(vector["name"]))
def test_name(vector: dict[str, Any]) -> None:
    assert state_path(bytes.fromhex(vector["public"])).name == vector["name"]
