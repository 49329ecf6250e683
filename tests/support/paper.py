"""A device on paper: a key in memory, a counter that can be switched off, and whom its verifier believes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.device.marks import Mark
from modelkeep.device.state import DeviceState
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId

MODEL = "acme/detector"
FIRST = 17


class CrashError(Exception):
    """Power went."""


class PaperCounter:
    """Counts as hardware does, and can be switched off between any two steps."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.crash_before = self.crash_after = False
        self.guessed_wrong_by = 0

    def value(self) -> int | None:
        return self.number

    def upcoming(self) -> int:
        return (FIRST if self.number is None else self.number + 1) - self.guessed_wrong_by

    def advance(self) -> int:
        if self.crash_before:
            raise CrashError
        self.number = FIRST if self.number is None else self.number + 1
        if self.crash_after:
            raise CrashError
        return self.number


@dataclass
class Believing:
    """Vouches for some signers, or for all, and may have a floor."""

    signers: frozenset[SignerId] | None = None
    floors: dict[str, ReleaseOrder] = field(default_factory=dict)
    void: frozenset[bytes] = frozenset()

    def vouches(self, model: str, signer: SignerId) -> bool:
        return self.signers is None or signer in self.signers

    def floor(self, model: str) -> ReleaseOrder | None:
        return self.floors.get(model)


EVERYBODY = Believing()


def new_state(counter: PaperCounter | None = None) -> DeviceState:
    """Returns the state of a new device."""
    return DeviceState(HpkeHandle(ec.generate_private_key(ec.SECP256R1()), counter=counter))


def signer(name: str) -> SignerId:
    """Returns a signer of one letter."""
    return SignerId(name.encode() * 32)


def name(number: int) -> bytes:
    """Returns the id of a bundle or an installation."""
    return number.to_bytes(16, "big")


def mark(number: int, epoch: int, sealed_at: int = 0, by: str = "p") -> Mark:
    """Returns the mark of bundle `number`."""
    return Mark(signer(by), ReleaseOrder(epoch, sealed_at), name(number), signer(by).key)


def stage(state: DeviceState, number: int, epoch: int, judge: Believing = EVERYBODY) -> bytes:
    """Stages bundle `number` as the installation of that number."""
    return state.stage(MODEL, name(number), mark(number, epoch), judge)


def install(state: DeviceState, number: int, epoch: int = 1, judge: Believing = EVERYBODY) -> bytes:
    """Installs bundle `number` as the installation of that number; returns its secret."""
    secret = stage(state, number, epoch, judge)
    with state.committing(MODEL, name(number), judge):
        pass
    return secret


def epoch_of(state: DeviceState, judge: Believing = EVERYBODY) -> int:
    """Returns the epoch of the floor."""
    return state.look().floor(MODEL, judge).order.epoch


def secrets_of(state: DeviceState) -> dict[bytes, bytes]:
    """Returns the secret of each installation."""
    model = state.look().models.get(MODEL)
    return {} if model is None else {key: each.secret for key, each in model.installations.items()}
