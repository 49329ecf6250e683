"""What a verified ticket makes a device let go of. Source: spec/trust-v1.md, "Tickets"."""

from __future__ import annotations

from collections.abc import Callable

from modelkeep.device.contents import Contents, ModelState
from modelkeep.device.marks import Mark
from modelkeep.errors import RefusedError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, VerifiedTicket, Void


def obey(contents: Contents, device: bytes, verified: VerifiedTicket) -> None:
    """Changes what a device remembers as the ticket says.

    Raises:
        RefusedError: the ticket is for another device or another generation of its state, asks for more than
            its signers may, or adopts a state that knows other releases than the signer was shown.
    """
    ticket = verified.ticket
    if ticket.device != device:
        raise RefusedError("the ticket is for another device", hint="modelkeep state show says which this is")
    if ticket.generation != contents.generation:
        raise RefusedError(
            "the ticket was used before, or is for another generation of this state",
            hint="ask for a new one, with what modelkeep state show says now",
        )
    for act in ticket.acts:
        _do(contents, act, verified.signers)


def newest_of_each(contents: Contents) -> tuple[tuple[str, ReleaseOrder], ...]:
    """Returns the newest release that a state knows of each model, by the model's id."""
    marked = {name: state.marks for name, state in contents.models.items() if state.marks}
    return tuple(sorted((name, max(mark.order for mark in marks)) for name, marks in marked.items()))


def _do(contents: Contents, act: Act, signers: frozenset[bytes] | None) -> None:
    if signers is not None and not isinstance(act, Void):
        raise RefusedError("a publisher's key voids its own releases alone; only roots do more")
    match act:
        case Void(bundle):
            _void(contents, bundle, signers)
        case SetTime(time):
            contents.time = time
        case ForgetQuarantine():
            for state in contents.models.values():
                state.quarantine = ()
        case Adopt(_, marks):
            _check_shown(contents, marks)


def _void(contents: Contents, bundle: bytes, signers: frozenset[bytes] | None) -> None:
    def is_meant(mark: Mark) -> bool:
        return mark.bundle == bundle and (signers is None or mark.signer.key in signers)

    found = [state for state in contents.models.values() if any(map(is_meant, state.marks))]
    if not found:
        raise RefusedError(f"bundle {bundle.hex()} was not installed here, or not by who signed the ticket")
    for state in found:
        _forget(state, is_meant)


def _forget(state: ModelState, is_meant: Callable[[Mark], bool]) -> None:
    state.marks = tuple(mark for mark in state.marks if not is_meant(mark))
    for installation, installed in tuple(state.installations.items()):
        if is_meant(installed.mark):
            state.drop(installation)


def _check_shown(contents: Contents, marks: tuple[tuple[str, ReleaseOrder], ...]) -> None:
    if tuple(sorted(marks)) != newest_of_each(contents):
        raise RefusedError(
            "the state knows other releases than the signer of the ticket was shown",
            hint="ask for a new one, with what modelkeep state show says now",
        )
