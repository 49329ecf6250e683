"""Writes the vectors of requests, questions, handovers, rosters and journals into vectors/v1/granter.

Keys and signatures are new each time: `PYTHONPATH=tests python vectors/generate_granter.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from modelkeep import public_key
from modelkeep.granter.handover import ask_old_key
from modelkeep.granter.journal import Draft, Place
from modelkeep.granter.journal_entry import Event
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.question import Question
from modelkeep.granter.request import Handover, Request
from modelkeep.granter.roster import Roster
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.grants.hpke import P256, HpkeRecipient
from modelkeep.posture.challenge import Challenge
from modelkeep.posture.evidence import Evidence
from modelkeep.trust.envelope import Envelope
from modelkeep.trust.signer import Signer

TARGET = Path(__file__).parent / "v1" / "granter"
NOW = 1_800_000_000
NONCE = bytes(range(32))

Vector = dict[str, Any]


def main() -> None:
    """Writes the index."""
    old, new = _key(), _key()
    operators = [Signer(_key()) for _ in range(3)]
    index = {
        "format": "modelkeep/granter-vectors",
        "version": 1,
        "requests": list(_requests(_recipient(old, "pi-17"), _recipient(new, "pi-18"))),
        "handover": _handover(old, _recipient(old, "pi-17"), _recipient(new, "pi-18")),
        "rosters": list(
            _rosters(operators, [_recipient(each, f"pi-{n}") for n, each in enumerate((old, new))])
        ),
        "journals": list(_journals(operators[0])),
    }
    TARGET.mkdir(exist_ok=True)
    (TARGET / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _recipient(key: ec.EllipticCurvePrivateKey, name: str) -> HpkeRecipient:
    return HpkeRecipient(
        P256, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), name
    )


def _requests(one: HpkeRecipient, other: HpkeRecipient) -> Iterator[Vector]:
    plain = Request(one, ("acme/audio", "acme/detector")).to_bytes()
    evidence = Evidence(one.public, NONCE, claims={"no-swap": True})
    shown = Request(one, ("acme/detector",), evidence).to_bytes()
    handover = Request(other, ("acme/detector",), handover=Handover(one, NONCE, bytes(32))).to_bytes()

    def vector(name: str, data: bytes, error: str | None = None) -> Vector:
        return {"name": name, "file": data.decode(), "error": error}

    def changed(name: str, old: bytes, new: bytes, data: bytes = plain) -> Vector:
        assert old in data
        return vector(name, data.replace(old, new, 1), "MalformedError")

    yield vector("plain", plain)
    yield vector("with-evidence", shown)
    yield vector("handover-asked", Request(other, ("a",), handover=Handover(one)).to_bytes())
    yield vector("handover-answered", handover)
    yield changed(
        "models-in-another-order", b'["acme/audio","acme/detector"]', b'["acme/detector","acme/audio"]'
    )
    yield changed("model-twice", b'"acme/audio","acme/detector"', b'"acme/audio","acme/audio"')
    yield changed("no-models", b'["acme/audio","acme/detector"]', b"[]")
    yield changed("pattern-for-a-model", b'"acme/audio"', b'"acme/*"')
    yield changed("asks-for-an-end", b'"models"', b'"end":1,"models"')
    yield changed("blank", b'"models"', b' "models"')
    yield changed("half-an-answer", b',"nonce":"' + NONCE.hex().encode() + b'"', b"", handover)
    mine, theirs = (json.loads(plain)["recipient"], json.loads(handover)["recipient"])
    yield changed("evidence-of-another-key", mine.encode(), theirs.encode(), shown)
    newer = plain.replace(b'"version":1', b'"version":2', 1)
    yield vector("newer", newer, "UnsupportedVersionError")


def _handover(key: ec.EllipticCurvePrivateKey, old: HpkeRecipient, new: HpkeRecipient) -> Vector:
    challenge = Challenge(NONCE, "acme", NOW)
    sealed, answer = ask_old_key(challenge, old, new)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "question": Question(challenge, sealed).to_bytes().decode(),
        "old": private.decode(),
        "new": json.loads(Request(new, ("a",)).to_bytes())["recipient"],
        "answer": answer.hex(),
        "error_for_other_keys": "TamperedError",
    }


def _rosters(operators: list[Signer], recipients: list[HpkeRecipient]) -> Iterator[Vector]:
    devices = [
        RosterDevice.of(recipients[0], ("acme/*", "acme/detector"), "field", "tpm:" + "0a" * 32),
        RosterDevice.of(recipients[1], ("*",)),
    ]
    roster = Roster.of(3, NOW, devices)
    keys = [public_key.to_pem(each.public_key).decode() for each in operators]
    once = roster.envelope.signed(operators[0])
    twice = once.signed(operators[2])

    def vector(
        name: str, envelope: Envelope, error: str | None = None, edit: _Edit = lambda it: it
    ) -> Vector:
        lines = [device.to_line() for device in roster.devices]
        data = b"".join([envelope.to_bytes() + b"\n", *edit(lines)])
        return {"name": name, "file": data.decode(), "operators": keys, "threshold": 2, "error": error}

    yield vector("signed-by-two", twice)
    yield vector("signed-by-one", once, "SignatureError")
    yield vector("signed-by-one-twice", replace(once, signatures=once.signatures * 2), "SignatureError")
    yield vector("stranger", once.signed(Signer(_key())), "SignatureError")
    yield vector("device-missing", twice, "TamperedError", lambda lines: lines[:1])
    yield vector("device-twice", twice, "MalformedError", lambda lines: [*lines, lines[1]])
    yield vector("another-order", twice, "MalformedError", lambda lines: lines[::-1])
    yield vector(
        "group-changed", twice, "TamperedError", lambda it: [it[0].replace(b"field", b"other"), it[1]]
    )
    yield vector("no-end", twice, "MalformedError", lambda it: [it[0], it[1][:-1]])


_Edit = Callable[[list[bytes]], list[bytes]]


def _journals(signer: Signer) -> Iterator[Vector]:
    draft = Draft(Place())
    draft.add(NOW, Event.BEGUN, {"origin": "acme"})
    draft.add(NOW, Event.ROSTER, {"roster": 3, "digest": "0b" * 32, "devices": 2})
    draft.add(NOW + 1, Event.REFUSED, {"device": "0c" * 32, "name": "", "models": "a", "why": "on no roster"})
    lines = draft.lines
    key = public_key.to_pem(signer.public_key).decode()
    second = Place().after(lines[0]).after(lines[1])
    heads = [JournalHead.of(each, NOW).signed(signer).decode() for each in (second, draft.end)]

    def vector(name: str, found: list[bytes], error: str | None = None, head: str = heads[0]) -> Vector:
        return {"name": name, "file": b"".join(found).decode(), "head": head, "signer": key, "error": error}

    yield vector("whole", lines)
    yield vector("its-end", lines, None, heads[1])
    yield vector("torn", [*lines, b'{"at":'])
    yield vector("cut", lines[:1], "TamperedError")
    yield vector("cut-behind-the-head", lines[:2])
    yield vector("line-left-out", [lines[0], lines[2]], "TamperedError")
    yield vector(
        "line-changed",
        [lines[0], lines[1].replace(b'"devices":2', b'"devices":3'), lines[2]],
        "TamperedError",
    )
    yield vector("unknown-event", [lines[0].replace(b"begun", b"ended"), *lines[1:]], "MalformedError")
    other = JournalHead(2, bytes(32), NOW).signed(signer).decode()
    yield vector("another-head", lines, "TamperedError", other)
    foreign = JournalHead.of(draft.end, NOW).signed(Signer(_key())).decode()
    yield vector("head-of-a-stranger", lines, "SignatureError", foreign)


if __name__ == "__main__":
    main()
