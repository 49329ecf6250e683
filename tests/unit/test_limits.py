"""What lies exactly at a limit is taken, and what lies one beyond it is not."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import manifest
from modelkeep.clock import LATEST_TIME
from modelkeep.container.tar import header
from modelkeep.device import obeying, tuf_roles
from modelkeep.device.contents import Contents
from modelkeep.device.marks import Floor
from modelkeep.device.tuf_roles import TufRole, with_roles
from modelkeep.errors import (
    KeepError,
    MalformedError,
    RefusedError,
    StorageError,
    UsageError,
)
from modelkeep.grants import grant, passphrase, secret
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.passphrase import PassphraseRecipient
from modelkeep.grants.recipient import issue
from modelkeep.grants.recipient_text import format_recipient, parse_recipient
from modelkeep.memory import Pages
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import envelope, oms, roots_document, statement, ticket, trust_editing
from modelkeep.trust.policy import MaximumAge
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument
from modelkeep.trust.signer import Signer
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.statement import Statement
from modelkeep.trust.ticket import ForgetQuarantine, SetTime, Ticket
from modelkeep.trust.trust_file import TrustFile
from support.paper import name

KEYS = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(3)]
TRUST = TrustFile(1, LATEST_TIME, (Publisher(KEYS[0], ("*",)),))
SIGNER = Signer(ec.generate_private_key(ec.SECP256R1()))
DOCUMENT = oms.sign(Statement("model", {"manifest.json": bytes(32)}), SIGNER)
ENVELOPE = envelope.Envelope(envelope.Kind.TRUST, b"{}").signed(SIGNER)
DEVICE = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).recipient()
GRANT = issue(DEVICE, bytes(16), DataKey.generate(), Constraints())
ROOTS = RootsDocument.first(KEYS[:2], 1)
GRANT_BYTES, ENVELOPE_BYTES = GRANT.to_bytes(), ENVELOPE.to_bytes()
LINE = format_recipient(DEVICE)
PAGES = Pages.allocate(1)
ROLES = {"a/root": TufRole(1, bytes(32)), "a/timestamp": TufRole(1, bytes(32))}


class Limit(NamedTuple):
    module: ModuleType
    name: str
    size: int
    work: Callable[[], object]
    error: type[KeepError]


def removing(count: int) -> RootsDocument:
    return replace(ROOTS, number=2, set=bytes(32), removed=frozenset(bytes([n]) * 32 for n in range(count)))


LIMITS = (
    Limit(grant, "LARGEST_GRANT", len(GRANT_BYTES), GRANT.to_bytes, MalformedError),
    Limit(
        grant,
        "LARGEST_GRANT",
        len(GRANT_BYTES),
        lambda: grant.Grant.from_bytes(GRANT_BYTES),
        MalformedError,
    ),
    Limit(oms, "LARGEST_DOCUMENT", len(DOCUMENT), lambda: oms.parse(DOCUMENT), MalformedError),
    Limit(
        envelope,
        "LARGEST_FILE",
        len(ENVELOPE_BYTES),
        lambda: envelope.Envelope.from_bytes(ENVELOPE_BYTES),
        MalformedError,
    ),
    Limit(envelope, "LARGEST_FILE", len(ENVELOPE_BYTES), ENVELOPE.to_bytes, UsageError),
    Limit(envelope, "MOST_SIGNATURES", 1, ENVELOPE.to_bytes, UsageError),
    Limit(roots_document, "MOST_ROOTS", 2, lambda: replace(ROOTS), UsageError),
    Limit(roots_document, "MOST_REMOVED", 2, lambda: removing(2), UsageError),
    Limit(
        trust_editing,
        "MOST_PUBLISHERS",
        2,
        lambda: trust_editing.with_publisher(TRUST, KEYS[1], ("m",)),
        UsageError,
    ),
    Limit(
        trust_editing,
        "MOST_REVOKED",
        2,
        lambda: trust_editing.with_revoked(TRUST, keys=("a", "b"), bundles=(b"a",)),
        UsageError,
    ),
    Limit(
        trust_editing,
        "LARGEST_SIGSTORE_ROOT",
        2,
        lambda: trust_editing.with_sigstore_root(TRUST, b"{}"),
        UsageError,
    ),
    Limit(
        ticket,
        "MOST_ACTS",
        2,
        lambda: Ticket(bytes(32), bytes(16), (ForgetQuarantine(), SetTime(1))),
        UsageError,
    ),
    Limit(tuf_roles, "MOST_ROLES", 2, lambda: with_roles({}, ROLES), StorageError),
    Limit(
        obeying,
        "MOST_ADOPTERS",
        2,
        lambda: obeying._adopt(Contents(), frozenset({b"a", b"b"})),
        RefusedError,
    ),
    Limit(
        secret,
        "LONGEST_DEVICE_ID",
        2,
        lambda: secret._device_id(memoryview(b"\2ab" + bytes(62))),
        MalformedError,
    ),
)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.name}-{limit.error.__name__}")
def test_a_limit_is_reached_and_not_crossed(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit.module, limit.name, limit.size)
    limit.work()
    monkeypatch.setattr(limit.module, limit.name, limit.size - 1)
    with pytest.raises(limit.error):
        limit.work()


def member(take: Callable[[Record], object]) -> Callable[[object], object]:
    return lambda value: take(Record({"m": value}, "thing"))


# What reads a value, one that is taken, and one that is not.
VALUES: dict[str, tuple[Callable[[Any], object], object, object]] = {
    "text": (member(lambda record: record.text("m", longest=3)), "abc", "abcd"),
    "text by default": (member(lambda record: record.text("m")), "a" * 1024, "a" * 1025),
    "integer": (member(lambda record: record.integer("m", lowest=2, highest=3)), 3, 4),
    "lowest": (member(lambda record: record.integer("m", lowest=2, highest=3)), 2, 1),
    "integer by default": (member(lambda record: record.integer("m")), 2**53 - 1, 2**53),
    "lowest by default": (member(lambda record: record.integer("m")), 0, -1),
    "items": (member(lambda record: record.items("m", longest=2)), [1, 2], [1, 2, 3]),
    "base64": (member(lambda record: record.base64("m", longest=4)), "AAAAAA==", "AAAAAAA="),
    "issuer": (member(lambda record: manifest._issuer(record, record.anything("m"))), "ab" * 512, "ab" * 513),
    "hint": (lambda text: oms._hint(Record({"hint": text}, "key")), "h" * 128, "h" * 129),
    "resource": (
        lambda text: statement._resource({"algorithm": "sha256", "name": text, "digest": "00" * 32}),
        "n" * 4096,
        "n" * 4097,
    ),
    "signature of a grant": (
        lambda text: grant._signature(Record({"issuer": "00" * 32, "signature": text}, "grant")),
        base64.b64encode(bytes(256)).decode(),
        base64.b64encode(bytes(257)).decode(),
    ),
    "words of a recipient": (parse_recipient, f"{LINE} pi-17", f"{LINE} pi-17 pi-18"),
    "shortest recipient": (parse_recipient, LINE, LINE.partition(" ")[0]),
    "threshold of roots": (lambda count: Roots.of_keys(KEYS, count), 3, 4),
    "lowest threshold of roots": (lambda count: Roots.of_keys(KEYS, count), 1, 0),
    "threshold of a document": (lambda count: RootsDocument.first(KEYS, count), 3, 4),
    "lowest threshold of a document": (lambda count: RootsDocument.first(KEYS, count), 1, 0),
    "first trust file": (lambda number: trust_editing.first(number, 5), 1, 0),
    "end of a trust file": (lambda end: trust_editing.first(1, end), LATEST_TIME, LATEST_TIME + 1),
    "beginning of times": (lambda end: trust_editing.first(1, end), 0, -1),
    "time of a publisher": (
        lambda end: trust_editing.with_publisher(TRUST, KEYS[1], ("*",), not_before=5, not_after=end),
        5,
        4,
    ),
    "end of a grant": (lambda end: Constraints(not_after=end), LATEST_TIME, LATEST_TIME + 1),
    "beginning of a grant": (lambda begin: Constraints(not_before=begin), 0, -1),
    "postures": (lambda count: Constraints(posture=tuple(f"p{n}" for n in range(count))), 16, 17),
    "cost": (lambda log_n: PassphraseRecipient(PAGES, log_n), 20, 21),
    "lowest cost": (lambda log_n: PassphraseRecipient(PAGES, log_n), 14, 13),
    "name of an identity": (lambda text: SigstoreSigner(text, "issuer"), "n" * 1024, "n" * 1025),
    "issuer of an identity": (lambda text: SigstoreSigner("n", text), "i", ""),
    "lowest age": (lambda age: MaximumAge(datetime.timedelta(microseconds=age)), 1, 0),
    "place of a release": (
        lambda epoch: Floor(ReleaseOrder(7, 5), name(1)).check(ReleaseOrder(epoch, 5), name(1)),
        7,
        6,
    ),
    "memory": (passphrase._check_memory, 1, 2**60),
    "version of a role": (lambda number: with_roles(ROLES, {"a/root": TufRole(number, bytes(32))}), 1, 0),
}


@pytest.mark.parametrize("kind", VALUES)
def test_one_more_or_one_less_is_refused(kind: str) -> None:
    read, taken, refused = VALUES[kind]
    read(taken)
    with pytest.raises(KeepError):
        read(refused)


def test_the_largest_size_in_octal_digits_is_the_last_one() -> None:
    assert header("payload/1", 8**11 - 1)[124:136] == b"7" * 11 + b"\0"
    assert header("payload/1", 8**11)[124] == 0x80
