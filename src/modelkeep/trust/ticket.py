"""A ticket: how one device is told once to let go of something that it remembers.

It names the device and the generation of its state, which every change that counts replaces: so a
ticket is good once. Source: spec/trust-v1.md, "Tickets".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust import model_place

FORMAT, VERSION = "modelkeep/ticket", 1
DEVICE_BYTES, GENERATION_BYTES, BUNDLE_BYTES = 32, 16, 16
MOST_ACTS, MOST_MARKS = 64, 10_000


@dataclass(frozen=True, slots=True)
class Void:
    """The marks of a bundle go, and its installations.

    Attributes:
        bundle: its id, 16 bytes.
    """

    bundle: bytes


@dataclass(frozen=True, slots=True)
class SetTime:
    """The remembered time is set, for a device whose clock was once ahead.

    Attributes:
        time: seconds since 1970-01-01 UTC.
    """

    time: int


@dataclass(frozen=True, slots=True)
class ForgetQuarantine:
    """Releases that failed their trial may be tried again."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """A state that is not the newest counts from now on, because the newest is lost.

    Attributes:
        counter: what the device's counter says.
        marks: the newest release that the state knows of each model, as the signer was shown. A state
            that says otherwise is not adopted.
    """

    counter: int
    marks: tuple[tuple[str, ReleaseOrder], ...]


Act = Void | SetTime | ForgetQuarantine | Adopt


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one device is to do once.

    Attributes:
        device: SHA-256 of the device's public key, 32 bytes.
        generation: that of the device's state, 16 bytes.
        acts: what to do, in this order.
    """

    device: bytes
    generation: bytes
    acts: tuple[Act, ...]

    def __post_init__(self) -> None:
        if (len(self.device), len(self.generation)) != (DEVICE_BYTES, GENERATION_BYTES):
            raise UsageError("a ticket is for one device and one generation of its state")
        if not 1 <= len(self.acts) <= MOST_ACTS:
            raise UsageError(f"a ticket says at least one thing to do, and at most {MOST_ACTS}")

    def to_json(self) -> dict[str, Any]:
        """Returns what it says as JSON."""
        return {
            "device": self.device.hex(),
            "generation": self.generation.hex(),
            "acts": [_act_to_json(act) for act in self.acts],
        }

    def to_bytes(self) -> bytes:
        """Returns the payload, canonical JSON."""
        return canonical.encode({"format": FORMAT, "version": VERSION, **self.to_json()})

    @staticmethod
    def from_bytes(payload: bytes) -> Ticket:
        """Reads a payload, whose signatures must have been verified before.

        Raises:
            MalformedError: not of this form.
            UnsupportedVersionError: made by a newer version, or something that this one cannot do.
        """
        with Record(canonical.decode(payload, "ticket"), "ticket") as record:
            record.check_format(FORMAT, VERSION)
            device = record.hexadecimal("device", DEVICE_BYTES)
            generation = record.hexadecimal("generation", GENERATION_BYTES)
            acts = record.items("acts", longest=MOST_ACTS)
            if not acts:
                raise record.fault("acts", "must not be empty")
            ticket = Ticket(device, generation, tuple(map(_act, acts)))
        if ticket.to_bytes() != payload:
            raise MalformedError("ticket: says more than this version can show")
        return ticket


@dataclass(frozen=True, slots=True)
class VerifiedTicket:
    """A ticket whose signatures hold.

    Attributes:
        ticket: what it says.
        signers: fingerprints (32 bytes) of the keys that signed. What they may do is for the device to
            say, which remembers for whom what counted.
    """

    ticket: Ticket
    signers: frozenset[bytes]


def _act_to_json(act: Act) -> dict[str, Any]:
    match act:
        case Void(bundle):
            return {"act": "void", "bundle": bundle.hex()}
        case SetTime(time):
            return {"act": "time", "time": time}
        case ForgetQuarantine():
            return {"act": "forget-quarantine"}
        case Adopt(counter, marks):
            return {
                "act": "adopt",
                "counter": counter,
                "marks": [model_place.to_json(*mark) for mark in marks],
            }


def _act(item: object) -> Act:
    with Record(item, "ticket: act") as record:
        match record.text("act"):
            case "void":
                return Void(record.hexadecimal("bundle", BUNDLE_BYTES))
            case "time":
                return SetTime(record.integer("time", highest=LATEST_TIME))
            case "forget-quarantine":
                return ForgetQuarantine()
            case "adopt":
                counter = record.integer("counter")
                marks = record.items("marks", longest=MOST_MARKS)
                return Adopt(counter, tuple(model_place.from_json(each, "ticket: mark") for each in marks))
            case other:
                raise UnsupportedVersionError(
                    f"ticket: {other[:32]!r} is not known to this version", hint="update modelkeep"
                )
