"""Attacks on what a repository offers: by its own keys, by stolen ones, and by whoever brings the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.bundle.access import Access
from modelkeep.errors import KeepError, RefusedError, RollbackError, TamperedError, UntrustedSignerError
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.updates.client.listing import Offered
from modelkeep.updates.client.notes import Outcome
from modelkeep.updates.client.trust_place import TrustPlace
from modelkeep.updates.phase import Offer
from modelkeep.updates.slots import Slots
from support.device import Device
from support.following import Follower
from support.swtpm import SoftwareTpm
from support.tuf_repository import TufRepository
from support.workshop import Workshop


@pytest.fixture
def follower(workshop: Workshop) -> Follower:
    """A device that has installed release 2 of a repository with two releases."""
    repository = TufRepository(workshop.folder / "repository")
    for epoch in (1, 2):
        repository.offer(workshop.seal(epoch=epoch, name=f"{epoch}.keep"))
    follower = Follower(workshop, repository)
    follower.update()
    return follower


def test_whoever_has_all_keys_of_the_repository_seals_nothing(follower: Follower) -> None:
    """Two layers: its keys say what is current, the publisher's who made it."""
    create_signing_key(follower.workshop.folder / "thief.pem")
    thief = Signer.from_pem(follower.workshop.folder / "thief.pem")
    follower.repository.offer(follower.workshop.seal(epoch=3, signer=thief))
    with pytest.raises(UntrustedSignerError):
        follower.update()
    assert follower.epoch() == 2


def test_another_bundle_in_the_place_of_the_one_that_is_listed(follower: Follower) -> None:
    """A genuine one of the same publisher, and newer: the repository has not said that it is current."""
    document = follower.repository.offer(follower.workshop.seal(epoch=3))
    other = follower.workshop.seal(epoch=4)
    place = follower.repository.folder / "targets" / document.archive
    shutil.copyfile(other, place)
    document = replace(document, size=place.stat().st_size)
    follower.repository.releases[document.name] = document
    follower.repository.write()
    with pytest.raises(TamperedError):
        follower.update()
    assert follower.epoch() == 2


def test_bundle_that_breaks_off_is_gone_on_with(follower: Follower) -> None:
    document = follower.repository.offer(follower.workshop.seal(epoch=3))
    place = follower.repository.folder / "targets" / document.archive
    whole = place.read_bytes()
    for there in (whole[:-2000], whole + b"more"):
        place.write_bytes(there)
        with pytest.raises(KeepError):
            follower.update()
        assert follower.epoch() == 2
    place.write_bytes(whole)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 3)


def test_stolen_key_of_the_phase_brings_nothing_old_and_nothing_new(follower: Follower) -> None:
    """It chooses among what the families' keys have listed, and devices go forward only."""
    repository = follower.repository
    old = next(each for each in repository.releases.values() if each.order.epoch == 1)
    repository.offers = [Offer(old.name, 0, 1000)]
    repository.write()
    assert (follower.update().outcome, follower.epoch()) == (Outcome.CURRENT, 2)
    repository.offers = [Offer(old.name.replace(old.bundle.hex(), 32 * "0"), 0, 1000)]
    repository.write()
    with pytest.raises(KeepError):
        follower.update()
    assert follower.epoch() == 2


@pytest.mark.parametrize("held_back", ["paused", "withdrawn", "not listed"])
def test_release_that_waits_and_is_held_back_meanwhile(follower: Follower, held_back: str) -> None:
    """Staged here, then stopped: it is not tried any more. A release that counts goes on counting."""
    bundle = follower.workshop.seal(epoch=3)
    follower.repository.offer(bundle)
    with follower.updater() as updater:
        updater.update(trial=False)
    document = follower.repository.offer(bundle, paused=held_back == "paused")
    # The offer of what is withdrawn goes, as the publisher's side does it.
    if held_back != "paused":
        follower.repository.offers.pop(0)
        withdrawn = replace(follower.repository.releases.pop(document.name), withdrawn=True)
        if held_back == "withdrawn":
            follower.repository.releases[document.name] = withdrawn
        follower.repository.write()
    follower.update()
    slots = Slots.open(follower.folder, Access(follower.workshop.identity(), follower.verifier()))
    assert slots.staged() is None
    assert follower.epoch() == 2
    follower.repository.offer(bundle)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 3)


def test_server_that_chooses_what_the_repository_does_not_offer(follower: Follower) -> None:
    """Whoever says which release is whose chooses among what is offered."""

    class Server:
        def choose(self, offered: Sequence[Offered], device: bytes) -> Offered | None:
            document = replace(offered[0].document, bundle=bytes(16))
            return Offered(replace(offered[0].offer, release=document.name), document)

    with pytest.raises(RefusedError, match="not offered"):
        follower.update(selection=Server())
    assert follower.epoch() == 2


def test_repository_whose_trust_file_is_by_other_roots(follower: Follower, workshop: Workshop) -> None:
    """It says whom to trust, and has no say in it: nothing is taken from there."""
    (workshop.folder / "other").mkdir()
    other = Workshop(workshop.folder / "other")
    follower.trust_days = 365
    place = workshop.folder / "trust.json"
    place.write_bytes(follower.trust_file(1))
    follower.repository.trust = follower.trust_file(2, other)
    follower.repository.offer(workshop.seal(epoch=3))
    trust = TrustPlace(place, follower.verifier_of)
    with pytest.raises(RefusedError, match="roots of this device"):
        follower.update(trust=trust)
    assert follower.epoch() == 2
    follower.repository.trust = third = follower.trust_file(3)
    follower.repository.write()
    assert follower.update(trust=trust).outcome is Outcome.UPDATED
    assert place.read_bytes() == third


def test_whole_disk_that_is_put_back(tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path) -> None:
    """Repository, metadata, slots and state of an earlier day, where the device's TPM counts."""
    device = Device(workshop, tmp_path)
    repository = TufRepository(device.disk / "repository")
    follower = Follower(workshop, repository, device)
    repository.offer(device.seal(1))
    follower.update()
    kept = device.keep_disk()
    repository.offer(device.seal(2))
    assert follower.update().outcome is Outcome.UPDATED
    device.bring_back(kept)
    for attempt in (follower.update, follower.epoch):
        with pytest.raises(RollbackError, match="not the newest state"):
            attempt()
