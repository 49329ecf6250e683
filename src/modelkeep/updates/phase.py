"""Which release goes to how many devices by now: a target of its own, whose key may be online.

Whoever steals that key can hold releases back and speed them up, among those that their families' keys
have signed; nothing else. Source: spec/update-v1.md, "Phases".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.channels.channel import LONGEST_NAME
from modelkeep.errors import MalformedError, UsageError
from modelkeep.manifest import check_model_id
from modelkeep.record import Record
from modelkeep.updates.release_document import is_document_of

FORMAT, VERSION = "modelkeep/phase", 1
LARGEST_PHASE = 2**16
MOST_OFFERS = 16
EVERYBODY = 1000
FOLDER = "phases"


@dataclass(frozen=True, slots=True)
class Offer:
    """A release and the share of devices that it is for.

    Attributes:
        release: name of its release document.
        attempt: the attempt that this speaks of; of a document with another one it says nothing.
        share: how many of a thousand devices take it, 0 to 1000.
        paused: whether no further device begins with it meanwhile.
    """

    release: str
    attempt: int
    share: int
    paused: bool = False

    def __post_init__(self) -> None:
        """Refuses a share that is none.

        Raises:
            UsageError: it is not from 0 to 1000.
        """
        if not 0 <= self.share <= EVERYBODY:
            raise UsageError(f"a share is from 0 to {EVERYBODY} of {EVERYBODY}")


@dataclass(frozen=True, slots=True)
class Phase:
    """What is offered of one model.

    Attributes:
        model: the model's id, which is also in the document's name.
        offers: the newest release first. A device takes the first one whose share it is in.
    """

    model: str
    offers: tuple[Offer, ...] = ()

    @property
    def name(self) -> str:
        """The document's name, a path among the targets."""
        return phase_name(self.model)

    def offer_of(self, release: str) -> Offer | None:
        """Returns the offer of the release with this document, or None."""
        return next((each for each in self.offers if each.release == release), None)

    def to_bytes(self) -> bytes:
        """Returns the document, canonical JSON.

        Raises:
            UsageError: more offers than it can hold.
        """
        if len(self.offers) > MOST_OFFERS:
            raise UsageError(f"of one model at most {MOST_OFFERS} releases are offered at a time")
        return canonical.encode(
            {
                "format": FORMAT,
                "version": VERSION,
                "model": self.model,
                "offers": [_offer_to_json(each) for each in self.offers],
            }
        )

    @staticmethod
    def from_bytes(data: bytes, model: str) -> Phase:
        """Reads a document whose bytes were verified, and which was listed for `model`.

        Raises:
            MalformedError: not of this form, or of another model.
            UnsupportedVersionError: made by a newer version.
        """
        if len(data) > LARGEST_PHASE:
            raise MalformedError(f"phase: larger than {LARGEST_PHASE} bytes")
        with Record(canonical.decode(data, "phase"), "phase") as record:
            record.check_format(FORMAT, VERSION)
            if record.text("model") != model:
                raise record.fault("model", f"is not {model}")
            offers = tuple(_offer(each, model) for each in record.items("offers", longest=MOST_OFFERS))
        _check_once(offers)
        return Phase(model, offers)


def phase_name(model: str) -> str:
    """Returns the name of the document that says what is offered of a model, a path among the targets.

    Raises:
        UsageError: not a model id.
    """
    return f"{FOLDER}/{check_model_id(model)}.json"


def _check_once(offers: Sequence[Offer]) -> None:
    if len({each.release for each in offers}) != len(offers):
        raise MalformedError("phase: offers a release twice")


def _offer_to_json(offer: Offer) -> dict[str, Any]:
    members = {"release": offer.release, "attempt": offer.attempt, "share": offer.share}
    return members | ({"paused": True} if offer.paused else {})


def _offer(item: object, model: str) -> Offer:
    with Record(item, "phase: offer") as record:
        release = record.text("release", longest=LONGEST_NAME)
        if not is_document_of(release, model):
            raise record.fault("release", "is not one of the model")
        return Offer(
            release,
            record.integer("attempt"),
            record.integer("share", highest=EVERYBODY),
            record.switch("paused"),
        )
