"""Marks: which releases a device has installed, who signed them, and the floor that follows.

A mark counts as long as whoever judges vouches for its signer and does not call its bundle void. So a
publisher who is not trusted for a model raises no floor of it, a key that is trusted no more holds none up,
and what one judge says takes nothing away from the next.
Source: spec/install-v1.md, "Order" and "Marks".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from modelkeep.errors import RollbackError, StorageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId

MOST_SIGNERS = 16
MOST_OF_ONE_SIGNER = 4

_HINT = "get a newer release of the model"
_SAME_PLACE_HINT = "two were sealed with one epoch in one second: seal this one again, or with a higher epoch"


class Judge(Protocol):
    """Whom a verifier believes, whatever the time."""

    @property
    def void(self) -> frozenset[bytes]:
        """Bundles (16 bytes) whose marks do not count."""

    def vouches(self, model: str, signer: SignerId) -> bool:
        """Returns whether `signer` may sign `model`, whatever the time."""

    def floor(self, model: str) -> ReleaseOrder | None:
        """Returns the lowest place that a trust file accepts of `model`, or None."""


class Mark(NamedTuple):
    """A release that was installed.

    Attributes:
        signer: who signed it.
        order: its place.
        bundle: its bundle's id, 16 bytes.
        voucher: for whom it was installed, 32 bytes: the roots of the trust file (`TrustEntry.voucher`), or
            the key that signed it where there was none. Whoever that is may take the mark back, nobody else.
    """

    signer: SignerId
    order: ReleaseOrder
    bundle: bytes
    voucher: bytes


class Floor(NamedTuple):
    """The lowest place that counts.

    Attributes:
        order: the place.
        bundle: the only bundle that counts at that very place, or None where every one does.
    """

    order: ReleaseOrder
    bundle: bytes | None = None

    def check(self, order: ReleaseOrder, bundle: bytes) -> None:
        """Accepts a release at or above the floor.

        Raises:
            RollbackError: it is older, or another release stands at its place.
        """
        if order < self.order:
            raise RollbackError(f"release {order} is older than {self.order}, which counts here", hint=_HINT)
        if order == self.order and self.bundle not in (None, bundle):
            raise RollbackError(f"another release stands at the place {order}", hint=_SAME_PLACE_HINT)


def floor_of(marks: Iterable[Mark], model: str, judge: Judge) -> Floor:
    """Returns the highest of the marks that count for `judge` and of its own floor.

    Of two marks at one place the later one counts, and a mark counts before a floor at its place.
    """
    floor = Floor(judge.floor(model) or ReleaseOrder(0, 0))
    for mark in marks:
        if mark.order >= floor.order and _counts(mark, model, judge):
            floor = Floor(mark.order, mark.bundle)
    return floor


def _counts(mark: Mark, model: str, judge: Judge) -> bool:
    return mark.bundle not in judge.void and judge.vouches(model, mark.signer)


def with_mark(marks: tuple[Mark, ...], new: Mark) -> tuple[Mark, ...]:
    """Returns `marks` with `new` as the latest, and of the same signer's others the highest three.

    A signer counts once for each voucher: whoever takes marks back has made nobody else's give way.

    Raises:
        StorageError: there are marks of 16 other signers; nobody's are given up for a new one's.
    """
    others = tuple(mark for mark in marks if _of(mark) != _of(new))
    if len(set(map(_of, others))) >= MOST_SIGNERS:
        raise StorageError(
            "the device's state has no room for another signer of this model",
            hint=f"{MOST_SIGNERS} signers have installed it; a ticket can take away what some of them signed",
        )
    own = [mark for mark in marks if _of(mark) == _of(new) and mark != new]
    # Higher ones may be void, and then it is the new one that counts.
    highest = sorted(own, key=lambda mark: mark.order)[1 - MOST_OF_ONE_SIGNER :]
    return others + tuple(sorted([*highest, new], key=lambda mark: mark.order))


def _of(mark: Mark) -> tuple[SignerId, bytes]:
    return mark.signer, mark.voucher
