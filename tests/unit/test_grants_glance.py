"""A glance at a grant agrees with its parser, whatever else the grant carries."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant

MINE, OTHER = "22" * 16, "11" * 16
LOOKALIKE = f'"key_id":"{OTHER}","type":"hpke-p256","version":1}}'


def encoded(**members: Any) -> bytes:
    header = {
        "bundle": "00" * 16,
        "constraints": {},
        "key_id": MINE,
        "type": "hpke-p256",
        "version": 1,
        **members,
    }
    text = base64.b64encode(canonical.encode(header)).decode()
    return canonical.encode({"header": text, "wrapped": ""})


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"constraints": {"ext": {"key_id": OTHER}}},
        {"ext": {"key_id": OTHER, "type": "fleet", "version": 1}},
        {"ext": {"a": LOOKALIKE}},
        {"ext": {"key_id": OTHER, "type": "hpke-p256", "version": 1}},
    ],
)
def test_the_own_grant_is_never_passed_over(members: dict[str, Any]) -> None:
    grant = encoded(**members)
    assert Grant.from_bytes(grant).header.key_id.hex() == MINE
    assert Glance("hpke-p256", bytes.fromhex(MINE)).may_fit(grant)
    assert not Glance("hpke-p256", bytes.fromhex(OTHER)).may_fit(grant)
    assert not Glance("fleet", bytes.fromhex(MINE)).may_fit(grant)


def test_a_passphrase_grant_is_never_passed_over() -> None:
    cost = {"log_n": 14, "p": 1, "r": 8, "salt": OTHER}
    glance = Glance("hpke-p256", bytes.fromhex(MINE))
    assert glance.may_fit(encoded(type="passphrase", scrypt=cost))
    assert not glance.kinds


@pytest.mark.parametrize("grant", [b"", b"{}", encoded(version=2), encoded(key_id="xy")])
def test_what_is_odd_is_left_to_the_parser(grant: bytes) -> None:
    assert Glance("hpke-p256", bytes.fromhex(OTHER)).may_fit(grant)
