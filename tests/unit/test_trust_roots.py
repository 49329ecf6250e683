"""Who signs trust files: loose keys, and a chain of documents that travels with the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import (
    MalformedError,
    RollbackError,
    SignatureError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.trust.document_report import changes
from modelkeep.trust.envelope import MOST_DOCUMENTS, Envelope, Kind
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.signer import Signer
from modelkeep.trust.trust_file import TrustFile

A, B, C, D, E = (Signer(ec.generate_private_key(ec.SECP256R1())) for _ in range(5))
PUBLISHER = Publisher(E.public_key, ("*",))


def name(signer: Signer) -> str:
    return public_key.fingerprint(signer.public_key)


def keys(*signers: Signer) -> list[ec.EllipticCurvePublicKey]:
    return [signer.public_key for signer in signers]


def signed(document: RootsDocument, *signers: Signer) -> Envelope:
    envelope = Envelope(Kind.ROOTS, document.to_bytes())
    for signer in signers:
        envelope = envelope.signed(signer)
    return envelope


FIRST = RootsDocument.first(keys(A, B, C), 2)
SECOND = FIRST.following(add=keys(D), remove=[name(A)])
THIRD = SECOND.following(remove=[name(B)], threshold=1)
ONE = signed(FIRST, A, B)
TWO = signed(SECOND, A, B, D)
THREE = signed(THIRD, B, C)
DEVICE = Roots.of_document(ONE.to_bytes())


def trust(
    document: RootsDocument, *signers: Signer, documents: Sequence[Envelope] = (), number: int = 1
) -> bytes:
    return TrustFile(number, LATEST_TIME, (PUBLISHER,), named_roots=RootsName.of(document)).to_bytes(
        *signers, documents=documents
    )


def test_documents_read_back_as_they_were_written() -> None:
    for document in (FIRST, SECOND, THIRD):
        assert RootsDocument.from_bytes(document.to_bytes()) == document
    assert (SECOND.set, SECOND.number, SECOND.threshold) == (FIRST.digest, 2, 2)
    assert SECOND.removed == {bytes.fromhex(name(A))}
    assert set(THIRD.keys) == {name(C), name(D)}
    assert Envelope.from_bytes(TWO.to_bytes()) == TWO


def test_a_device_follows_the_chain_that_the_trust_file_brings() -> None:
    read = TrustFile.from_bytes(trust(THIRD, D, documents=[ONE, TWO, THREE]), DEVICE)
    assert read.roots is not None
    assert read.roots.set == FIRST.digest
    assert read.roots.documents == {1: FIRST.digest, 2: SECOND.digest, 3: THIRD.digest}
    assert read.roots.fingerprints == {bytes.fromhex(name(each)) for each in (C, D)}
    assert read.roots.threshold == 1
    assert TrustFile.from_bytes(trust(FIRST, A, C), DEVICE).number == 1


@pytest.mark.parametrize("known", [ONE, TWO, THREE])
def test_any_document_of_the_chain_is_a_beginning(known: Envelope) -> None:
    read = TrustFile.from_bytes(
        trust(THIRD, C, documents=[ONE, TWO, THREE]), Roots.of_document(known.to_bytes())
    )
    assert read.roots is not None
    assert read.roots.set == FIRST.digest
    assert read.roots.newest == THIRD
    # What was followed once is a beginning, too.
    again = trust(THIRD, D, documents=[ONE, TWO, THREE], number=2)
    assert TrustFile.from_bytes(again, read.roots).number == 2
    with pytest.raises(RollbackError, match="replaced since"):
        TrustFile.from_bytes(trust(SECOND, B, D, documents=[ONE, TWO]), read.roots)


def test_the_roots_of_before_sign_no_more() -> None:
    with pytest.raises(SignatureError, match="0 of its roots"):
        TrustFile.from_bytes(trust(THIRD, A, B, documents=[ONE, TWO, THREE]), DEVICE)
    # A file of the first roots, without the documents: only what a device remembers stands against it.
    assert TrustFile.from_bytes(trust(FIRST, A, B), DEVICE).roots == DEVICE
    for newer in (TWO, THREE):
        with pytest.raises((SignatureError, RollbackError)):
            TrustFile.from_bytes(trust(FIRST, A, B, C), Roots.of_document(newer.to_bytes()))
    with pytest.raises(RollbackError, match="replaced since"):
        TrustFile.from_bytes(trust(FIRST, C, B), Roots.of_document(TWO.to_bytes()))


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (signed(SECOND, A, D), "1 of its roots"),
        (signed(SECOND, A, C), "1 of its roots"),
        (signed(SECOND, D, E), "0 of its roots|1 of its roots"),
        (signed(replace(SECOND, number=3), A, B, D), "does not follow"),
        (signed(replace(SECOND, set=bytes(32)), A, B, D), "does not follow"),
        (signed(replace(SECOND, removed=frozenset()), A, B, D), "all keys that were removed"),
        (signed(RootsDocument.first(keys(A, B), 1), A), "does not follow"),
    ],
)
def test_documents_that_do_not_follow(second: Envelope, reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        TrustFile.from_bytes(trust(SECOND, B, D, documents=[ONE, second]), DEVICE)


def test_another_document_with_the_number_of_a_known_one() -> None:
    other = signed(FIRST.following(add=keys(E), remove=[name(A)]), A, B, E)
    with pytest.raises(SignatureError, match="two roots documents with number 2"):
        Roots.of_document(TWO.to_bytes()).following([ONE, other])
    with pytest.raises(SignatureError, match="two roots documents with number 2"):
        Roots.of_document(TWO.to_bytes()).following([other])


def test_a_chain_is_shown_from_its_first_document() -> None:
    for brought in ([TWO, THREE], [THREE]):
        with pytest.raises(SignatureError, match="from the first one on"):
            TrustFile.from_bytes(trust(THIRD, C, documents=brought), Roots.of_document(TWO.to_bytes()))
    with pytest.raises(SignatureError, match="from the first one on"):
        TrustFile.from_bytes(trust(THIRD, C), Roots.of_document(THREE.to_bytes()))
    # Anybody can write the name of another chain into a document that is not the first.
    stranger = Signer(ec.generate_private_key(ec.SECP256R1()))
    claimed = RootsDocument(9, FIRST.digest, {name(stranger): stranger.public_key}, 1)
    for brought in ([], [signed(claimed, stranger)], [ONE, signed(claimed, stranger)]):
        with pytest.raises(SignatureError, match=r"from the first one on|does not follow"):
            data = trust(claimed, stranger, documents=brought)
            TrustFile.from_bytes(data, Roots.of_document(signed(claimed, stranger).to_bytes()))


def test_gaps_in_the_chain() -> None:
    with pytest.raises(SignatureError, match="does not follow document 1"):
        TrustFile.from_bytes(trust(THIRD, C, documents=[ONE, THREE]), DEVICE)


def test_a_key_that_was_removed_never_comes_back() -> None:
    with pytest.raises(UsageError, match="never comes back"):
        SECOND.following(add=keys(A))
    again = {**THIRD.keys, name(A): A.public_key}
    returned = replace(THIRD, removed=frozenset({bytes.fromhex(name(B))}), keys=again)
    with pytest.raises(SignatureError, match="all keys that were removed"):
        DEVICE.following([ONE, TWO, signed(returned, B, C)])
    payload = canonical.decode(THIRD.to_bytes(), "document")
    pem = {public_key.fingerprint(key): public_key.to_pem(key).decode() for key in keys(A, C, D)}
    payload["keys"] = [pem[each] for each in sorted(pem)]
    with pytest.raises(MalformedError, match="never comes back"):
        RootsDocument.from_bytes(canonical.encode(payload))


def test_a_trust_file_of_another_chain_or_of_none() -> None:
    other = RootsDocument.first(keys(A, B), 1)
    for data in (trust(other, A, B), TrustFile(1, LATEST_TIME, (PUBLISHER,)).to_bytes(A, B)):
        with pytest.raises(SignatureError, match="not one of these roots"):
            TrustFile.from_bytes(data, DEVICE)
    named = RootsName(FIRST.digest, 2)
    ahead = TrustFile(1, LATEST_TIME, (PUBLISHER,), named_roots=named).to_bytes(A, B)
    with pytest.raises(SignatureError, match="not one of these roots"):
        TrustFile.from_bytes(ahead, DEVICE)


def test_loose_keys_take_no_notice_of_a_chain() -> None:
    read = TrustFile.from_bytes(trust(THIRD, C, D, documents=[ONE, TWO, THREE]), keys(C, D), 2)
    assert read.roots is not None
    assert (read.roots.set, dict(read.roots.documents)) == (None, {})
    assert read.roots.fingerprints == {bytes.fromhex(name(each)) for each in (C, D)}


def test_a_document_that_its_own_roots_did_not_sign_begins_nothing() -> None:
    for document in (signed(FIRST, A), signed(FIRST), signed(SECOND, A, B)):
        with pytest.raises(SignatureError, match="and 2 are needed"):
            Roots.of_document(document.to_bytes())
    with pytest.raises(SignatureError, match="another kind"):
        Roots.of_document(trust(FIRST, A, B))
    with pytest.raises(SignatureError, match="another kind"):
        TrustFile.from_bytes(ONE.to_bytes(), DEVICE)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "modelkeep/trust"},
        {"number": 0},
        {"number": 1},
        {"set": "ab"},
        {"threshold": 0},
        {"threshold": 4},
        {"keys": []},
        {"keys": ["no key"]},
        {"keys": [5]},
        {"removed": ["ab"]},
        {"removed": ["bb" * 32, "aa" * 32]},
        {"colour": "red"},
        {"ext": {}},
    ],
)
def test_signed_nonsense_is_malformed(changes: dict[str, object]) -> None:
    payload = canonical.decode(SECOND.to_bytes(), "document")
    with pytest.raises(MalformedError):
        RootsDocument.from_bytes(canonical.encode(payload | changes))


def test_keys_stand_in_order_and_newer_versions_say_so() -> None:
    payload = canonical.decode(SECOND.to_bytes(), "document")
    for texts in (payload["keys"][::-1], payload["keys"] + payload["keys"][-1:]):
        with pytest.raises(MalformedError, match="ascending order"):
            RootsDocument.from_bytes(canonical.encode(payload | {"keys": texts}))
    with pytest.raises(UnsupportedVersionError):
        RootsDocument.from_bytes(canonical.encode(payload | {"version": 2}))


def test_what_travels_along_is_roots_documents_and_not_too_many() -> None:
    file = Envelope(Kind.TRUST, b"payload")
    for inner in (Envelope(Kind.TRUST, b""), Envelope(Kind.ROOTS, b"", documents=(ONE,))):
        with pytest.raises(MalformedError, match="must list roots documents"):
            Envelope.from_bytes(replace(file, documents=(inner,)).to_bytes())
    full = replace(file, documents=(ONE,) * MOST_DOCUMENTS)
    assert Envelope.from_bytes(full.to_bytes()) == full
    with pytest.raises(UsageError, match="64 roots documents"):
        replace(file, documents=(ONE,) * (MOST_DOCUMENTS + 1)).to_bytes()
    members = canonical.decode(file.to_bytes(), "file")
    with pytest.raises(MalformedError, match="must list roots documents"):
        Envelope.from_bytes(canonical.encode(members | {"documents": []}))


def test_a_key_that_is_no_root_is_not_removed() -> None:
    with pytest.raises(UsageError, match="is not among the roots"):
        FIRST.following(remove=[name(E)])


def test_what_a_document_of_roots_takes_away_is_shown_and_what_it_leaves_is_not() -> None:
    found = changes(ONE, TWO, 0)
    gone, come = ([each for each in found if each.startswith(sign)] for sign in "-+")
    assert any(name(A) in each for each in gone)
    assert any(name(D) in each for each in come)
    assert not any(name(B) in each for each in found)
