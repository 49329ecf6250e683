"""What devices must remember of releases, on one page: the oracle that the real thing is held against.

Nothing here is shared with the implementation. Releases have a place (epoch, time of sealing); a device
remembers marks, and whose trust file each was installed by; whoever is trusted for a model says which of
them count, and a ticket takes back what counted for its signers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Place = tuple[int, int]

MOST_OF_ONE_SIGNER = 4
MOST_SIGNERS = 16


class RefusedByModelError(Exception):
    """The oracle says no."""


@dataclass(frozen=True)
class ModelRelease:
    """A release of the one model of this world."""

    signer: str
    place: Place
    bundle: int


@dataclass(frozen=True)
class ModelTrust:
    """A trust file: its number, who may sign, what is void, below which place nothing counts, whose it is."""

    number: int
    publishers: frozenset[str]
    void: frozenset[int] = frozenset()
    floor: Place | None = None
    roots: str = "r"

    def accepts(self, release: ModelRelease) -> bool:
        return release.signer in self.publishers and release.bundle not in self.void


@dataclass
class ModelDevice:
    """What a device remembers: each newest trust file's number, marks, and what can be opened; for whom."""

    numbers: dict[str, int] = field(default_factory=dict)
    marks: list[tuple[ModelRelease, str]] = field(default_factory=list)
    installed: dict[int, tuple[ModelRelease, str]] = field(default_factory=dict)

    def copy(self) -> ModelDevice:
        return ModelDevice(dict(self.numbers), list(self.marks), dict(self.installed))

    def see(self, trust: ModelTrust) -> None:
        if trust.number < self.numbers.get(trust.roots, 0):
            raise RefusedByModelError
        self.numbers[trust.roots] = trust.number

    def floor(self, trust: ModelTrust) -> tuple[Place, int | None]:
        counting = [mark for mark, _ in self.marks if trust.accepts(mark)]
        highest = max([mark.place for mark in counting] + [trust.floor or (0, 0)])
        at_the_place = [mark.bundle for mark in counting if mark.place == highest]
        return highest, at_the_place[-1] if at_the_place else None

    def check(self, release: ModelRelease, trust: ModelTrust) -> None:
        self.see(trust)
        place, bundle = self.floor(trust)
        if not trust.accepts(release) or release.place < place:
            raise RefusedByModelError
        if release.place == place and bundle not in (None, release.bundle):
            raise RefusedByModelError

    def commit(self, release: ModelRelease, trust: ModelTrust) -> None:
        self.check(release, trust)
        signer = release.signer, trust.roots
        signers = {(mark.signer, roots) for mark, roots in self.marks} - {signer}
        if len(signers) >= MOST_SIGNERS:
            raise RefusedByModelError
        others = [(mark, roots) for mark, roots in self.marks if (mark.signer, roots) != signer]
        own = [each for each in self.marks if each not in others and each[0] != release]
        kept = sorted(own, key=lambda each: each[0].place)[1 - MOST_OF_ONE_SIGNER :]
        self.marks = others + sorted([*kept, (release, trust.roots)], key=lambda each: each[0].place)
        self.installed = {
            bundle: (each, roots)
            for bundle, (each, roots) in self.installed.items()
            if each.place >= release.place or each.signer not in trust.publishers
        }
        self.installed[release.bundle] = release, trust.roots

    def take_back(self, bundle: int, roots: str) -> None:
        taken = [(mark, whose) for mark, whose in self.marks if (mark.bundle, whose) == (bundle, roots)]
        if not taken:
            raise RefusedByModelError
        self.marks = [each for each in self.marks if each not in taken]
        if self.installed.get(bundle) in taken:
            del self.installed[bundle]

    def open_installation(self, release: ModelRelease, trust: ModelTrust) -> None:
        self.check(release, trust)
        if release.bundle not in self.installed:
            raise RefusedByModelError
