"""The committed vectors of requests, handovers, rosters and journals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.errors import KeepError, TamperedError
from modelkeep.granter.audit import audit
from modelkeep.granter.handover import answer_with_old_key
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.question import Question
from modelkeep.granter.request import Request
from modelkeep.granter.roster import open_roster
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient_text import parse_recipient
from modelkeep.keys.identity import Identity
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import by_fingerprint

INDEX = json.loads((Path(__file__).parents[2] / "vectors" / "v1" / "granter" / "index.json").read_text())

Vector = dict[str, Any]


def comes_to(vector: Vector, read: Callable[[], object]) -> None:
    """Reads, and sees that it comes to what a vector says: exactly that class."""
    if vector["error"] is None:
        read()
        return
    kind: type[KeepError] = getattr(errors, vector["error"])
    with pytest.raises(kind, check=lambda error: type(error) is kind):
        read()


@pytest.mark.parametrize("vector", INDEX["requests"], ids=lambda vector: str(vector["name"]))
def test_requests(vector: Vector) -> None:
    data = vector["file"].encode()

    def read() -> None:
        assert Request.from_bytes(data).to_bytes() == data

    comes_to(vector, read)


def test_handover(tmp_path: Path) -> None:
    vector = INDEX["handover"]
    path = tmp_path / "old.pem"
    path.write_text(vector["old"])
    path.chmod(0o600)
    question, new = Question.from_bytes(vector["question"].encode()), parse_recipient(vector["new"])
    assert question.handover is not None
    with Identity(str(path)) as identity:
        old = identity.recipient()
        assert isinstance(old, HpkeRecipient)
        answer = answer_with_old_key(question.handover, question.challenge, identity, old, new)
        with pytest.raises(TamperedError):
            answer_with_old_key(question.handover, question.challenge, identity, old, old)
    assert answer.hex() == vector["answer"] and vector["error_for_other_keys"] == "TamperedError"


@pytest.mark.parametrize("vector", INDEX["rosters"], ids=lambda vector: str(vector["name"]))
def test_rosters(vector: Vector, tmp_path: Path) -> None:
    path = tmp_path / "roster.json"
    path.write_text(vector["file"])
    operators = Roots.of_keys([each.encode() for each in vector["operators"]], vector["threshold"])

    def read() -> None:
        with open_roster(path) as stream:
            stream.envelope.check_signed(operators.keys, operators.threshold)
            assert len(list(stream.devices())) == stream.head.devices

    comes_to(vector, read)


@pytest.mark.parametrize("vector", INDEX["journals"], ids=lambda vector: str(vector["name"]))
def test_journals(vector: Vector, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(vector["file"])

    def read() -> None:
        head = JournalHead.from_bytes(vector["head"].encode(), by_fingerprint([vector["signer"].encode()]))
        audit(path, [head])

    comes_to(vector, read)
