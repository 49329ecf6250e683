"""What devices must remember of releases, on one page: the oracle that the real thing is held against.

Nothing here is shared with the implementation. Releases have a place (epoch, time of sealing); a device
remembers marks; whoever is trusted for a model says which of them count.
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
    """A trust file: its number, who may sign, what is void, and below which place nothing counts."""

    number: int
    publishers: frozenset[str]
    void: frozenset[int] = frozenset()
    floor: Place | None = None

    def accepts(self, release: ModelRelease) -> bool:
        return release.signer in self.publishers and release.bundle not in self.void


@dataclass
class ModelDevice:
    """What a device remembers: the number of the newest trust file, marks, and what can be opened."""

    number: int = 0
    marks: list[ModelRelease] = field(default_factory=list)
    installed: dict[int, ModelRelease] = field(default_factory=dict)

    def copy(self) -> ModelDevice:
        return ModelDevice(self.number, list(self.marks), dict(self.installed))

    def see(self, trust: ModelTrust) -> None:
        if trust.number < self.number:
            raise RefusedByModelError
        self.number = trust.number

    def floor(self, trust: ModelTrust) -> tuple[Place, int | None]:
        counting = [mark for mark in self.marks if trust.accepts(mark)]
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
        signers = {mark.signer for mark in self.marks} - {release.signer}
        if len(signers) >= MOST_SIGNERS:
            raise RefusedByModelError
        others = [mark for mark in self.marks if mark.signer != release.signer]
        own = [mark for mark in self.marks if mark.signer == release.signer and mark != release]
        kept = sorted(own, key=lambda mark: mark.place)[1 - MOST_OF_ONE_SIGNER :]
        self.marks = others + sorted([*kept, release], key=lambda mark: mark.place)
        self.installed = {
            bundle: each
            for bundle, each in self.installed.items()
            if each.place >= release.place or each.signer not in trust.publishers
        }
        self.installed[release.bundle] = release

    def open_installation(self, release: ModelRelease, trust: ModelTrust) -> None:
        self.check(release, trust)
        if release.bundle not in self.installed:
            raise RefusedByModelError
