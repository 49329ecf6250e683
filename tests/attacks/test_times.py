"""Times that a publisher writes and clocks that lie: what they move, and what they do not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from modelkeep.clock import LATEST_TIME, Clock
from modelkeep.errors import ExpiredError, RefusedError
from modelkeep.grants.constraints import Constraints
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.workshop import Workshop

DAY = 86_400
YEAR = 365 * DAY


def sealed_later(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, seconds: float, constraints: Constraints
) -> Path:
    """Returns a bundle whose publisher says that it was sealed `seconds` from now."""
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + seconds)
        return workshop.seal(constraints=constraints)


def trusting(workshop: Workshop, *, ends: float, clock: float = 0) -> Verifier:
    """Returns a verifier with a trust file that ends, and a clock that is wrong, by these seconds."""
    publisher = Publisher(workshop.signer.public_key, ("*",))
    trust = TrustFile(1, min(int(time.time() + ends), LATEST_TIME), (publisher,))
    return Verifier.from_trust_file(
        workshop.signed(trust), model=UnsafeAnyModel(), clock=lambda: time.time() + clock
    )


def installed(workshop: Workshop, bundle: Path, verifier: Verifier, name: str = "installed.keep") -> Path:
    target = workshop.folder / name
    return install(bundle, target, identity=workshop.identity(), verifier=verifier).path


def test_a_late_time_of_sealing_begins_no_grant(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    embargo = Constraints(not_before=int(time.time() + YEAR))
    bundle = sealed_later(workshop, monkeypatch, 10 * YEAR, embargo)
    for verifier in (workshop.verifier(), workshop.verifier(clock=time.time)):
        with pytest.raises((ExpiredError, RefusedError)):
            workshop.open(bundle, verifier=verifier)
    workshop.open(bundle, verifier=workshop.verifier(clock=lambda: time.time() + 2 * YEAR)).close()


def test_a_late_time_of_sealing_is_not_the_devices_time(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = trusting(workshop, ends=100 * YEAR)
    late = sealed_later(workshop, monkeypatch, 50 * YEAR, Constraints())
    workshop.open(installed(workshop, late, verifier, "late.keep"), verifier=verifier).close()
    lease = Constraints(not_after=int(time.time() + YEAR))
    other = workshop.seal(model="acme/classifier", constraints=lease)
    workshop.open(other, verifier=verifier).close()
    workshop.open(installed(workshop, other, verifier), verifier=verifier).close()


def test_a_clock_that_was_ahead_moves_no_time_beyond_the_trust_file(workshop: Workshop) -> None:
    ahead = trusting(workshop, ends=YEAR, clock=YEAR - DAY)
    installed(workshop, workshop.seal(), ahead, "first.keep")
    lease = Constraints(not_after=int(time.time() + 2 * YEAR))
    bundle = workshop.seal(model="acme/classifier", constraints=lease)
    # What ends after the trust file has not ended: its successor mends the time.
    workshop.open(bundle, verifier=trusting(workshop, ends=3 * YEAR)).close()
    without = workshop.verifier(model=UnsafeAnyModel(), clock=lambda: time.time() + 50 * YEAR)
    installed(workshop, workshop.seal(model="acme/segmenter"), without, "second.keep")
    workshop.open(bundle, verifier=trusting(workshop, ends=3 * YEAR)).close()


def test_a_time_of_sealing_ahead_of_a_clock_that_is_kept_right(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = sealed_later(workshop, monkeypatch, 2 * DAY, Constraints())
    kept_right = workshop.verifier(clock=Clock(is_vouched=lambda: True))
    with pytest.raises(RefusedError, match="sealed in the future"):
        workshop.open(bundle, verifier=kept_right)
    workshop.open(
        bundle, verifier=workshop.verifier(clock=Clock(lambda: 0, is_vouched=lambda: False))
    ).close()


def test_a_device_without_a_clock_waits_for_a_time_that_somebody_signed(workshop: Workshop) -> None:
    begins = workshop.seal(constraints=Constraints(not_before=int(time.time() - 60)))
    unset = Clock(lambda: 0, is_vouched=lambda: False)
    with pytest.raises(ExpiredError, match="not valid before"):
        workshop.open(begins, verifier=workshop.verifier(clock=unset))
    told = unset.no_earlier_than(int(time.time()))
    workshop.open(begins, verifier=workshop.verifier(clock=told)).close()


def test_setting_the_clock_before_this_version_was_written(workshop: Workshop) -> None:
    ended = workshop.seal(constraints=Constraints(not_after=Clock().built - 1))
    with pytest.raises(ExpiredError):
        workshop.open(ended, verifier=workshop.verifier(clock=Clock(lambda: 0, is_vouched=lambda: False)))
