"""What a publisher puts into a repository, as python-tuf's own client finds it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.bundle.access import Access
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import (
    MalformedError,
    RollbackError,
    StorageError,
    TamperedError,
    UsageError,
    WrongModelError,
)
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.trust import trust_editing
from modelkeep.trust.roots import Roots
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.phase import Offer, Phase, phase_name
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository import phasing
from modelkeep.updates.repository.ceremony import Ceremony
from modelkeep.updates.repository.metadata import DAY
from modelkeep.updates.repository.old_weights import seal_again
from modelkeep.updates.repository.overview import overview
from modelkeep.updates.repository.plan import Plan
from modelkeep.updates.repository.progress import Progress
from modelkeep.updates.repository.publishing import Wishes
from modelkeep.updates.repository.refreshing import refresh
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.revoking import revoke
from modelkeep.updates.repository.role_signers import RoleSigners
from modelkeep.updates.repository.withdrawing import withdraw
from support.disk import largest_file, read_only
from support.repository import FAMILIES, PEOPLE, SmallRepository, new_signer
from support.tuf_reader import read_targets
from support.workshop import MODEL_ID, Workshop


def read(small: SmallRepository, cache: Path, *names: str) -> list[bytes | None]:
    return read_targets(small.folder, cache, small.first_root, *names)


def phase_of(small: SmallRepository, cache: Path) -> Phase:
    (data,) = read(small, cache, phase_name(MODEL_ID))
    assert data is not None
    return Phase.from_bytes(data, MODEL_ID)


def test_a_new_repository_says_whom_to_trust(small: SmallRepository, tmp_path: Path) -> None:
    trust, roots = read(small, tmp_path / "client", "trust/trust.json", "trust/roots.json")
    assert trust is not None and roots is not None
    file = TrustFile.from_bytes(trust, Roots.of_document(roots))
    assert [publisher.who for publisher in file.publishers] == [small.workshop.signer.public_key]


def test_a_release_is_listed_and_its_bundle_is_there(small: SmallRepository, tmp_path: Path) -> None:
    bundle = small.workshop.seal(epoch=3, release="2.0")
    published = small.publish(bundle)
    (data,) = read(small, tmp_path / "client", published.document.name)
    assert data is not None
    document = ReleaseDocument.from_bytes(data, published.document.name)
    assert document == published.document
    assert published.copied == document.size == bundle.stat().st_size
    assert (small.folder / "targets" / document.archive).read_bytes() == bundle.read_bytes()
    assert phase_of(small, tmp_path / "client").offers == (Offer(document.name, 0, 1000),)


def test_what_is_for_everybody_leaves_one_older_release(small: SmallRepository, tmp_path: Path) -> None:
    names = [small.publish(epoch=epoch).document.name for epoch in (1, 2, 3)]
    assert [offer.release for offer in phase_of(small, tmp_path / "client").offers] == names[:0:-1]
    first, second, third = read(small, tmp_path / "client", *names)
    assert first is None and second is not None and third is not None


def test_a_release_for_some_leaves_what_was_for_all(small: SmallRepository, tmp_path: Path) -> None:
    before = small.publish(epoch=1).document.name
    after = small.publish(epoch=2, wishes=Wishes(share=100)).document.name
    offers = phase_of(small, tmp_path / "client").offers
    assert [(offer.release, offer.share) for offer in offers] == [(after, 100), (before, 1000)]


def test_publishing_again_changes_nothing(small: SmallRepository, tmp_path: Path) -> None:
    bundle = small.workshop.seal()
    first = small.publish(bundle)
    again = small.publish(bundle)
    assert again.document == first.document
    assert (first.copied, again.copied) == (bundle.stat().st_size, 0)
    assert small.repository.published().roles["models"].signed.version == 2


def test_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no repository is there"):
        Repository(tmp_path).catalogue()


def test_phases_go_to_more_devices_are_paused_and_go_to_all(small: SmallRepository) -> None:
    before = small.publish(epoch=1).document.name
    after = small.publish(epoch=2, wishes=Wishes(share=50)).document.name
    signers = small.named("phase", "online")
    paused = phasing.set_share(small.repository, MODEL_ID, signers, paused=True)
    assert paused.offers[0] == Offer(after, 0, 50, paused=True)
    assert phasing.set_share(small.repository, MODEL_ID, signers, 255).offers[0] == Offer(after, 0, 255)
    promoted = phasing.promote(small.repository, MODEL_ID, signers)
    assert [(offer.release, offer.share) for offer in promoted.offers] == [(after, 1000), (before, 1000)]
    with pytest.raises(UsageError, match="is not offered"):
        phasing.promote(small.repository, MODEL_ID, signers, bytes(16))
    with pytest.raises(UsageError, match="nothing of acme/other is offered"):
        phasing.promote(small.repository, "acme/other", signers)


def test_what_is_withdrawn_is_listed_so_and_offered_no_more(small: SmallRepository, tmp_path: Path) -> None:
    good, bad = (small.publish(epoch=epoch).document for epoch in (1, 2))
    withdraw(small.repository, MODEL_ID, bad.bundle, small.signers)
    (data,) = read(small, tmp_path / "client", bad.name)
    assert data is not None and ReleaseDocument.from_bytes(data, bad.name).withdrawn
    assert [offer.release for offer in phase_of(small, tmp_path / "client").offers] == [good.name]


def test_old_weights_come_back_under_a_new_epoch(small: SmallRepository, tmp_path: Path) -> None:
    workshop = small.workshop
    admin = workshop.new_device("admin")
    old = workshop.seal(workshop.model(2.0), epoch=1, admins=[admin.with_suffix(".pub")])
    small.publish(old)
    bad = small.publish(workshop.seal(workshop.model(3.0), epoch=2)).document
    with Access(f"file:{admin}", small.repository.verifier(small.repository.catalogue())) as access:
        new = seal_again(
            old,
            tmp_path / "again.keep",
            access,
            model=MODEL_ID,
            epoch=3,
            signer=workshop.signer,
            to=[workshop.device.with_suffix(".pub")],
        )
    done = withdraw(small.repository, MODEL_ID, bad.bundle, small.signers, replacement=new)
    assert done.replacement is not None
    names = [offer.release for offer in phase_of(small, tmp_path / "client").offers]
    assert names[0] == done.replacement.document.name and bad.name not in names
    assert workshop.read(new) == workshop.read(old)


def test_a_raised_attempt_is_in_document_and_offer(small: SmallRepository, tmp_path: Path) -> None:
    bundle = small.workshop.seal()
    small.publish(bundle)
    again = small.publish(bundle, wishes=Wishes(attempt=2)).document
    assert again.attempt == 2
    assert phase_of(small, tmp_path / "client").offers == (Offer(again.name, 2, 1000),)


def test_grants_that_come_later_lie_beside_the_bundle(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    published = small.publish(bundle).document
    grants = bundle.with_name("later.grants")
    with Bundle(bundle) as opened:
        sidecar.append(grants, opened.embedded_grants())
    document = small.publish(bundle, wishes=Wishes(grants=grants)).document
    assert published.grants is None and document.grants == f"{document.archive}.grants"
    assert (small.folder / "targets" / document.grants).read_bytes() == grants.read_bytes()
    assert small.publish(bundle).document == document


def test_grants_are_of_this_bundle_and_end_where_that_is_wished(small: SmallRepository) -> None:
    workshop = small.workshop
    bundle, other = workshop.seal(), workshop.seal()
    grants = other.with_name("other.grants")
    with Bundle(other) as opened:
        sidecar.append(grants, opened.embedded_grants())
    with pytest.raises(WrongModelError, match="a grant is of bundle"):
        small.publish(bundle, wishes=Wishes(grants=grants))
    with pytest.raises(UsageError, match="anybody who has it"):
        small.publish(bundle, wishes=Wishes(leased=True))
    signer = workshop.signer
    with pytest.raises(UsageError, match="has no end"):
        small.publish(workshop.seal(grant_signer=signer), wishes=Wishes(leased=True))
    ending = workshop.seal(constraints=Constraints(not_after=2**32), grant_signer=signer)
    assert small.publish(ending, wishes=Wishes(leased=True)).grants == 1


def revoking(small: SmallRepository, bundle: bytes) -> bytes:
    """Returns the next trust file, by which a bundle is revoked."""
    last = small.repository.catalogue().trust()
    trust = trust_editing.with_revoked(trust_editing.following(last), bundles=[bundle])
    return trust.to_bytes(*small.trust_signers)


def test_what_is_revoked_was_replaced_before(small: SmallRepository, tmp_path: Path) -> None:
    signers = small.channel_signers
    bad = small.publish(epoch=1).document
    trust = revoking(small, bad.bundle)
    with pytest.raises(UsageError, match="would stand still"):
        revoke(small.repository, MODEL_ID, bad.bundle, trust, signers)
    small.publish(epoch=2)
    with pytest.raises(UsageError, match="does not revoke"):
        revoke(small.repository, MODEL_ID, bad.bundle, revoking(small, bytes(16)), signers)
    assert revoke(small.repository, MODEL_ID, bad.bundle, trust, signers).withdrawn
    with pytest.raises(RollbackError, match="is not newer than 2"):
        revoke(small.repository, MODEL_ID, bad.bundle, trust, signers)
    assert read(small, tmp_path / "client", "trust/trust.json") == [trust]


def test_devices_are_stopped_only_by_a_word(small: SmallRepository) -> None:
    bad = small.publish().document
    trust = revoking(small, bad.bundle)
    assert revoke(
        small.repository, MODEL_ID, bad.bundle, trust, small.channel_signers, stop_devices=True
    ).withdrawn


def test_a_timer_signs_anew_what_ends_soon(small: SmallRepository, tmp_path: Path) -> None:
    before = small.repository.published()
    small.clock += DAY
    assert refresh(small.repository, small.named("online")) == []
    day = small.repository.published()
    assert day.signed_at == int(small.clock)
    assert day.snapshot.signed.version == before.snapshot.signed.version
    assert day.interval is None
    refresh(small.repository, small.named("online"), interval=600)
    with pytest.raises(UsageError, match="an interval of 59 seconds"):
        refresh(small.repository, small.named("online"), interval=59)
    small.clock += 200 * DAY
    assert refresh(small.repository, small.named("online", "models", "phase")) == ["phase", "models"]
    year = small.repository.published()
    # What was asked for once is asked for until somebody asks for something else.
    assert year.interval == 600
    assert year.snapshot.signed.version == before.snapshot.signed.version + 1
    assert year.roles["models"].signed.expires > before.roles["models"].signed.expires


def test_people_and_keys_change_by_the_same_ceremony(small: SmallRepository, tmp_path: Path) -> None:
    small.publish(epoch=1)
    first_roots = Roots.of_document(small.roots)
    ceremony = Ceremony(small.repository)
    ceremony.begin(Plan(("alice", "carol"), 2, FAMILIES))
    new = {place: new_signer() for place in ("carol.channel", "carol.trust", "models", "online")}
    for place, signer in new.items():
        ceremony.bring(place, signer.public_key)
    # Both chains are signed by those before and by those after.
    gone = {place: small.keys.pop(place) for place in ("bob.channel", "bob.trust")}
    small.keys |= new
    assert not small.advance().is_published
    small.keys |= gone
    assert small.advance().is_published
    assert small.repository.published().root.signed.version == 2
    small.keys = {place: key for place, key in small.keys.items() if place not in gone}
    small.publish(epoch=2)
    # Who was given the first root and the first roots document follows.
    (data,) = read(small, tmp_path / "client", "trust/trust.json")
    assert data is not None
    assert TrustFile.from_bytes(data, first_roots).number == 2


def test_what_ends_soon_is_renewed_by_the_ceremony(small: SmallRepository, tmp_path: Path) -> None:
    assert Ceremony(small.repository).advance().is_published
    small.clock += 300 * DAY
    assert small.advance().is_published
    published = small.repository.published()
    assert (published.root.signed.version, published.targets.signed.version) == (2, 2)
    assert small.repository.catalogue().trust().expires > small.clock + 364 * DAY


def test_people_sign_one_after_the_other(workshop: Workshop) -> None:
    small = SmallRepository.__new__(SmallRepository)
    small._take(workshop, Plan(PEOPLE, 2, FAMILIES), "repository")
    ceremony = Ceremony(small.repository)
    ceremony.begin(small.plan)
    keys = {place: new_signer() for place in small.plan.places}
    assert ceremony.advance().digest is None
    for place, signer in keys.items():
        ceremony.bring(place, signer.public_key)
    digest = ceremony.advance().digest
    assert digest is not None

    def sign(*places: str) -> Progress:
        channel = [keys[place] for place in places if not place.endswith(".trust")]
        return ceremony.advance(channel, [keys[p] for p in places if p.endswith(".trust")], digest)

    for places in (("alice.trust",), ("bob.trust", "bob.channel"), ("alice.channel",), ("models",)):
        assert not sign(*places).is_published
    assert sign("phase", "online").is_published
    assert small.repository.published().root.signed.version == 1
    # Nothing is left to do, and doing it again changes nothing.
    assert ceremony.advance().is_published


def test_a_full_disk_leaves_what_was_published(small: SmallRepository, tmp_path: Path) -> None:
    workshop = small.workshop
    first = small.publish(epoch=1).document
    bundle = workshop.seal(workshop.model(size=500_000), epoch=2)
    with largest_file(1_000_000), pytest.raises(StorageError, match="bundles"):
        small.publish(bundle)
    assert [offer.release for offer in phase_of(small, tmp_path / "client").offers] == [first.name]
    assert len(list((small.folder / "targets" / "bundles").iterdir())) == 1
    assert small.publish(bundle).copied == bundle.stat().st_size


def test_a_folder_that_nobody_can_write_is_said_to_be_one(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    with read_only(small.folder), pytest.raises(StorageError, match="read-only"):
        small.publish(bundle)


@pytest.mark.parametrize("noted", [[], {MODEL_ID: 3}, {MODEL_ID: [1]}, {MODEL_ID: ["1", 2]}])
def test_places_that_are_none_are_said_to_be_that(small: SmallRepository, noted: object) -> None:
    with small.repository.changing() as edition:
        edition.note("models", highest=noted)
        small.repository.write(edition, RoleSigners(small.signers))
    with pytest.raises(MalformedError, match="highest|no place"):
        small.publish()


def test_a_repository_of_other_tools_is_not_taken_for_ours(small: SmallRepository) -> None:
    with small.repository.changing() as edition:
        edition.remove("targets", "trust/trust.json")
        edition.note("targets", anything=1)
        small.repository.write(edition, RoleSigners(small.channel_signers))
    with pytest.raises(MalformedError, match="lists no trust/trust.json"):
        overview(small.repository)


NOISE = (b"", b"[" * 100_000, b'{"signed":{},"signatures":[]}', b"\xff\xfe")


@pytest.mark.parametrize("name", ["metadata/timestamp.json", "metadata/1.root.json", "ceremony/plan.json"])
def test_noise_in_the_folder_gets_words(small: SmallRepository, name: str) -> None:
    for noise in NOISE:
        (small.folder / name).write_bytes(noise)
        with pytest.raises((TamperedError, MalformedError)):
            Ceremony(small.repository).advance()


def test_noise_among_drafts_is_no_draft(small: SmallRepository) -> None:
    small.clock += 300 * DAY
    drafts = [path for path in (small.folder / "ceremony").iterdir() if path.name != "plan.json"]
    for path, noise in zip(drafts, NOISE * 2, strict=False):
        path.write_bytes(noise)
    assert small.advance().is_published


def test_what_there_is_to_know(small: SmallRepository) -> None:
    bundle = small.publish(epoch=1).document
    found = overview(small.repository, every_byte=True)
    assert [role.name for role in found.roles] == [
        "root", "targets", "snapshot", "timestamp", "phase", "models"
    ]  # fmt: skip
    (release,) = found.releases
    assert (release.document, release.problem) == (bundle, None)
    archive = small.folder / "targets" / bundle.archive
    content = bytearray(archive.read_bytes())
    content[-2000] ^= 1
    archive.write_bytes(content)
    (release,) = overview(small.repository, every_byte=True).releases
    assert release.problem is not None
