"""Attacks on what a device keeps and remembers of a repository: folders, state, time, service."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, TargetFile, Targets

from modelkeep.clock import Clock
from modelkeep.errors import ExpiredError, RefusedError, StorageError
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.client.notes import Outcome
from modelkeep.updates.client.schedule import Schedule
from modelkeep.updates.client.trust_place import TrustPlace
from modelkeep.updates.phase import Phase
from modelkeep.updates.slots import Slots
from support.command_line import CommandLine
from support.following import Follower
from support.repository import SmallRepository
from support.tuf_repository import DAY, TufRepository
from support.workshop import MODEL_ID, Workshop

YEAR = 365 * DAY


@pytest.fixture
def follower(workshop: Workshop) -> Follower:
    """A device that has installed release 1 of a repository."""
    repository = TufRepository(workshop.folder / "repository")
    repository.offer(workshop.seal(epoch=1))
    follower = Follower(workshop, repository)
    follower.update()
    return follower


@pytest.mark.parametrize("part", ["", "targets", "root_history"])
def test_links_among_what_is_kept_lead_nowhere(follower: Follower, part: str) -> None:
    """Whoever can write there has nothing elsewhere removed or replaced, as the device's state."""
    elsewhere = follower.workshop.folder / "elsewhere"
    (elsewhere / "targets").mkdir(parents=True)
    files = [elsewhere / "device.state", elsewhere / "targets" / "device.state"]
    for file in files:
        file.write_text("remembered")
    shutil.rmtree(follower.metadata / part)
    (follower.metadata / part).symlink_to(elsewhere)
    with pytest.raises(StorageError, match="is a link"):
        follower.update()
    assert sorted(each for each in elsewhere.rglob("*") if each.is_file()) == files
    (follower.metadata / part).unlink()
    assert follower.update().outcome is Outcome.CURRENT


def test_what_somebody_puts_among_what_is_kept_stays_and_stops_nothing(follower: Follower) -> None:
    kept = follower.metadata / "targets"
    (kept / "a%2Ffolder").mkdir()
    (kept / "notes").write_text("of somebody")
    (kept / "phases%2Fother.json").write_text("not asked for any more")
    assert follower.update().outcome is Outcome.CURRENT
    assert (kept / "notes").exists() and not (kept / "phases%2Fother.json").exists()


def test_slots_that_somebody_says_are_of_another_model(
    small: SmallRepository, workshop: Workshop, command: CommandLine
) -> None:
    """What they say is not authentic: an operator says which model a device follows, or that any will do."""
    for model in ("acme/detector", "acme/other"):
        small.publish(epoch=1, model=model)
    (workshop.folder / "root.json").write_bytes(small.first_root)
    Slots.init(workshop.folder / "slots", "acme/other")
    update = (
        "modelkeep update slots --repository repository --root root.json -k file:pi-17.pem -t publisher.pub"
    )
    Path(workshop.folder, "publisher.pub").write_bytes(workshop.publisher_public)
    assert "which model is it to be?" in command.shell(update).err
    assert command.shell(f"{update} --model-id acme/detector").code == 3
    assert "acme/other: updated" in command.ok(f"{update} --any-model").err


def test_grants_that_a_server_makes_large_do_not_stay(follower: Follower) -> None:
    """Nobody has signed their length: a server would fill the disk for as long as the release counts."""
    follower.repository.offer(follower.workshop.seal(epoch=2), grants="2.grants")
    grants = follower.repository.folder / "targets" / "2.grants"
    grants.write_bytes(b"x" * 1_000_000)
    assert follower.update().outcome is Outcome.UPDATED
    assert not [each for each in follower.folder.rglob("*") if each.stat().st_size >= 1_000_000]


def delegate_on(repository: TufRepository) -> None:
    """As who has stolen the keys of phases and snapshots: another role says what is offered."""
    key, phase = CryptoSigner.generate_ed25519(), Phase(MODEL_ID, tuple(repository.offers))
    public, version, end = key.public_key, repository.versions["phase"], repository._end("phase")
    role = DelegatedRole("another", [public.keyid], 1, True, ["phases/*/*.json"])
    onward = Targets(version, expires=end, delegations=Delegations({public.keyid: public}, {role.name: role}))
    repository._sign(f"{version}.phase", onward, repository.keys["phase"])
    listed = {phase.name: TargetFile.from_data(phase.name, phase.to_bytes(), ["sha256"])}
    repository._sign(f"1.{role.name}", Targets(1, expires=end, targets=listed), key)
    repository.versions |= {"phase": version + 1, role.name: 2}
    repository.write_snapshot(role.name)
    repository.write_timestamp()


def test_stolen_online_keys_make_no_further_roles(follower: Follower) -> None:
    """They would fill the disk, and the state for good: no other repository would have room there."""
    delegate_on(follower.repository)
    with pytest.raises(RefusedError, match="targets alone"):
        follower.update()
    assert not (follower.metadata / "another.json").exists()


def test_stolen_key_of_the_timestamp_moves_no_clock_that_is_kept_right(follower: Follower) -> None:
    """Else everything would have ended for a year, also what the keys of afterwards sign."""
    follower.trust_days = 365
    repository, vouched = follower.repository, Clock(time.time, is_vouched=lambda: True, built=0)

    trust = follower.verifier().trust
    assert trust is not None

    def update() -> Outcome:
        verifier = Verifier.from_trust_file(trust, model=MODEL_ID, clock=vouched)
        return follower.update(verifier=verifier).outcome

    repository.offer(follower.workshop.seal(epoch=2))
    repository.write_timestamp(signed_at=int(repository.now + YEAR - DAY))
    assert update() is Outcome.UPDATED
    repository.rotate("timestamp")
    repository.offer(follower.workshop.seal(epoch=3))
    assert update() is Outcome.UPDATED


def test_service_whose_trust_file_somebody_else_replaced(follower: Follower) -> None:
    """What another program has shown the device counts for a service, too, before it is started anew."""
    follower.trust_days = 365
    path = follower.workshop.folder / "trust.json"
    path.write_bytes(follower.trust_file(1))
    trust = TrustPlace(path, follower.verifier_of)
    with follower.updater(trust=trust, verifier=follower.verifier_of(path.read_bytes())) as service:
        service.update()
        path.write_bytes(follower.trust_file(2))
        follower.update(verifier=follower.verifier_of(path.read_bytes()))
        follower.repository.offer(follower.workshop.seal(epoch=2))
        assert service.update().outcome is Outcome.UPDATED


def test_one_answer_silences_a_device_for_a_day_at_most() -> None:
    """Nobody has signed it, and whoever gave it may have been in between for a moment."""
    schedule = Schedule(bytes(32))
    pauses = [schedule.pause(look, 1, named=None, asked=float(YEAR)) for look in range(20)]
    assert DAY <= min(pauses) <= max(pauses) <= 1.5 * DAY


def test_clock_that_ran_ahead_while_a_device_may_remember_time(follower: Follower) -> None:
    """Nothing is taken online until then, what counts opens, and a copy serves 90 days past its snapshot."""
    follower.trust_days = 365
    now = follower.repository.now
    for follower.clock, is_behind in ((now + 100 * DAY, False), (now, True)):
        with pytest.raises(ExpiredError) as refused:
            follower.update()
        assert ("clock" in str(refused.value.hint)) is is_behind
    assert follower.epoch() == 1
    follower.repository.offer(follower.workshop.seal(epoch=2))
    assert follower.update(offline=True).outcome is Outcome.UPDATED
