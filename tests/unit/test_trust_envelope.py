"""Envelopes of what several keys sign: whose signature holds, and what replaces one that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, public_key
from modelkeep.errors import MalformedError, SignatureError
from modelkeep.trust.envelope import OF_ROOTS, Envelope, Kind
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument
from modelkeep.trust.signer import Signer

A, B, C, D = (Signer(ec.generate_private_key(ec.SECP256R1())) for _ in range(4))
KEYS = {public_key.fingerprint(each.public_key): each.public_key for each in (A, B)}
NAMES = list(KEYS)
BARE = Envelope(Kind.TRUST, b"payload")


class Faulty(Signer):
    """Signs something else."""

    def sign(self, message: bytes) -> bytes:
        return super().sign(message + b"!")


def test_who_signed_is_who_is_known_and_whose_signature_holds() -> None:
    one = BARE.signed(A)
    assert BARE.signed_by(KEYS) == frozenset()
    assert one.signed_by(KEYS) == {NAMES[0]}
    assert one.signed(C).signed(B).signed_by(KEYS) == set(NAMES)
    assert replace(one, payload=b"other").signed_by(KEYS) == frozenset()
    assert replace(one, kind=Kind.TICKET).signed_by(KEYS) == frozenset()
    assert one.check_signed(KEYS, 1) == {NAMES[0]}
    assert one.signed(B).check_signed(KEYS, 2) == set(NAMES)
    with pytest.raises(SignatureError, match="trust file is signed by 1 of its roots, and 2 are needed"):
        one.check_signed(KEYS, 2)
    with pytest.raises(SignatureError, match="roster is signed by 0 of its operators, and 1 are needed"):
        replace(one, kind=Kind.ROSTER).check_signed(KEYS, 1)


def test_a_key_signs_once_and_what_did_not_hold_makes_room() -> None:
    one = BARE.signed(A)
    assert one.signed(A) is one
    broken = replace(one, payload=b"other")
    mended = broken.signed(A)
    assert [name for name, _ in mended.signatures] == [NAMES[0]]
    assert mended.signed_by(KEYS) == {NAMES[0]}
    assert [name for name, _ in broken.signed(B).signatures] == NAMES
    with pytest.raises(SignatureError):
        BARE.signed(Faulty(ec.generate_private_key(ec.SECP256R1())))


def test_what_comes_along_is_left_out_when_it_is_asked_for() -> None:
    roots = Envelope(Kind.ROOTS, b"{}")
    signed = BARE.signed(A)
    carrying = replace(signed, documents=(roots,))
    assert Envelope.from_bytes(carrying.to_bytes()) == carrying
    assert carrying.bare() == signed


def test_kinds_are_told_apart() -> None:
    for kind in Kind:
        envelope = Envelope(kind, b"{}")
        assert Envelope.from_bytes(envelope.to_bytes(), kind) == envelope
        if kind in OF_ROOTS:
            assert Envelope.from_bytes(envelope.to_bytes()) == envelope
            continue
        with pytest.raises(SignatureError, match=f"of another kind: a {kind.words}"):
            Envelope.from_bytes(envelope.to_bytes())
    value = canonical.decode(BARE.to_bytes(), "test") | {"payloadType": "text/plain"}
    with pytest.raises(SignatureError, match="of another kind"):
        Envelope.from_bytes(canonical.encode(value))


def test_those_before_have_to_sign_and_enough_of_them() -> None:
    first = RootsDocument.first([A.public_key, B.public_key, C.public_key], 2)
    second = first.following(add=[D.public_key], remove=[NAMES[0]])
    begun = Envelope(Kind.ROOTS, first.to_bytes()).signed(A).signed(B)
    follows = Envelope(Kind.ROOTS, second.to_bytes()).signed(B).signed(D)
    known = Roots.of_document(begun.to_bytes())
    with pytest.raises(SignatureError, match="1 of its roots, and 2 are needed"):
        known.following([begun, follows])
    assert known.following([begun, follows.signed(C)]).newest == second
    assert Roots.of_keys([A.public_key, B.public_key]).threshold == 1


def test_removed_keys_stand_in_order_and_once() -> None:
    first = RootsDocument.first([A.public_key, B.public_key, C.public_key], 1)
    value = canonical.decode(first.following(remove=NAMES).to_bytes(), "test")
    assert value["removed"] == sorted(NAMES)
    for removed in (sorted(NAMES, reverse=True), [NAMES[0], NAMES[0]]):
        with pytest.raises(MalformedError, match="ascending order without repetition"):
            RootsDocument.from_bytes(canonical.encode(value | {"removed": removed}))
    pem = public_key.to_pem(C.public_key).decode()
    for keys in (["x" * 1025], [5], [pem, pem]):
        with pytest.raises(MalformedError, match="member 'keys'"):
            RootsDocument.from_bytes(canonical.encode(value | {"keys": keys}))
