from __future__ import annotations

from typing import Any

import pytest

from modelkeep.errors import MalformedError, UsageError
from modelkeep.signer_id import SignerId, TypedSubject

KEY = SignerId(bytes(range(32)))
CHAIN = SignerId(bytes(range(32)), bytes(32), TypedSubject("email", "ml@acme.test"))


@pytest.mark.parametrize("signer", [KEY, CHAIN])
def test_what_is_written_reads_back(signer: SignerId) -> None:
    assert SignerId.from_json(signer.to_json()) == signer


def test_words_for_people() -> None:
    assert str(KEY) == f"key sha256:{bytes(range(32)).hex()}"
    assert str(CHAIN) == "certificate 'EMAIL=ml@acme.test'"
    assert str(SignerId(bytes(32), bytes(32), TypedSubject("dn", ""))) == "certificate an unreadable subject"
    assert str(TypedSubject("cn", "evil\n\u202e")) == r"'CN=evil\n\u202e'"


def test_names_of_different_kinds_are_different_names() -> None:
    assert TypedSubject("cn", "acme.test") != TypedSubject("dns", "acme.test")


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "ab"},
        {"root": None},
        {"subject": {"kind": "cn"}},
        {"subject": {"kind": "ip", "value": "::1"}},
        {"subject": {"kind": "cn", "value": "x" * 1025}},
        {"colour": "red"},
    ],
)
def test_what_is_no_signer_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        SignerId.from_json(CHAIN.to_json() | changes)
    for missing in ("key", "root", "subject"):
        with pytest.raises(MalformedError):
            SignerId.from_json({name: value for name, value in CHAIN.to_json().items() if name != missing})


def test_a_root_needs_a_subject() -> None:
    with pytest.raises(UsageError):
        SignerId(bytes(32), bytes(32))
    with pytest.raises(UsageError):
        SignerId(bytes(31))
