"""What a device remembers: marks, installations and their stages, trust files, and the time.

Plain values and what happens to them; nothing here reads or writes. Source: spec/install-v1.md,
"Device state".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from modelkeep.device.marks import Floor, Judge, Mark, floor_of, with_mark
from modelkeep.device.seen_trust import SeenTrust, TrustEntry, time_for, with_seen, with_time
from modelkeep.device.tuf_roles import TufRole
from modelkeep.errors import RollbackError
from modelkeep.release_order import ReleaseOrder

MOST_INSTALLATIONS = 64
MOST_QUARANTINED = 64
GENERATION_BYTES = 16
DAY = 86_400

# Makes of the time that is remembered the one to remember, both in seconds since 1970-01-01 UTC.
Time = Callable[[int], int]


class Stage(Enum):
    """How far an installation has come; models are opened from current ones only."""

    STAGED = "staged"
    TRIAL = "trial"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Installed:
    """What is known of one installation.

    Attributes:
        mark: the release, and who signed it.
        secret: 32 bytes without which it cannot be opened.
        stage: how far it has come.
    """

    mark: Mark
    secret: bytes = field(repr=False)
    stage: Stage = Stage.STAGED


class Quarantined(NamedTuple):
    """A release that failed on this device and is not tried again.

    Attributes:
        bundle: its bundle's id, 16 bytes.
        attempt: the publisher's number for this try; a higher one is another release.
        voucher: for whom it was tried, as in `Mark`; `DeviceState.give_up` fills it in.
    """

    bundle: bytes
    attempt: int
    voucher: bytes = b""


@dataclass(slots=True)
class ModelState:
    """What is known of one model.

    Attributes:
        marks: which releases were installed, the latest of each signer last.
        installations: by id (16 bytes), oldest first.
        active: the installation that was committed last, if any.
        tries: how often the one on trial has been started.
        quarantine: what is not tried again, oldest first.
    """

    marks: tuple[Mark, ...] = ()
    installations: dict[bytes, Installed] = field(default_factory=dict)
    active: bytes | None = None
    tries: int = 0
    quarantine: tuple[Quarantined, ...] = ()

    def stage(self, installation: bytes, installed: Installed, replaced: bytes | None = None) -> None:
        """Adds an installation that is about to be made; older releases that do not count yet go.

        Newer ones stay: whoever begins with an old release takes nothing from those who are at a newer one.
        The one that was `replaced`, whose file is about to be overwritten, goes in any case.
        """
        if replaced is not None:
            self.drop(replaced)
        self._keep(lambda each: each.stage is Stage.CURRENT or each.mark.order >= installed.mark.order)
        self.installations[installation] = installed
        self.tries = 0
        while len(self.installations) > MOST_INSTALLATIONS:
            others = [key for key in self.installations if key != installation]
            del self.installations[min(others, key=self._worth)]

    def set_stage(self, installation: bytes, stage: Stage) -> Installed:
        """Returns an installation at its new stage.

        Raises:
            RollbackError: it is not known any more.
        """
        if installation not in self.installations:
            raise RollbackError(
                "another installation was made meanwhile", hint="get the newest release of the model"
            )
        changed = replace(self.installations[installation], stage=stage)
        self.installations[installation] = changed
        return changed

    def on_trial(self, installation: bytes) -> Installed:
        """Returns the installation that is on trial.

        Raises:
            RollbackError: it is not, or not any more.
        """
        known = self.installations.get(installation)
        if known is None or known.stage is not Stage.TRIAL:
            raise RollbackError("this installation is not on trial any more", hint="install the bundle again")
        return known

    def commit(self, model: str, installation: bytes, judge: Judge) -> None:
        """Makes an installation the active one; the secrets of older ones that `judge` vouches for go.

        Raises:
            RollbackError: it is not known any more.
            StorageError: there is no room for the marks of another signer.
        """
        mark = self.set_stage(installation, Stage.CURRENT).mark
        self.marks = with_mark(self.marks, mark)
        self._keep(lambda each: each.mark.order >= mark.order or not judge.vouches(model, each.mark.signer))
        self.active, self.tries = installation, 0

    def drop(self, installation: bytes) -> None:
        """Forgets an installation: it can never be opened again."""
        self.installations.pop(installation, None)
        self.active = None if self.active == installation else self.active

    def put_in_quarantine(self, release: Quarantined) -> None:
        """Remembers not to try a release again."""
        others = tuple(
            each
            for each in self.quarantine
            if (each.bundle, each.voucher) != (release.bundle, release.voucher)
        )
        self.quarantine = (*others, release)[-MOST_QUARANTINED:]

    def is_in_quarantine(self, mark: Mark, attempt: int) -> bool:
        """Returns whether a release failed here at this attempt or a later one, for whom it would count."""
        return any(
            (each.bundle, each.voucher) == (mark.bundle, mark.voucher) and each.attempt >= attempt
            for each in self.quarantine
        )

    def _worth(self, installation: bytes) -> tuple[bool, bool]:
        # A device that fails over and over keeps what it has.
        return installation == self.active, self.installations[installation].stage is Stage.CURRENT

    def _keep(self, wanted: Callable[[Installed], bool]) -> None:
        self.installations = {key: each for key, each in self.installations.items() if wanted(each)}
        if self.active not in self.installations:
            self.active = None


@dataclass(slots=True)
class Contents:
    """What a device remembers.

    Attributes:
        models: by model id.
        trust: the newest trust file of each set of roots, and the time, oldest entry first.
        tuf: the newest metadata of each role, by `tuf_roles.name_of`.
        adopted_by: for whom alone this counts (as in `Mark.voucher`), since it is not the newest that
            there was; None for a state that was never lost.
        generation: 16 random bytes, new at each change that counts.
        counter: what the device's counter says as long as this counts; None without counter.
    """

    models: dict[str, ModelState] = field(default_factory=dict)
    trust: tuple[TrustEntry, ...] = ()
    tuf: dict[str, TufRole] = field(default_factory=dict)
    adopted_by: frozenset[bytes] | None = None
    generation: bytes = bytes(GENERATION_BYTES)
    counter: int | None = None

    def model(self, model: str) -> ModelState:
        """Returns what is known of a model, to be changed."""
        return self.models.setdefault(model, ModelState())

    def known(self, model: str) -> ModelState:
        """Returns what is known of a model, to be read; nothing is added where nothing is known."""
        return self.models.get(model, ModelState())

    def installed(self, model: str, installation: bytes) -> Installed | None:
        """Returns what is known of an installation of a model, or None."""
        return self.known(model).installations.get(installation)

    def floor(self, model: str, judge: Judge) -> Floor:
        """Returns the lowest place of `model` that counts for whom `judge` believes."""
        return floor_of(self.known(model).marks, model, judge)

    def check(self, model: str, order: ReleaseOrder, bundle: bytes, judge: Judge) -> None:
        """Accepts a release that is no older than what was installed.

        Raises:
            RollbackError: it is, or another release stands at its place.
        """
        self.floor(model, judge).check(order, bundle)

    def check_adopted(self, seen: SeenTrust | None) -> None:
        """Accepts readers of a trust file whose roots adopted this, where it had to be adopted.

        Raises:
            RollbackError: it is an older state, and others did.
        """
        if self.adopted_by is not None and (seen is None or seen.voucher not in self.adopted_by):
            raise RollbackError(
                "the newest state of this device is lost, and an older one counts for others alone",
                hint="get a ticket by the roots of your trust file that adopts it, or make a new key",
            )

    def see(self, seen: SeenTrust, time: Time) -> bool:
        """Remembers a trust file and the time; returns whether that is news, as a day or more ahead is.

        Raises:
            RollbackError: a newer one was seen before, or the roots are old ones.
        """
        before = self.trust
        self.trust = with_seen(before, seen)
        is_newer, known = self.trust != before, self.time_for(seen)
        now = max(known, time(known))
        self.trust = with_time(self.trust, [entry for entry in self.trust if entry.is_of(seen)], now)
        return is_newer or now >= known + DAY

    def time_for(self, seen: SeenTrust | None) -> int:
        """Returns the seconds since 1970-01-01 UTC that have passed for readers of a trust file."""
        return 0 if seen is None else time_for(self.trust, seen)

    def forget_installations(self) -> int:
        """Forgets all installations of all models; returns how many there were."""
        count = sum(len(state.installations) for state in self.models.values())
        for state in self.models.values():
            state.installations, state.active, state.tries = {}, None, 0
        return count

    def inheritance(self) -> Contents:
        """Returns what another key of the same device begins with: everything but installations."""
        models = {
            name: ModelState(marks=state.marks, quarantine=state.quarantine)
            for name, state in self.models.items()
        }
        return Contents(models, self.trust, dict(self.tuf), self.adopted_by)
