"""A request: a device's key, which models it asks for, and what it can show. It proves nothing by itself.

Source: spec/granter-v1.md, "Requests".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.errors import KeepError, MalformedError, UsageError
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.grants.recipient_text import format_recipient, parse_recipient
from modelkeep.manifest import check_model_id
from modelkeep.posture.evidence import LARGEST_EVIDENCE, Evidence
from modelkeep.record import Record

FORMAT, VERSION = "modelkeep/request", 1
LARGEST_REQUEST = LARGEST_EVIDENCE + 65_536
MOST_MODELS = 64
ANSWER_BYTES = 32

_LONGEST_KEY = 4096


@dataclass(frozen=True, slots=True)
class Handover:
    """What ties a new key to the one that it replaces.

    Attributes:
        old: the key that is replaced.
        nonce: of the question that is answered; None in a request that asks for one.
        answer: what only the old key could find in the question; None likewise.
    """

    old: HpkeRecipient
    nonce: bytes | None = None
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a device sends; anybody can have written it.

    Attributes:
        recipient: the public key to grant to; its name is the device's word.
        models: ids of the models that are asked for, ascending, each once.
        evidence: what the device shows of itself; None for its word alone.
        handover: which older key this one replaces; None for a key of its own.

    Raises:
        UsageError: no models, too many, or something that is no model id; evidence about another key.
    """

    recipient: HpkeRecipient
    models: tuple[str, ...]
    evidence: Evidence | None = None
    handover: Handover | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", _models(self.models))
        if self.evidence is not None and (self.recipient.type, self.evidence.device_key) != (
            P256,
            self.recipient.public,
        ):
            raise UsageError("the evidence is about another key than the one that is asked for")

    @property
    def is_answer(self) -> bool:
        """Whether it claims to answer a question."""
        of_old = self.handover is not None and self.handover.answer is not None
        return of_old or (self.evidence is not None and self.evidence.nonce is not None)

    def to_bytes(self) -> bytes:
        """Returns the document.

        Raises:
            UsageError: larger than anybody reads.
        """
        members: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "recipient": format_recipient(self.recipient),
            "models": list(self.models),
        }
        if self.evidence is not None:
            members["evidence"] = self.evidence.to_json()
        if self.handover is not None:
            members["handover"] = _handover_to_json(self.handover)
        data = canonical.encode(members)
        if len(data) > LARGEST_REQUEST:
            raise UsageError(f"a request has at most {LARGEST_REQUEST} bytes")
        return data

    @staticmethod
    def from_bytes(data: bytes) -> Request:
        """Reads the document; nothing in it is true because it stands there.

        Raises:
            MalformedError: not such a document.
            UnsupportedVersionError: of a newer version.
        """
        if len(data) > LARGEST_REQUEST:
            raise MalformedError(f"request: larger than {LARGEST_REQUEST} bytes")
        with Record(canonical.decode(data, "request"), "request") as record:
            record.check_format(FORMAT, VERSION)
            recipient = _recipient(record, "recipient")
            models = record.items("models", longest=MOST_MODELS)
            evidence = Evidence.from_json(record.anything("evidence")) if "evidence" in record else None
            handover = _handover(record.object("handover")) if "handover" in record else None
        try:
            request = Request(recipient, tuple(models), evidence, handover)
        except UsageError as error:
            raise MalformedError(f"request: {error}") from None
        if list(request.models) != models:
            raise MalformedError("request: models are ascending, each once")
        return request


def _models(models: Iterable[object]) -> tuple[str, ...]:
    found = {check_model_id(each) for each in models}  # type: ignore[arg-type]
    if not 1 <= len(found) <= MOST_MODELS:
        raise UsageError(
            f"a request asks for 1 to {MOST_MODELS} models", hint="name them: --model acme/detector"
        )
    return tuple(sorted(found))


def _recipient(record: Record, name: str) -> HpkeRecipient:
    try:
        return parse_recipient(record.text(name, longest=_LONGEST_KEY))
    except KeepError as error:
        raise record.fault(name, f"is not a public key: {error}") from None


def _handover_to_json(handover: Handover) -> dict[str, str]:
    members = {"old": format_recipient(handover.old)}
    if handover.nonce is not None and handover.answer is not None:
        members |= {"nonce": handover.nonce.hex(), "answer": handover.answer.hex()}
    return members


def _handover(record: Record) -> Handover:
    with record:
        old = _recipient(record, "old")
        if "nonce" not in record and "answer" not in record:
            return Handover(old)
        return Handover(old, record.hexadecimal("nonce", 32), record.hexadecimal("answer", ANSWER_BYTES))
