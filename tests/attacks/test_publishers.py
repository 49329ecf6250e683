"""Publishers that are trusted for something else, and roots that were stolen or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import RefusedError, RollbackError, SignatureError, UntrustedSignerError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.signer import Signer
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.workshop import MODEL_ID, Workshop

HIGHEST = 2**53 - 1


def new_signer() -> Signer:
    return Signer(ec.generate_private_key(ec.SECP256R1()))


def verifier(workshop: Workshop, *publishers: Publisher, number: int = 1) -> Verifier:
    own = Publisher(workshop.signer.public_key, ("acme/*",))
    trust = TrustFile(number, LATEST_TIME, (own, *publishers))
    return Verifier.from_trust_file(trust, model=MODEL_ID)


def test_a_publisher_of_other_models_takes_none_over(workshop: Workshop) -> None:
    other = new_signer()
    for limits in (
        Publisher(other.public_key, ("audio/*",)),
        Publisher(other.public_key, ("audio/*",), ("audio",)),
        Publisher(other.public_key, ("acme/detectors", "acme/detector/*")),
    ):
        trusted = verifier(workshop, limits)
        # The signer writes the family as it likes, and the epoch.
        for family in ("", "audio"):
            taken = workshop.seal(signer=other, family=family, epoch=HIGHEST)
            with pytest.raises(UntrustedSignerError, match="may not sign model"):
                workshop.open(taken, verifier=trusted)
            target = workshop.folder / "taken.keep"
            with pytest.raises(UntrustedSignerError, match="may not sign model"):
                install(taken, target, identity=workshop.identity(), verifier=trusted)
            assert not target.exists()
    honest = workshop.folder / "honest.keep"
    install(workshop.seal(epoch=3), honest, identity=workshop.identity(), verifier=trusted)
    workshop.open(honest, verifier=trusted).close()


class Chain:
    """Three roots, of which the first was stolen and is replaced."""

    def __init__(self) -> None:
        self.stolen, self.second, self.third, self.fresh = (new_signer() for _ in range(4))
        keys = [each.public_key for each in (self.stolen, self.second, self.third)]
        self.first = RootsDocument.first(keys, 2)
        gone = [public_key.fingerprint(self.stolen.public_key)]
        self.next = self.first.following([self.fresh.public_key], gone)
        self.before = self.signed(self.first, self.stolen, self.second)
        self.after = self.signed(self.next, self.second, self.third, self.fresh)

    def signed(self, document: RootsDocument, *signers: Signer) -> Envelope:
        envelope = Envelope(Kind.ROOTS, document.to_bytes())
        for signer in signers:
            envelope = envelope.signed(signer)
        return envelope

    def trust(
        self, workshop: Workshop, document: RootsDocument, *signers: Signer, brought: Sequence[Envelope] = ()
    ) -> bytes:
        publisher = Publisher(workshop.signer.public_key, ("*",))
        trust = TrustFile(1, LATEST_TIME, (publisher,), named_roots=RootsName.of(document))
        return trust.to_bytes(*signers, documents=brought)


@pytest.fixture
def chain() -> Chain:
    return Chain()


def opens(workshop: Workshop, data: bytes, known: Envelope) -> None:
    trust = TrustFile.from_bytes(data, Roots.of_document(known.to_bytes()))
    workshop.open(workshop.seal(), verifier=Verifier.from_trust_file(trust, model=MODEL_ID)).close()


def test_a_device_follows_its_roots_and_a_root_that_was_replaced_signs_no_more(
    workshop: Workshop, chain: Chain
) -> None:
    for known in (chain.before, chain.after):
        own = chain.trust(workshop, chain.next, chain.third, chain.fresh, brought=[chain.before, chain.after])
        opens(workshop, own, known)
        with pytest.raises(SignatureError):
            forged = chain.trust(
                workshop, chain.next, chain.stolen, chain.third, brought=[chain.before, chain.after]
            )
            opens(workshop, forged, known)
    # To who knows the newer roots, a file of the older ones is an old one, whoever signed it.
    with pytest.raises(RollbackError, match="replaced since"):
        opens(workshop, chain.trust(workshop, chain.first, chain.second, chain.third), chain.after)
    with pytest.raises((RollbackError, SignatureError)):
        opens(workshop, chain.trust(workshop, chain.first, chain.stolen, chain.second), chain.after)


def test_roots_that_a_thief_appoints(workshop: Workshop, chain: Chain) -> None:
    thief = new_signer()
    others = [public_key.fingerprint(each.public_key) for each in (chain.second, chain.third)]
    own = chain.first.following([thief.public_key], others)
    appointed = chain.signed(own, chain.stolen, thief)
    with pytest.raises(SignatureError, match="1 of its roots"):
        opens(
            workshop,
            chain.trust(workshop, own, chain.stolen, thief, brought=[chain.before, appointed]),
            chain.before,
        )


def test_a_root_that_was_removed_does_not_return(workshop: Workshop, chain: Chain) -> None:
    keys = {public_key.fingerprint(each.public_key): each.public_key for each in (chain.stolen, chain.third)}
    returning = replace(chain.next, number=3, set=chain.first.digest, keys=keys, removed=frozenset())
    document = chain.signed(returning, chain.second, chain.third, chain.fresh, chain.stolen)
    data = chain.trust(
        workshop, returning, chain.stolen, chain.third, brought=[chain.before, chain.after, document]
    )
    with pytest.raises(SignatureError, match="all keys that were removed"):
        opens(workshop, data, chain.before)


def test_two_documents_with_one_number(workshop: Workshop, chain: Chain) -> None:
    other = chain.first.following(threshold=1)
    twin = chain.signed(other, chain.stolen, chain.second)
    with pytest.raises(SignatureError, match="two roots documents with number 2"):
        opens(workshop, chain.trust(workshop, other, chain.stolen, brought=[chain.before, twin]), chain.after)


def test_a_bundle_that_is_void_opens_nowhere(workshop: Workshop, tmp_path: Path) -> None:
    bundle = workshop.seal()
    with workshop.open(bundle, verifier=verifier(workshop)) as session:
        identifier = bytes.fromhex(session.report.bundle)
    publisher = Publisher(workshop.signer.public_key, ("*",))
    trust = TrustFile(2, LATEST_TIME, (publisher,), void=frozenset({identifier}))
    with pytest.raises(RefusedError, match="is revoked"):
        workshop.open(bundle, verifier=Verifier.from_trust_file(trust, model=MODEL_ID))


def by_roots(workshop: Workshop, root: Signer, number: int, *publishers: Publisher, **says: Any) -> Verifier:
    data = TrustFile(number, LATEST_TIME, publishers, **says).to_bytes(root)
    return Verifier.from_trust_file(TrustFile.from_bytes(data, [root.public_key]), model=UnsafeAnyModel())


def bundle_id(path: Path) -> bytes:
    with Bundle(path) as bundle:
        return bundle.unverified_manifest().bundle


def test_another_publishers_trust_file_makes_nothing_void_that_is_not_its_own(workshop: Workshop) -> None:
    own = Publisher(workshop.signer.public_key, ("acme/*",))
    stranger, root, other_root = new_signer(), new_signer(), new_signer()
    theirs = Publisher(stranger.public_key, ("audio/*",))
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    foreign = workshop.seal(signer=stranger, model="audio/steps")
    mine = by_roots(workshop, root, 1, own)
    install(new, workshop.folder / "new.keep", identity=workshop.identity(), verifier=mine)
    void = frozenset({bundle_id(new)})
    workshop.open(foreign, verifier=by_roots(workshop, other_root, 1, theirs, void=void)).close()
    with pytest.raises(RollbackError):
        workshop.open(old, verifier=mine)
    # Nor one that names the same publisher: it speaks for its own readers.
    workshop.open(foreign, verifier=by_roots(workshop, other_root, 2, theirs, own, void=void)).close()
    with pytest.raises(RollbackError):
        workshop.open(old, verifier=mine)
    # Its own trust file may: the release with the mistyped epoch is out of the way.
    workshop.open(old, verifier=by_roots(workshop, root, 2, own, void=void)).close()


def test_a_key_that_is_revoked_locks_nobody_out_and_lets_nothing_old_back_in(workshop: Workshop) -> None:
    own, stolen = Publisher(workshop.signer.public_key, ("acme/*",)), new_signer()
    root, taken = new_signer(), Publisher(stolen.public_key, ("acme/*",))
    both = by_roots(workshop, root, 1, own, taken)
    old, honest = workshop.seal(epoch=2), workshop.seal(signer=stolen, epoch=3)
    highest = workshop.seal(signer=stolen, epoch=HIGHEST)
    install(honest, workshop.folder / "honest.keep", identity=workshop.identity(), verifier=both)
    install(highest, workshop.folder / "highest.keep", identity=workshop.identity(), verifier=both)
    again = workshop.seal(epoch=4)
    with pytest.raises(RollbackError):
        workshop.open(again, verifier=both)
    gone = frozenset({taken.fingerprint})
    floors = {MODEL_ID: ReleaseOrder(3, 0)}
    revoked = by_roots(workshop, root, 2, own, taken, revoked_keys=gone, floors=floors)
    workshop.open(again, verifier=revoked).close()
    for path in (honest, highest):
        with pytest.raises(UntrustedSignerError, match="revoked"):
            workshop.open(path, verifier=revoked)
    with pytest.raises(RollbackError):
        workshop.open(old, verifier=revoked)


def test_an_old_trust_file_of_roots_that_were_exchanged(workshop: Workshop, chain: Chain) -> None:
    publisher = Publisher(workshop.signer.public_key, ("*",))
    first, second, third, fresh = (
        each.public_key for each in (chain.stolen, chain.second, chain.third, chain.fresh)
    )

    def opened(number: int, signers: Sequence[Signer], keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
        data = TrustFile(number, LATEST_TIME, (publisher,)).to_bytes(*signers)
        verifier = Verifier.from_trust_file(TrustFile.from_bytes(data, keys, 2), model=MODEL_ID)
        workshop.open(workshop.seal(), verifier=verifier).close()

    data = TrustFile(5, LATEST_TIME, (publisher,)).to_bytes(chain.second, chain.third)
    trust = TrustFile.from_bytes(data, [first, second, third], 2)
    known = Verifier.from_trust_file(trust, model=MODEL_ID)
    install(workshop.seal(), workshop.folder / "it.keep", identity=workshop.identity(), verifier=known)
    for keys in ([second, third], [second, third, fresh], [first, second, third, fresh]):
        with pytest.raises(RollbackError, match="trust file 4 is older than 5"):
            opened(4, [chain.second, chain.third], keys)
    opened(6, [chain.second, chain.fresh], [second, third, fresh])
    with pytest.raises(RollbackError, match="trust file 5 is older than 6"):
        opened(5, [chain.second, chain.third], [first, second, third])
    # One key in common cannot sign for both: these are somebody else's roots.
    stranger = new_signer()
    opened(1, [chain.stolen, stranger], [first, stranger.public_key, new_signer().public_key])


def test_a_chain_that_is_put_back_to_an_earlier_document(workshop: Workshop, chain: Chain) -> None:
    later = chain.trust(workshop, chain.next, chain.third, chain.fresh, brought=[chain.before, chain.after])
    trust = TrustFile.from_bytes(later, Roots.of_document(chain.before.to_bytes()))
    known = Verifier.from_trust_file(trust, model=MODEL_ID)
    install(workshop.seal(), workshop.folder / "it.keep", identity=workshop.identity(), verifier=known)
    with pytest.raises(RollbackError, match="end before document 2"):
        opens(workshop, chain.trust(workshop, chain.first, chain.stolen, chain.second), chain.before)
    twin = chain.first.following(threshold=1)
    branch = chain.signed(twin, chain.stolen, chain.second)
    with pytest.raises(RollbackError, match="two roots documents with number 2"):
        opens(
            workshop, chain.trust(workshop, twin, chain.stolen, brought=[chain.before, branch]), chain.before
        )
