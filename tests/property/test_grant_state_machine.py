"""Grants given, lost and torn in any order: who may open and who may grant follows from what is left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modelkeep.bundle.access import Access, sidecar_path, unlock_bundle
from modelkeep.errors import NotForThisDeviceError, RefusedError, UsageError
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from support.workshop import Workshop

NOW = 2_000_000_000
PROVED = frozenset({"sealed", "verified-boot"})
DEVICES = {"admin": "p256", "one": "p256", "two": "x25519", "three": "mlkem768-x25519"}
STRANGER = "stranger"

moments = st.none() | st.sampled_from([NOW - 10, NOW, NOW + 10])
postures = st.sets(st.sampled_from([*PROVED, "unheard-of"])).map(tuple)
constraints = st.builds(Constraints, moments, moments, postures)
names = st.sampled_from(list(DEVICES))
# Who is an admin may open, too, and is named once.
others = names.filter(lambda name: name != "admin")


def has_a_time(limits: Constraints) -> bool:
    return limits.not_before is None or limits.not_after is None or limits.not_before <= limits.not_after


@dataclass(frozen=True)
class Given:
    """What the model knows of one grant."""

    device: str
    not_before: int
    not_after: int
    posture: frozenset[str]
    delegate: bool

    @classmethod
    def first(cls, device: str, wanted: Constraints, *, delegate: bool) -> Given:
        return cls(device, 0, NOW * 2, frozenset(), True).passed_on(device, wanted, delegate=delegate)

    def passed_on(self, device: str, wanted: Constraints, *, delegate: bool) -> Given:
        """Returns what the holder of this grant may give to `device` at most."""
        not_before = self.not_before if wanted.not_before is None else max(self.not_before, wanted.not_before)
        not_after = self.not_after if wanted.not_after is None else min(self.not_after, wanted.not_after)
        return Given(device, not_before, not_after, self.posture | set(wanted.posture), delegate)

    @property
    def ever_counts(self) -> bool:
        return self.not_before <= self.not_after

    def counts(self, posture: frozenset[str]) -> bool:
        return self.not_before <= NOW <= self.not_after and self.posture <= posture

    def describes(self, found: Constraints) -> bool:
        return (
            (found.not_before or 0) == self.not_before
            and (found.not_after or NOW * 2) == self.not_after
            and frozenset(found.posture) == self.posture
            and found.delegate == self.delegate
        )


class Keys:
    """Devices whose keys outlive a single example, because making them takes longest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workshop = Workshop(folder)
        self.files = {name: self.workshop.new_device(name, kind) for name, kind in DEVICES.items()}
        self.files[STRANGER] = self.workshop.new_device(STRANGER)
        self.identities = {name: self.workshop.identity(path) for name, path in self.files.items()}
        self.verifier = self.workshop.verifier(clock=lambda: NOW)
        self.model = self.workshop.model()

    def public(self, name: str) -> Path:
        return self.files[name].with_suffix(".pub")


class Granting(RuleBasedStateMachine):
    """A bundle and its sidecar, next to a list of what they should hold."""

    keys: Keys

    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[Given] = []
        self.beside: list[Given] = []

    @initialize(plain=st.none() | others, limits=constraints.filter(has_a_time))
    def seal(self, plain: str | None, limits: Constraints) -> None:
        recipients = [] if plain is None else [self.keys.public(plain)]
        self.sealed = self.keys.workshop.seal(
            self.keys.model, to=recipients, admins=[self.keys.public("admin")], constraints=limits
        )
        self.sidecar = sidecar_path(self.sealed)
        if plain is not None:
            self.embedded.append(Given.first(plain, limits, delegate=False))
        self.embedded.append(Given.first("admin", limits, delegate=True))

    def teardown(self) -> None:
        for path in self.keys.folder.glob("*.keep*"):
            path.unlink()

    @rule(holder=names, plain=st.none() | names, admin=st.none() | names, wanted=constraints)
    def pass_on(self, holder: str, plain: str | None, admin: str | None, wanted: Constraints) -> None:
        if plain is None and admin is None:
            return
        if plain == admin:
            with pytest.raises(UsageError, match="stands there twice"):
                self.grant(holder, plain, admin, wanted)
            return
        own = self.expected(holder, frozenset(), delegating=True)
        if own is None:
            with pytest.raises((RefusedError, NotForThisDeviceError)):
                self.grant(holder, plain, admin, wanted)
            return
        asked = [(plain, False), (admin, True)]
        made = [own.passed_on(device, wanted, delegate=delegate) for device, delegate in asked if device]
        if not all(given.ever_counts for given in made):
            with pytest.raises(UsageError, match="never counts"):
                self.grant(holder, plain, admin, wanted)
            return
        self.grant(holder, plain, admin, wanted)
        self.beside += made

    def grant(self, holder: str, plain: str | None, admin: str | None, wanted: Constraints) -> None:
        grant(
            self.sealed,
            identity=self.keys.identities[holder],
            to=[] if plain is None else [self.keys.public(plain)],
            admins=[] if admin is None else [self.keys.public(admin)],
            constraints=wanted,
            verifier=self.keys.verifier,
        )

    @rule(length=st.integers(1, 400))
    def tear(self, length: int) -> None:
        """Leaves what a crash leaves of an append."""
        whole = self.lines()
        start = whole[0] if whole else b'{"header":"eyJ' + bytes(400)
        # Every append cuts off what an earlier one left, so that there is one torn line at most.
        self.sidecar.write_bytes(b"".join(whole) + start[:length].replace(b"\n", b""))

    @precondition(lambda self: self.beside)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Takes a line out of the sidecar."""
        place = data.draw(st.integers(0, len(self.beside) - 1))
        lines = self.lines()
        del lines[place], self.beside[place]
        self.sidecar.write_bytes(b"".join(lines))

    @rule()
    def lose_all(self) -> None:
        self.sidecar.unlink(missing_ok=True)
        self.beside.clear()

    @invariant()
    def each_device_opens_as_granted(self) -> None:
        for posture in (PROVED, frozenset[str]()):
            for device in DEVICES:
                self.check(device, posture)

    @invariant()
    def nobody_else_opens(self) -> None:
        with pytest.raises(NotForThisDeviceError):
            self.open(STRANGER, PROVED)

    def check(self, device: str, posture: frozenset[str]) -> None:
        expected = self.expected(device, posture)
        if expected is not None:
            assert expected.describes(self.open(device, posture))
            return
        granted = any(given.device == device for given in self.embedded + self.beside)
        with pytest.raises(RefusedError if granted else NotForThisDeviceError):
            self.open(device, posture)

    def expected(self, device: str, posture: frozenset[str], *, delegating: bool = False) -> Given | None:
        """Returns the grant that counts: the first whose constraints are met and that will do."""
        own = [given for given in self.embedded + self.beside if given.device == device]
        fitting = [given for given in own if given.counts(posture) and (given.delegate or not delegating)]
        return next(iter(fitting), None)

    def open(self, device: str, posture: frozenset[str]) -> Constraints:
        identity, verifier = self.keys.identities[device], self.keys.verifier
        with unlock_bundle(self.sealed, Access(identity, verifier, posture=posture)) as opened:
            assert opened.inner_manifest()
            return opened.grant.constraints

    def lines(self) -> list[bytes]:
        data = self.sidecar.read_bytes() if self.sidecar.exists() else b""
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.fixture(scope="module", autouse=True)
def _keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    Granting.keys = Keys(tmp_path_factory.mktemp("granting"))


def run(examples: int, steps: int, *, derandomize: bool) -> None:
    Granting.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        deadline=None,
        database=None,
    )
    Granting.TestCase().runTest()


def test_what_is_left_decides_who_may_open_and_who_may_grant() -> None:
    run(40, 15, derandomize=True)


@pytest.mark.slow
def test_what_is_left_decides_at_length() -> None:
    run(2_000, 40, derandomize=False)
