"""Tickets and roots of strangers: whoever they are, what counts for others is none of their business."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.rollback import seen_trust
from modelkeep.clock import LATEST_TIME, Clock
from modelkeep.device.contents import Contents, Quarantined
from modelkeep.device.obeying import newest_of_each
from modelkeep.errors import KeepError, RefusedError, RollbackError, SignatureError
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.signer import Signer
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, Ticket, Void
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from support.paper import PaperCounter, new_state
from support.paper import install as install_on_paper
from support.states import remembered, state_of
from support.workshop import MODEL_ID, Workshop

HIGHEST = 2**53 - 1
AHEAD = 2_000_000_000


def new_signer() -> Signer:
    return Signer(ec.generate_private_key(ec.SECP256R1()))


ROOT, STRANGER = new_signer(), new_signer()


def verifier(data: bytes, roots: Roots, clock: Clock | None = None) -> Verifier:
    trust = TrustFile.from_bytes(data, roots)
    return Verifier.from_trust_file(trust, model=UnsafeAnyModel(), clock=clock or Clock())


def by_root(workshop: Workshop, root: Signer, number: int = 1, clock: Clock | None = None) -> Verifier:
    """Returns the verifier of a trust file that names our publisher: anybody can write one."""
    data = TrustFile(number, LATEST_TIME, (Publisher(workshop.signer.public_key, ("*",)),)).to_bytes(root)
    return verifier(data, Roots.of_keys([root.public_key]), clock)


def signed(envelope: Envelope, *signers: Signer) -> Envelope:
    for signer in signers:
        envelope = envelope.signed(signer)
    return envelope


def obey(workshop: Workshop, given: Verifier, act: Act, *signers: Signer) -> Contents:
    """Does what `modelkeep state forget` does with a ticket and a trust file."""
    with state_of(workshop.identity()) as state:
        ticket = Ticket(state.device, state.look().generation, (act,))
        data = signed(Envelope(Kind.TICKET, ticket.to_bytes()), *signers).to_bytes()
        return state.obey(given.verify_ticket(data), seen_trust(given))


def put_in(workshop: Workshop, bundle: Path, given: Verifier, name: str = "installed.keep") -> None:
    install(bundle, workshop.folder / name, identity=workshop.identity(), verifier=given, force=True)


def void(path: Path) -> Void:
    with Bundle(path) as bundle:
        return Void(bundle.unverified_manifest().bundle)


def refused(workshop: Workshop, bundle: Path, given: Verifier) -> None:
    with pytest.raises(RollbackError):
        workshop.open(bundle, verifier=given)


def test_a_strangers_ticket_takes_no_release_of_ours_back(workshop: Workshop) -> None:
    ours, theirs = by_root(workshop, ROOT), by_root(workshop, STRANGER)
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    put_in(workshop, new, ours)
    with pytest.raises(RefusedError, match="for whoever signed the ticket"):
        obey(workshop, theirs, void(new), STRANGER)
    # Nor after the stranger has installed that very release by a trust file of its own,
    put_in(workshop, new, theirs)
    obey(workshop, theirs, void(new), STRANGER)
    refused(workshop, old, ours)
    # or so many newer ones that ours would have to make room.
    newer = [workshop.seal(epoch=epoch) for epoch in range(3, 8)]
    for bundle in newer:
        put_in(workshop, bundle, theirs)
    for bundle in newer[1:]:
        obey(workshop, theirs, void(bundle), STRANGER)
    assert [mark.order.epoch for mark in remembered(workshop.identity()).models[MODEL_ID].marks] == [2]
    refused(workshop, old, ours)
    # Whoever it counted for may.
    obey(workshop, ours, void(new), ROOT)
    workshop.open(old, verifier=ours).close()


def test_a_release_that_a_stranger_staged_counts_for_whoever_lets_it_count(workshop: Workshop) -> None:
    ours, theirs = by_root(workshop, ROOT), by_root(workshop, STRANGER)
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    Slots.init(workshop.folder / "slots", MODEL_ID)
    put_in(workshop, new, theirs, "slots")
    with state_of(workshop.identity()) as state:
        state.see(seen_trust(theirs))
        [installation] = state.look().models[MODEL_ID].installations
        state.try_out(MODEL_ID, installation)
        state.commit(MODEL_ID, installation, ours, seen_trust(ours))
    with pytest.raises(RefusedError):
        obey(workshop, theirs, void(new), STRANGER)
    refused(workshop, old, ours)


def test_a_ticket_begins_nothing(workshop: Workshop) -> None:
    with pytest.raises(RefusedError, match="remembers nothing yet"):
        obey(workshop, by_root(workshop, STRANGER), SetTime(5), STRANGER)
    with state_of(workshop.identity()) as state:
        assert not state.has_begun


def test_a_publisher_takes_nothing_back_that_roots_have_vouched_for(workshop: Workshop) -> None:
    ours, publisher = by_root(workshop, ROOT), workshop.signer
    alone = Verifier(publisher.public_key, model=MODEL_ID)
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    put_in(workshop, new, ours)
    with pytest.raises(RefusedError):
        obey(workshop, alone, void(new), publisher)
    refused(workshop, old, alone)
    # The same release by the publisher's key alone is for that key to take back; for the roots it counts on.
    put_in(workshop, new, alone)
    obey(workshop, alone, void(new), publisher)
    refused(workshop, old, ours)


def test_a_stranger_moves_its_own_time_alone(workshop: Workshop) -> None:
    ahead = Clock(lambda: AHEAD, is_vouched=lambda: False)
    ours, theirs = by_root(workshop, ROOT, clock=ahead), by_root(workshop, STRANGER)
    put_in(workshop, workshop.seal(), ours)
    obey(workshop, theirs, SetTime(5), STRANGER)
    seen = seen_trust(ours)
    assert remembered(workshop.identity()).time_for(seen) == AHEAD
    # Neither forwards, where a clock that was ahead is kept for as long as its own trust file lasts.
    far = by_root(workshop, STRANGER, 2, Clock(lambda: AHEAD + 10**9, is_vouched=lambda: False))
    workshop.open(workshop.seal(), verifier=far).close()
    assert remembered(workshop.identity()).time_for(seen) == AHEAD
    with pytest.raises(RefusedError, match="only roots do"):
        obey(workshop, workshop.verifier(), SetTime(5), workshop.signer)
    obey(workshop, ours, SetTime(5), ROOT)
    assert remembered(workshop.identity()).time_for(seen) == 5


def test_a_stranger_lets_nothing_of_ours_out_of_quarantine(workshop: Workshop) -> None:
    ours, theirs = by_root(workshop, ROOT), by_root(workshop, STRANGER)
    put_in(workshop, workshop.seal(), ours)
    with state_of(workshop.identity()) as state:
        [(installation, installed)] = state.look().models[MODEL_ID].installations.items()
        state.give_up(MODEL_ID, installation, Quarantined(installed.mark.bundle, 1))
    with pytest.raises(RefusedError, match="in quarantine here"):
        obey(workshop, theirs, ForgetQuarantine(), STRANGER)
    assert remembered(workshop.identity()).models[MODEL_ID].quarantine
    assert not obey(workshop, ours, ForgetQuarantine(), ROOT).models[MODEL_ID].quarantine


def test_a_state_that_a_stranger_adopts_counts_for_the_stranger(workshop: Workshop) -> None:
    ours, theirs = (seen_trust(by_root(workshop, root)) for root in (ROOT, STRANGER))
    counter = PaperCounter()
    state = new_state(counter)
    install_on_paper(state, 1, epoch=1)
    kept = state.path.read_bytes()
    install_on_paper(state, 2, epoch=2)
    state.path.write_bytes(kept)
    assert counter.number is not None
    contents = state.look_at_file()
    act = Adopt(counter.number, newest_of_each(contents))
    envelope = Envelope(Kind.TICKET, Ticket(state.device, contents.generation, (act,)).to_bytes())
    data = signed(envelope, STRANGER).to_bytes()
    state.obey(by_root(workshop, STRANGER).verify_ticket(data), theirs)
    state.see(theirs)
    for seen in (ours, None):
        with pytest.raises(RollbackError, match="an older one counts for others alone"):
            state.see(seen)


class Chain:
    """A chain whose two first roots were replaced: one of them is a thief."""

    def __init__(self, workshop: Workshop) -> None:
        self.rogue, self.fresh = new_signer(), new_signer()
        self.publisher = Publisher(workshop.signer.public_key, ("*",))
        self.first = RootsDocument.first([self.rogue.public_key], 1)
        gone = [public_key.fingerprint(self.rogue.public_key)]
        self.next = self.first.following([self.fresh.public_key], gone)
        self.one = signed(Envelope(Kind.ROOTS, self.first.to_bytes()), self.rogue)
        self.two = signed(Envelope(Kind.ROOTS, self.next.to_bytes()), self.rogue, self.fresh)

    def verifier(self, document: RootsDocument, signer: Signer, *brought: Envelope, number: int) -> Verifier:
        trust = TrustFile(number, LATEST_TIME, (self.publisher,), named_roots=RootsName.of(document))
        data = trust.to_bytes(signer, documents=brought)
        return verifier(data, Roots.of_envelope(brought[-1]))


def test_a_root_that_was_replaced_gives_no_tickets(workshop: Workshop) -> None:
    chain = Chain(workshop)
    before = chain.verifier(chain.first, chain.rogue, chain.one, number=1)
    after = chain.verifier(chain.next, chain.fresh, chain.one, chain.two, number=2)
    old, new = workshop.seal(epoch=1), workshop.seal(epoch=2)
    put_in(workshop, new, before)
    workshop.open(new, verifier=after).close()
    newest = chain.verifier(chain.first, chain.rogue, chain.one, number=HIGHEST)
    for given in (before, newest):
        with pytest.raises(RollbackError, match="end before document 2"):
            obey(workshop, given, void(new), chain.rogue)
    # Nor by roots of its own: it is the keys that the device remembers that have to sign.
    loose = by_root(workshop, chain.rogue)
    with pytest.raises(RefusedError):
        obey(workshop, loose, void(new), chain.rogue)
    refused(workshop, old, after)
    # Those who took its place give tickets for what it installed.
    obey(workshop, after, void(new), chain.fresh)
    workshop.open(old, verifier=after).close()


def test_a_chain_that_claims_to_be_ours(workshop: Workshop) -> None:
    chain = Chain(workshop)
    after = chain.verifier(chain.next, chain.fresh, chain.one, chain.two, number=2)
    new = workshop.seal(epoch=2)
    put_in(workshop, new, after)
    name = public_key.fingerprint(STRANGER.public_key)
    claimed = RootsDocument(1000, chain.first.digest, {name: STRANGER.public_key}, 1)
    document = signed(Envelope(Kind.ROOTS, claimed.to_bytes()), STRANGER)
    for brought in ([document], [chain.one, document], [chain.one, chain.two, document]):
        with pytest.raises(SignatureError):
            chain.verifier(claimed, STRANGER, *brought, number=HIGHEST)
    workshop.open(new, verifier=after).close()


def test_a_strangers_chain_that_names_our_roots_does_not_lock_our_trust_files_out(workshop: Workshop) -> None:
    chain = Chain(workshop)
    after = chain.verifier(chain.next, chain.fresh, chain.one, chain.two, number=2)
    loose = by_root(workshop, ROOT)
    new = workshop.seal(epoch=2)
    for given in (after, loose):
        put_in(workshop, new, given)
    everybody = RootsDocument.first([STRANGER.public_key, chain.fresh.public_key, ROOT.public_key], 1)
    document = signed(Envelope(Kind.ROOTS, everybody.to_bytes()), STRANGER)
    theirs = chain.verifier(everybody, STRANGER, document, number=HIGHEST)
    workshop.open(new, verifier=theirs).close()
    for given in (after, loose):
        workshop.open(new, verifier=given).close()
    with pytest.raises(KeepError):
        obey(workshop, theirs, void(new), STRANGER)
