"""What the documents of roots say to people, and what is said to be new in one: word by word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError, UsageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import document_report, trust_payload, trust_report
from modelkeep.trust.document_report import DocumentReport
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.signer import Signer
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.ticket import Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from support.time_authority import certificate

A, B, C = (Signer(ec.generate_private_key(ec.SECP256R1())) for _ in range(3))
AUTHORITY = certificate("time root")[1]
NAMES = [public_key.fingerprint(each.public_key) for each in (A, B, C)]
LIMITED = Publisher(A.public_key, ("acme/*", "other"), ("vision", "", "*"), 10, 20)
FREE = Publisher(B.public_key, ("*",))
NAMED = Publisher(SigstoreSigner("me@acme.example", "https://login.example"), ("m",), ())
FULL = TrustFile(
    7,
    86_400,
    (LIMITED, FREE, NAMED),
    frozenset({NAMES[1]}),
    frozenset({bytes([1]) * 16}),
    frozenset({bytes([2]) * 16}),
    {"acme/detector": ReleaseOrder(3, 60)},
    (AUTHORITY,),
    "{}",
    RootsName(bytes([3]) * 32, 4),
)
EMPTY = TrustFile(1, LATEST_TIME, ())
JSON = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # SHA-256 of {}


def words_of_authority() -> str:
    digest = AUTHORITY.fingerprint(hashes.SHA256()).hex()
    return f"'CN=time root'  certificate sha256:{digest}"


def test_a_trust_file_in_lines() -> None:
    scope = 'families: "vision", "" (without a name), every family'
    assert trust_report.statements(FULL, 86_401) == [
        "number         7",
        "expires        1970-01-02T00:00:00Z  (has expired)",
        f"publisher      sha256:{NAMES[0]}  models: acme/*, other  {scope}"
        "  from 1970-01-01T00:00:10Z  until 1970-01-01T00:00:20Z",
        f"publisher      sha256:{NAMES[1]}  every model  every family  revoked",
        "publisher      me@acme.example (by https://login.example)  models: m  families: none",
        f"revoked key    sha256:{NAMES[1]}",
        f"revoked bundle {'01' * 16}",
        f"void bundle    {'02' * 16}",
        "floor          acme/detector  epoch 3, sealed 1970-01-01T00:01:00Z",
        f"authority      {words_of_authority()}",
        f"sigstore root  sha256:{JSON}",
        f"roots          document 4 of chain sha256:{'03' * 32}",
    ]
    assert trust_report.statements(FULL, 86_400)[1] == "expires        1970-01-02T00:00:00Z"
    assert trust_report.statements(EMPTY, 5) == ["number         1", "expires        never"]


def test_a_trust_file_as_facts() -> None:
    beginning, end = "1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z"
    assert trust_report.facts(FULL, 86_401) == {
        "number": 7,
        "expires": "1970-01-02T00:00:00Z",
        "expired": True,
        "publishers": [
            {
                "key": NAMES[0],
                "models": ["acme/*", "other"],
                "families": ["vision", "", "*"],
                "not_before": beginning,
                "not_after": end,
                "revoked": False,
            },
            {
                "key": NAMES[1],
                "models": ["*"],
                "families": ["*"],
                "not_before": None,
                "not_after": None,
                "revoked": True,
            },
            {
                "identity": "me@acme.example",
                "issuer": "https://login.example",
                "models": ["m"],
                "families": [],
                "not_before": None,
                "not_after": None,
                "revoked": False,
            },
        ],
        "revoked": {"keys": [NAMES[1]], "bundles": ["01" * 16]},
        "void": ["02" * 16],
        "floors": {"acme/detector": {"epoch": 3, "sealed_at": "1970-01-01T00:01:00Z"}},
        "authorities": [words_of_authority()],
        "sigstore_root": JSON,
        "chain": {"set": "03" * 32, "number": 4},
    }
    assert trust_report.facts(FULL, 86_400)["expired"] is False
    empty = trust_report.facts(EMPTY, 5)
    assert (empty["expires"], empty["sigstore_root"], empty["chain"]) == (None, None, None)


def test_what_is_new_in_a_trust_file() -> None:
    changed = replace(FULL, number=8, publishers=(LIMITED, FREE, replace(NAMED, models=("m", "n"))))
    assert trust_report.changes(FULL, FULL, 5) == []
    assert trust_report.changes(FULL, changed, 5) == [
        "- number         7",
        "- publisher      me@acme.example (by https://login.example)  models: m  families: none",
        "+ number         8",
        "+ publisher      me@acme.example (by https://login.example)  models: m, n  families: none",
    ]
    turned = replace(FULL, publishers=(FREE, NAMED, LIMITED))
    assert trust_report.changes(FULL, turned, 5) == ["+ the same publishers in another order"]
    # One of two that say the same goes, and a revoked publisher is another one.
    twice = replace(EMPTY, publishers=(FREE, FREE))
    line = f"publisher      sha256:{NAMES[1]}  every model  every family"
    assert trust_report.changes(twice, replace(twice, publishers=(FREE,)), 5) == [f"- {line}"]
    revoking = replace(twice, publishers=(FREE,), revoked_keys=frozenset({NAMES[1]}))
    assert trust_report.changes(replace(revoking, revoked_keys=frozenset()), revoking, 5) == [
        f"- {line}",
        f"+ {line}  revoked",
        f"+ revoked key    sha256:{NAMES[1]}",
    ]


def test_who_signed_a_document() -> None:
    payload = Ticket(bytes(32), bytes(16), (SetTime(5),)).to_bytes()
    signed = Envelope(Kind.TICKET, payload).signed(A).signed(B)
    names = {"one": A.public_key, "three": C.public_key, "three again": C.public_key}
    report = DocumentReport.of(signed, names, 2)
    assert (report.roots, report.threshold, report.signed_by) == (2, 2, {NAMES[0]: "one"})
    assert report.lines(5)[-3:] == [
        f"signature      sha256:{NAMES[0]}, root one",
        f"signature      sha256:{NAMES[1]}, counts nothing: of none of these roots, or broken",
        "signed by      1 of 2 roots; 2 are needed",
    ]
    facts = report.facts(5)
    assert facts["signatures"] == [{"key": NAMES[0], "root": "one"}, {"key": NAMES[1], "root": None}]
    assert facts["roots"] == {"given": 2, "signed": 1, "threshold": 2}
    unchecked = DocumentReport.of(signed, {})
    assert unchecked.threshold == 1
    assert unchecked.lines(5)[-2:] == [f"signature      sha256:{each}, not checked" for each in NAMES[:2]]
    assert DocumentReport.of(Envelope(Kind.TICKET, payload), {}).lines(5)[-1] == "signed by      nobody yet"


def test_a_roots_document_and_a_ticket_in_lines_and_as_facts() -> None:
    first = RootsDocument.first([A.public_key, B.public_key], 2)
    second = first.following(remove=[NAMES[0]], threshold=1)
    roots = Envelope(Kind.ROOTS, second.to_bytes())
    assert document_report.statements(roots, 5) == [
        f"roots          document 2 of chain sha256:{first.digest.hex()}",
        "threshold      1 of 1",
        f"root           sha256:{NAMES[1]}",
        f"removed        sha256:{NAMES[0]}",
    ]
    assert DocumentReport.of(roots, {}).facts(5) | {"signatures": [], "roots": {}} == {
        "number": 2,
        "set": first.digest.hex(),
        "keys": [NAMES[1]],
        "threshold": 1,
        "removed": [NAMES[0]],
        "signatures": [],
        "roots": {},
    }
    before, _chain = Envelope(Kind.ROOTS, first.to_bytes()), first.digest.hex()
    assert document_report.statements(before, 5)[0].endswith(
        f"document 1 of chain sha256:{first.digest.hex()}"
    )
    assert DocumentReport.of(before, {}).facts(5)["set"] == first.digest.hex()
    acts = (
        Void(bytes(16)),
        SetTime(60),
        ForgetQuarantine(),
        Adopt(9, (("acme/detector", ReleaseOrder(3, 60)),)),
    )
    ticket = Ticket(bytes([1]) * 32, bytes([2]) * 16, acts)
    assert document_report.statements(Envelope(Kind.TICKET, ticket.to_bytes()), 5) == [
        f"device         sha256:{'01' * 32}",
        f"generation     {'02' * 16}",
        f"void bundle    {'00' * 16}",
        "set the time   1970-01-01T00:01:00Z",
        "forget         what failed its trial",
        "adopt          the state at hand, as number 9 of the counter",
        "  brings back  acme/detector  epoch 3, sealed 1970-01-01T00:01:00Z",
    ]
    assert DocumentReport.of(Envelope(Kind.TICKET, ticket.to_bytes()), {}).facts(5)["device"] == "01" * 32


def test_what_is_new_in_another_document() -> None:
    first = RootsDocument.first([A.public_key, B.public_key], 2)
    old, new = (Envelope(Kind.ROOTS, each.to_bytes()) for each in (first, first.following(threshold=1)))
    chain = first.digest.hex()
    assert document_report.changes(old, new, 5) == [
        f"- roots          document 1 of chain sha256:{chain}",
        "- threshold      2 of 2",
        f"+ roots          document 2 of chain sha256:{chain}",
        "+ threshold      1 of 2",
    ]
    turned = replace(FULL, publishers=(FREE, NAMED, LIMITED))
    full, other = (Envelope(Kind.TRUST, trust_payload.encode(each)) for each in (FULL, turned))
    assert document_report.changes(full, other, 5) == ["+ the same publishers in another order"]
    assert document_report.statements(full, 5) == trust_report.statements(FULL, 5)
    assert DocumentReport.of(full, {}).facts(5)["number"] == 7
    with pytest.raises(UsageError, match="a trust file does not follow a roots document"):
        document_report.changes(old, full, 5)


def test_what_roots_do_not_sign_is_not_told() -> None:
    roster = Envelope(Kind.ROSTER, b"{}")
    with pytest.raises(MalformedError, match="nothing that roots sign"):
        document_report.statements(roster, 5)
    with pytest.raises(MalformedError, match="nothing that roots sign"):
        DocumentReport.of(roster, {}).facts(5)
