"""Attacks on the publisher's side of updates: on folder, drafts and keys, and by what it is to publish."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    RefusedError,
    RollbackError,
    StorageError,
    TamperedError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.trust import trust_editing
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.phase import Phase, phase_name
from modelkeep.updates.repository.candidate import Candidate
from modelkeep.updates.repository.ceremony import Ceremony
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.family import Family
from modelkeep.updates.repository.metadata import DAY, Metadata, Root, Targets
from modelkeep.updates.repository.publishing import Wishes, publish
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signer import role_key
from modelkeep.updates.repository.role_signers import RoleSigners
from modelkeep.updates.repository.withdrawing import withdraw
from support.power import PowerCuts, killed_at
from support.repository import SmallRepository, new_signer
from support.tuf_reader import read_targets
from support.workshop import MODEL_ID, Workshop


def contents(small: SmallRepository) -> dict[str, bytes]:
    files = (path for path in small.folder.rglob("*") if path.is_file())
    return {path.relative_to(small.folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def nothing_written(small: SmallRepository) -> Iterator[None]:
    before = contents(small)
    yield
    assert contents(small) == before


def flipped(bundle: Path, place: int) -> Path:
    content = bytearray(bundle.read_bytes())
    content[place] ^= 1
    bundle.write_bytes(content)
    return bundle


# --- what devices would refuse


def test_what_devices_refuse_is_refused_before_it_is_written(small: SmallRepository) -> None:
    workshop = small.workshop
    cases: list[tuple[type[KeepError], Callable[[], Path]]] = [
        (UntrustedSignerError, lambda: workshop.seal(signer=new_signer())),
        (UntrustedSignerError, lambda: workshop.seal(model="other/detector")),
        (TamperedError, lambda: flipped(workshop.seal(workshop.model(size=1000)), -2000)),
        (MalformedError, lambda: cut(workshop.seal())),
        (MalformedError, lambda: lengthened(workshop.seal())),
    ]
    for kind, make in cases:
        bundle = make()
        with nothing_written(small), pytest.raises(kind):
            small.publish(bundle)
    assert small.publish().copied > 0


def cut(bundle: Path) -> Path:
    bundle.write_bytes(bundle.read_bytes()[:-512])
    return bundle


def lengthened(bundle: Path) -> Path:
    bundle.write_bytes(bundle.read_bytes() + bytes(512))
    return bundle


def test_nothing_is_published_under_a_trust_file_that_has_ended(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    small.clock += 366 * DAY
    with nothing_written(small), pytest.raises(ExpiredError):
        small.publish(bundle)


def test_what_is_revoked_is_not_published(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    last = small.repository.catalogue().trust()
    named = small.publish(bundle).document
    trust = trust_editing.with_revoked(trust_editing.following(last), bundles=[named.bundle])
    Ceremony(small.repository).bring_trust(trust.to_bytes(*small.trust_signers))
    assert small.advance().is_published
    with nothing_written(small), pytest.raises(RefusedError, match="is revoked"):
        small.publish(bundle)


def test_no_release_comes_below_what_was_ever_published(small: SmallRepository) -> None:
    highest = small.publish(epoch=7).document
    below = [small.workshop.seal(epoch=6), small.workshop.seal(epoch=7, sealed_at=highest.order.sealed_at)]
    for bundle in below:
        with nothing_written(small), pytest.raises(RollbackError, match="is not above 7"):
            small.publish(bundle)
    # The highest one is withdrawn, and not listed any more: its place stays taken.
    small.publish(epoch=8)
    small.publish(epoch=9)
    assert highest.name not in small.repository.catalogue().releases(MODEL_ID)
    with nothing_written(small), pytest.raises(RollbackError, match="is not above 9"):
        small.publish(below[0])


def test_a_mistyped_epoch_is_not_published_without_a_word(small: SmallRepository) -> None:
    small.publish(epoch=7)
    far = small.workshop.seal(epoch=7007)
    with nothing_written(small), pytest.raises(UsageError, match="more than 1000 above 7"):
        small.publish(far)
    assert small.publish(far, wishes=Wishes(jump=True)).document.order.epoch == 7007


def test_a_publisher_whose_clock_is_behind_is_told(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    small.clock -= DAY
    with nothing_written(small), pytest.raises(UsageError, match="clock of this machine is behind"):
        small.publish(bundle)


def test_a_bundle_that_changes_while_it_is_read_is_not_published(small: SmallRepository) -> None:
    workshop = small.workshop
    bundle = workshop.seal(workshop.model(size=800_000))

    changes = iter([lambda: flipped(bundle, -2000)])

    def change(_count: int) -> None:
        # After the first segment, where what comes has not been read yet.
        next(changes, lambda: bundle)()

    with pytest.raises(TamperedError):
        publish(small.repository, bundle, small.signers, progress=change)
    assert not list((small.folder / "targets" / "bundles").glob("*"))
    verifier = small.repository.verifier(small.repository.catalogue())
    for size in (-1, 1):
        fresh = workshop.seal()
        with fresh.open("rb") as file, pytest.raises(StorageError, match="was changed while"):
            found = Candidate(file, fresh.stat().st_size + size, verifier)
            found.check(found.digest)


# --- keys


def test_each_family_has_its_own_models_and_key(workshop: Workshop) -> None:
    families = (Family("", ("acme/*",)), Family("audio", ("sound/*",)))
    small = SmallRepository(workshop, families=families)
    # The signer writes the family; the repository says which models are of it.
    odd = workshop.seal(family="audio")
    with nothing_written(small), pytest.raises((WrongModelError, UntrustedSignerError)):
        small.publish(odd)
    fitting = workshop.seal()
    with nothing_written(small), pytest.raises(UsageError, match="'models' is signed by 1"):
        publish(small.repository, fitting, small.named("phase", "online"))
    with nothing_written(small), pytest.raises(UsageError, match="'models' is signed by 1"):
        publish(small.repository, fitting, small.named("models-audio", "phase", "online"))


def test_a_family_is_refused_where_the_trust_file_lets_it_pass(small: SmallRepository) -> None:
    last = small.repository.catalogue().trust()
    key = small.workshop.signer.public_key
    wide = trust_editing.with_publisher(trust_editing.following(last), key, ("*",), ("*",))
    Ceremony(small.repository).bring_trust(wide.to_bytes(*small.trust_signers))
    assert small.advance().is_published
    workshop = small.workshop
    for bundle in (workshop.seal(family="audio"), workshop.seal(model="other/detector")):
        with nothing_written(small), pytest.raises((WrongModelError, UsageError)):
            small.publish(bundle)


def test_a_key_signs_for_its_own_role_alone(small: SmallRepository) -> None:
    bundle = small.workshop.seal()
    for strangers in ([new_signer()], [small.workshop.signer], small.named("alice.trust")):
        with nothing_written(small), pytest.raises(UsageError, match="signs for no role"):
            publish(small.repository, bundle, [*small.signers, *strangers])
    # With the key of phases instead of the family's, whatever the role is called.
    with nothing_written(small), pytest.raises(UsageError, match="0 of them are here"):
        publish(small.repository, bundle, small.named("phase", "online"))


def test_one_key_does_not_stand_at_two_places(workshop: Workshop) -> None:
    small = SmallRepository(workshop)
    ceremony = Ceremony(small.repository)
    for place in ("bob.channel", "alice.trust", "phase", "publisher"):
        with pytest.raises(UsageError, match="one key stands at"):
            ceremony.bring(place, small.keys["alice.channel"].public_key)


def test_one_signature_short_publishes_nothing(small: SmallRepository) -> None:
    trust = trust_editing.following(small.repository.catalogue().trust())
    with pytest.raises(KeepError, match="signed by 1 of its roots"):
        Ceremony(small.repository).bring_trust(trust.to_bytes(small.keys["alice.trust"]))
    ceremony = Ceremony(small.repository)
    ceremony.bring_trust(trust.to_bytes(*small.trust_signers))
    digest = ceremony.advance().digest
    before = small.repository.published()
    places = ("alice.channel", "models", "phase", "online")
    assert not ceremony.advance(small.named(*places), (), digest).is_published
    assert small.repository.published().documents == before.documents
    assert ceremony.advance(small.named("bob.channel", "online"), (), digest).is_published


def test_one_chain_does_not_change_without_the_other(small: SmallRepository) -> None:
    """Whoever has the people's keys for TUF has not those for trust files, and the other way round."""
    thieves = [new_signer(), new_signer()]
    document = RootsDocument.first((each.public_key for each in thieves), 1)
    roots = Envelope(Kind.ROOTS, document.to_bytes()).signed(thieves[0])
    trust = replace(small.repository.catalogue().trust(), named_roots=RootsName.of(document))
    edition = Edition.after(small.repository.published(), int(small.clock))
    edition.put("targets", "trust/roots.json", roots.to_bytes())
    edition.put("targets", "trust/trust.json", trust.to_bytes(thieves[0]))
    edition.write(small.repository.channel, RoleSigners(small.channel_signers))
    with nothing_written(small), pytest.raises(TamperedError, match="not those that TUF's root names"):
        small.publish(small.workshop.folder / "any.keep")


@pytest.mark.parametrize("role", ["phase", "models-audio"])
def test_a_stolen_key_lists_nothing_of_others(role: str, workshop: Workshop, tmp_path: Path) -> None:
    # The one whose key is stolen is asked first wherever its paths let it be.
    small = SmallRepository(workshop, families=(Family("audio", ("sound/*",)), Family("", ("acme/*",))))
    document = small.publish().document
    names = [document.name, "trust/trust.json", f"releases/{MODEL_ID}/{'0' * 32}.json"]
    if role != "phase":
        names.append(phase_name(MODEL_ID))
    genuine = read_targets(small.folder, tmp_path / "before", small.first_root, *names)
    edition = Edition.after(small.repository.published(), int(small.clock))
    for name in names:
        edition.put(role, name, b"theirs")
    edition.write(small.repository.channel, RoleSigners(small.named(role, "online")))
    assert read_targets(small.folder, tmp_path / "client", small.first_root, *names) == genuine


# --- the folder


CURRENT = ("1.root", "1.targets", "2.models", "2.phase", "2.snapshot", "timestamp")


def test_an_edited_folder_is_noticed_by_who_publishes_next(small: SmallRepository) -> None:
    small.publish(epoch=1)
    bundle = small.workshop.seal(epoch=2)
    targets = [path for path in (small.folder / "targets").rglob("*") if path.is_file()]
    assert len(targets) == 5
    for path in [*(small.folder / "metadata" / f"{name}.json" for name in CURRENT), *targets]:
        content = path.read_bytes()
        path.write_bytes(content[:-3])
        with pytest.raises(TamperedError):
            small.publish(bundle)
        path.unlink()
        with pytest.raises((TamperedError, UsageError)):
            small.publish(bundle)
        path.write_bytes(content)
    small.publish(bundle)


def test_what_strangers_sign_in_the_folder_counts_nothing(small: SmallRepository) -> None:
    edition = Edition.after(small.repository.published(), int(small.clock))
    edition.note("models", highest={MODEL_ID: [0, 0]})
    edition.root.signed.add_key(role_key((thief := new_signer()).public_key), "timestamp")
    edition.targets.signed.add_key(role_key(thief.public_key), "models")
    for signers in (RoleSigners([thief]), RoleSigners([thief, *small.named("online")])):
        with pytest.raises((TamperedError, UsageError)):
            edition.write(small.repository.channel, signers)
            small.publish()


def test_what_a_key_signed_besides_is_not_built_upon(small: SmallRepository) -> None:
    """With the key of one role, and the folder: another document under the number that is published."""
    small.publish(epoch=5)
    edition = Edition.after(small.repository.published(), int(small.clock))
    edition.note("models", highest={MODEL_ID: [0, 0]})
    edition.roles["models"].signed.version -= 1
    RoleSigners(small.named("models")).sign("models", edition.roles["models"], edition.targets.signed)
    (small.folder / "metadata" / "2.models.json").write_bytes(edition.roles["models"].to_bytes())
    with pytest.raises(TamperedError, match="models.json is not what was signed"):
        small.publish(epoch=1)


def test_an_older_copy_of_the_folder_is_not_built_upon(small: SmallRepository) -> None:
    """All of it was signed; the release that was withdrawn since is on offer again."""
    bad = small.publish(epoch=5).document
    older = small.folder.with_name("older")
    shutil.copytree(small.folder, older)
    withdraw(small.repository, MODEL_ID, bad.bundle, small.signers)
    shutil.rmtree(small.folder)
    older.rename(small.folder)
    with nothing_written(small), pytest.raises(RollbackError, match="an older copy"):
        small.publish(epoch=6)


def test_a_repository_of_strangers_that_lists_the_publishers_keys_is_not_theirs(
    small: SmallRepository,
) -> None:
    """Else they would choose the versions that the publisher's own keys sign."""
    small.publish(epoch=5)
    theirs = SmallRepository(small.workshop, name="theirs")
    for place in ("models", "phase"):
        Ceremony(theirs.repository).bring(place, small.keys[place].public_key)
        theirs.keys[place] = small.keys[place]
    assert theirs.advance().is_published
    shutil.rmtree(small.folder)
    theirs.folder.rename(small.folder)
    bundle = small.workshop.seal(epoch=6)
    with nothing_written(small), pytest.raises(TamperedError, match="another repository"):
        publish(small.repository, bundle, [*small.named("models", "phase"), theirs.keys["online"]])
    with pytest.raises(TamperedError, match="another repository"):
        small.advance()


# --- drafts


@pytest.fixture
def drafted(small: SmallRepository) -> SmallRepository:
    """A ceremony that has all signatures, and was not published yet."""
    for path in [*small.folder.glob("metadata/*"), *small.folder.glob("targets/*/*")]:
        path.unlink()
    return small


def test_what_is_slipped_into_drafts_is_not_signed(drafted: SmallRepository) -> None:
    thief = new_signer()
    folder = drafted.folder / "ceremony"
    root: Metadata[Root] = Metadata.from_bytes((folder / "root.json").read_bytes())
    root.signed.add_key(role_key(thief.public_key), "root")
    root.signed.roles["root"].threshold = 1
    (folder / "root.json").write_bytes(root.to_bytes())
    targets: Metadata[Targets] = Metadata.from_bytes((folder / "targets.json").read_bytes())
    targets.signed.delegations = None
    (folder / "targets.json").write_bytes(targets.to_bytes())
    assert drafted.advance().is_published
    published = drafted.repository.published()
    assert role_key(thief.public_key).keyid not in published.root.signed.keys
    assert published.root.signed.roles["root"].threshold == 2
    assert published.targets.signed.delegations is not None


def test_another_trust_file_among_the_drafts_is_not_signed(drafted: SmallRepository) -> None:
    thief = new_signer()
    path = drafted.folder / "ceremony" / "trust.json"
    trust = TrustFile.unverified(Envelope.from_bytes(path.read_bytes(), Kind.TRUST))
    theirs = trust_editing.with_publisher(trust, thief.public_key, ("*",))
    path.write_bytes(theirs.to_bytes())
    assert drafted.advance().is_published
    assert [each.who for each in drafted.repository.catalogue().trust().publishers] == [
        drafted.workshop.signer.public_key
    ]


def test_a_plan_that_changed_is_not_what_was_agreed_on(drafted: SmallRepository) -> None:
    ceremony = Ceremony(drafted.repository)
    digest = ceremony.advance().digest
    ceremony.bring("phase", new_signer().public_key)
    with pytest.raises(UsageError, match="something else than what was agreed on"):
        ceremony.advance(drafted.channel_signers, drafted.trust_signers, digest)
    with pytest.raises(UsageError, match="nothing was signed"):
        ceremony.advance(drafted.channel_signers, drafted.trust_signers)


def test_the_next_trust_file_is_part_of_what_is_agreed_on(small: SmallRepository) -> None:
    ceremony = Ceremony(small.repository)
    digest = ceremony.advance().digest
    last = small.repository.catalogue().trust()
    theirs = trust_editing.with_publisher(trust_editing.following(last), new_signer().public_key, ("*",))
    (small.folder / "ceremony" / "trust.json").write_bytes(theirs.to_bytes())
    with pytest.raises(UsageError, match="something else than what was agreed on"):
        ceremony.advance(small.channel_signers, small.trust_signers, digest)


# --- cut off


@pytest.fixture
def one_disk(small: SmallRepository, monkeypatch: pytest.MonkeyPatch) -> SmallRepository:
    """A repository on the disk on which its publisher remembers how far it was."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(small.folder / "states"))
    small.repository = Repository(small.folder, clock=lambda: small.clock)
    return small


def test_cut_off_at_any_moment_readers_see_the_old_or_the_new(
    one_disk: SmallRepository, tmp_path: Path
) -> None:
    small = one_disk
    first = small.publish(epoch=1).document
    bundle = small.workshop.seal(epoch=2)
    cuts = PowerCuts(small.folder)
    with cuts.watching():
        second = small.publish(bundle).document
    before, after = (first.name,), (second.name, first.name)
    seen = set()
    for number, image in enumerate(cuts.images):
        cuts.restore(image)
        (phase,) = read_targets(small.folder, tmp_path / str(number), small.first_root, phase_name(MODEL_ID))
        assert phase is not None
        offers = tuple(each.release for each in Phase.from_bytes(phase, MODEL_ID).offers)
        assert offers in (before, after)
        seen.add(offers)
        if offers == after:
            archive = small.folder / "targets" / second.archive
            assert archive.read_bytes() == bundle.read_bytes()
    assert seen == {before, after}
    # What was cut off is done by doing it again.
    for image in cuts.images[:: len(cuts.images) // 5]:
        cuts.restore(image)
        assert small.publish(bundle).document == second


@pytest.mark.slow
def test_killed_at_any_step_readers_see_the_old_or_the_new(one_disk: SmallRepository, tmp_path: Path) -> None:
    small = one_disk
    first = small.publish(epoch=1).document
    bundle = small.workshop.seal(epoch=2)
    fresh = tmp_path / "fresh"
    shutil.copytree(small.folder, fresh)
    steps = itertools.count(1)
    seen = []
    while killed_at(step := next(steps), lambda: small.publish(bundle)):
        (phase,) = read_targets(small.folder, tmp_path / str(step), small.first_root, phase_name(MODEL_ID))
        assert phase is not None
        seen.append(Phase.from_bytes(phase, MODEL_ID).offers[0].release)
        assert small.publish(bundle).document.name != first.name
        shutil.rmtree(small.folder)
        shutil.copytree(fresh, small.folder)
    assert len(seen) > 20 and seen == sorted(seen, key=lambda name: name != first.name)


def test_a_change_of_keys_that_was_cut_off_goes_on(one_disk: SmallRepository) -> None:
    small = one_disk
    before = dict(small.keys)
    ceremony = Ceremony(small.repository)
    small.keys["online"] = new_signer()
    ceremony.bring("online", small.keys["online"].public_key)
    cuts = PowerCuts(small.folder)
    with cuts.watching():
        assert small.advance().is_published
    assert small.repository.published().root.signed.version == 2
    for image in cuts.images[-8:]:
        cuts.restore(image)
        assert small.advance().is_published
        assert small.repository.published().root.signed.version == 2
    assert before["online"] != small.keys["online"]


def test_two_who_publish_at_once_come_one_after_the_other(small: SmallRepository) -> None:
    bundles = [small.workshop.seal(epoch=epoch) for epoch in (5, 5, 5, 5)]
    failed: list[KeepError] = []

    def work(bundle: Path) -> None:
        try:
            small.publish(bundle, wishes=Wishes(share=10))
        except RollbackError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(bundle,)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = small.repository.published()
    listed = small.repository.catalogue().releases(MODEL_ID)
    assert len(listed) + len(failed) == len(bundles)
    assert published.timestamp.signed.version == 1 + len(listed)
