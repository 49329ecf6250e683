"""Whose turn it is: by vectors, by hashes alone, and in a fleet."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from modelkeep.updates.client.turn import has_turn, place_of

FILE = Path(__file__).parents[2] / "vectors" / "v1" / "updates" / "phases.json"


def test_places_and_turns_are_those_of_the_vectors() -> None:
    for case in json.loads(FILE.read_text())["cases"]:
        manifest, device = bytes.fromhex(case["manifest"]), bytes.fromhex(case["device"])
        by_hand = hmac.new(manifest, b"modelkeep/v1/phase" + device, hashlib.sha256).digest()[:8]
        assert str(place_of(manifest, device)) == case["place"] == str(int.from_bytes(by_hand, "big"))
        turns = {share: has_turn(manifest, device, int(share)) for share in case["turns"]}
        assert turns == case["turns"]


def test_share_of_a_fleet_is_about_that_share_and_grows_with_it() -> None:
    devices = [hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(1000)]
    tenth, half = ({d for d in devices if has_turn(bytes(32), d, share)} for share in (100, 500))
    assert 70 < len(tenth) < 130 and tenth < half
    assert not any(has_turn(bytes(32), d, 0) for d in devices)
    assert all(has_turn(bytes(32), d, 1000) for d in devices)
