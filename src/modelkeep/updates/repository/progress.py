"""How far a ceremony is."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.trust.envelope import Envelope
from modelkeep.updates.repository.plan import Plan


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document that waits for signatures, or has them.

    Attributes:
        what: what it is called.
        signed: how many have signed.
        threshold: how many have to.
        keys: fingerprints of those whose signatures would count besides.
    """

    what: str
    signed: int
    threshold: int
    keys: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether enough have signed."""
        return self.signed >= self.threshold


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a ceremony is.

    Attributes:
        plan: what people agree on.
        changes: version of the root of the repository that is changed; None where a new one is begun.
        digest: SHA-256 of all that is agreed on, hexadecimal; None while keys are missing.
        envelopes: the documents of trust, to be shown.
        waiting: what is to be signed, in the order in which that goes.
        is_published: whether nothing is left to do.
    """

    plan: Plan
    changes: int | None = None
    digest: str | None = None
    envelopes: tuple[Envelope, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    is_published: bool = False
