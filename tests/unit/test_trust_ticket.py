"""Tickets: written and read, and whose word they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError, SignatureError, UnsupportedVersionError, UsageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.ticket import Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier

ROOTS = [Signer(ec.generate_private_key(ec.SECP256R1())) for _ in range(3)]
PUBLISHER = Signer(ec.generate_private_key(ec.SECP384R1()))
MARKS = (("acme/detector", ReleaseOrder(3, 100)),)
TICKET = Ticket(bytes(32), bytes(16), (Void(bytes(16)), SetTime(5), ForgetQuarantine(), Adopt(7, MARKS)))


def signed(*signers: Signer, payload: bytes | None = None) -> bytes:
    envelope = Envelope(Kind.TICKET, TICKET.to_bytes() if payload is None else payload)
    for signer in signers:
        envelope = envelope.signed(signer)
    return envelope.to_bytes()


def by_roots(threshold: int = 2, expires: int = LATEST_TIME) -> Verifier:
    data = TrustFile(1, expires, (Publisher(PUBLISHER.public_key, ("*",)),)).to_bytes(*ROOTS)
    trust = TrustFile.from_bytes(data, [root.public_key for root in ROOTS], threshold)
    return Verifier.from_trust_file(trust, model=UnsafeAnyModel())


def by_key() -> Verifier:
    return Verifier(PUBLISHER.public_key, ROOTS[0].public_key, model=UnsafeAnyModel())


def test_what_is_written_reads_back() -> None:
    assert Ticket.from_bytes(TICKET.to_bytes()) == TICKET


def test_a_threshold_of_roots_may_say_everything_whatever_the_time() -> None:
    for verifier in (by_roots(), by_roots(expires=0)):
        verified = verifier.verify_ticket(signed(ROOTS[2], PUBLISHER, ROOTS[0]))
        assert verified.ticket == TICKET
        # Of those who signed, its roots are named.
        assert verified.signers == {
            bytes.fromhex(public_key.fingerprint(ROOTS[each].public_key)) for each in (0, 2)
        }


@pytest.mark.parametrize("signers", [[], ROOTS[:1], [PUBLISHER], [PUBLISHER, ROOTS[0]]])
def test_a_publisher_is_no_root(signers: list[Signer]) -> None:
    with pytest.raises(SignatureError, match="and 2 are needed"):
        by_roots().verify_ticket(signed(*signers))


def test_without_trust_file_the_keys_that_signed_are_named() -> None:
    verified = by_key().verify_ticket(signed(PUBLISHER, ROOTS[1]))
    assert verified.signers == frozenset({bytes.fromhex(public_key.fingerprint(PUBLISHER.public_key))})
    with pytest.raises(SignatureError):
        by_key().verify_ticket(signed(ROOTS[1]))


def test_who_trusts_nobody_takes_no_ticket() -> None:
    with pytest.raises(UsageError, match="nobody is trusted"):
        UnsafeUnsigned().verify_ticket(signed(PUBLISHER))
    own = TrustFile(1, LATEST_TIME, (Publisher(PUBLISHER.public_key, ("*",)),))
    with pytest.raises(SignatureError, match="not verified with roots"):
        Verifier.from_trust_file(own, model=UnsafeAnyModel()).verify_ticket(signed(PUBLISHER))


def test_documents_of_other_kinds() -> None:
    trust = TrustFile(1, LATEST_TIME, ()).to_bytes(*ROOTS)
    with pytest.raises(SignatureError, match="another kind: a trust file"):
        by_roots().verify_ticket(trust)
    envelope = Envelope(Kind.TICKET, TICKET.to_bytes())
    # A signature over another kind of document does not stand for this one.
    for root in ROOTS[:2]:
        foreign = root.sign(dsse.pae(Kind.TRUST.value, TICKET.to_bytes()))
        claimed = (public_key.fingerprint(root.public_key), foreign)
        envelope = replace(envelope, signatures=(*envelope.signatures, claimed))
    with pytest.raises(SignatureError, match="0 of its roots"):
        by_roots().verify_ticket(envelope.to_bytes())


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "modelkeep/trust"},
        {"device": "ab"},
        {"generation": "ab"},
        {"acts": []},
        {"acts": [5]},
        {"acts": [{"act": "void"}]},
        {"acts": [{"act": "void", "bundle": "00" * 16, "more": 1}]},
        {"acts": [{"act": "time", "time": LATEST_TIME + 1}]},
        {"acts": [{"act": "adopt", "counter": 1, "marks": [{"model": "a//b", "epoch": 1, "sealed_at": 1}]}]},
        {"acts": [{"act": "forget-quarantine"}] * 65},
        {"colour": "red"},
        {"ext": {}},
        {"acts": [{"act": "forget-quarantine", "ext": {}}]},
    ],
)
def test_signed_nonsense_is_malformed(changes: dict[str, object]) -> None:
    payload = canonical.decode(TICKET.to_bytes(), "ticket") | changes
    with pytest.raises(MalformedError):
        by_roots().verify_ticket(signed(*ROOTS, payload=canonical.encode(payload)))


@pytest.mark.parametrize("changes", [{"version": 2}, {"acts": [{"act": "dance"}]}])
def test_what_this_version_does_not_know_is_not_done_in_part(changes: dict[str, object]) -> None:
    payload = canonical.decode(TICKET.to_bytes(), "ticket") | changes
    with pytest.raises(UnsupportedVersionError):
        Ticket.from_bytes(canonical.encode(payload))


def test_tickets_that_cannot_be_meant() -> None:
    act = ForgetQuarantine()
    for device, generation, acts in (
        (bytes(31), bytes(16), (act,)),
        (bytes(32), bytes(15), (act,)),
        (bytes(32), bytes(16), ()),
        (bytes(32), bytes(16), (act,) * 65),
    ):
        with pytest.raises(UsageError):
            Ticket(device, generation, acts)
