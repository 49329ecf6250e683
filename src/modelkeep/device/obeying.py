"""What a verified ticket makes a device let go of: what its signers have vouched for, and nothing else.

Who that is, the device remembers itself; whatever trust file comes with the ticket has no say in it.
Source: spec/trust-v1.md, "Tickets".
"""

from __future__ import annotations

from collections.abc import Callable

from modelkeep.device.contents import Contents, ModelState
from modelkeep.device.contents_json import MOST_ADOPTERS
from modelkeep.device.marks import Mark
from modelkeep.device.seen_trust import with_time
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


def _do(contents: Contents, act: Act, signers: frozenset[bytes]) -> None:
    roots = [entry for entry in contents.trust if len(entry.keys & signers) >= entry.threshold]
    vouchers = frozenset(entry.voucher for entry in roots)
    match act:
        case Void(bundle):
            _void(contents, bundle, vouchers | signers)
        case SetTime(time):
            _check_any(vouchers, "sets the time")
            contents.trust = with_time(contents.trust, roots, time)
        case ForgetQuarantine():
            _forget_quarantine(contents, vouchers | signers)
        case Adopt(_, marks):
            _check_any(vouchers, "adopts a state")
            _check_shown(contents, marks)
            _adopt(contents, vouchers)


def _check_any(roots: frozenset[bytes], what: str) -> None:
    if not roots:
        raise RefusedError(
            f"nobody who signed the ticket {what} here: only roots do, for readers of their own trust files"
        )


def _void(contents: Contents, bundle: bytes, vouchers: frozenset[bytes]) -> None:
    def is_meant(mark: Mark) -> bool:
        return mark.bundle == bundle and mark.voucher in vouchers

    found = [state for state in contents.models.values() if any(map(is_meant, state.marks))]
    if not found:
        raise RefusedError(f"bundle {bundle.hex()} was not installed here for whoever signed the ticket")
    for state in found:
        _forget(state, is_meant)


def _forget_quarantine(contents: Contents, vouchers: frozenset[bytes]) -> None:
    states = contents.models.values()
    if not any(each.voucher in vouchers for state in states for each in state.quarantine):
        raise RefusedError("no release is in quarantine here for whoever signed the ticket")
    for state in states:
        state.quarantine = tuple(each for each in state.quarantine if each.voucher not in vouchers)


def _adopt(contents: Contents, roots: frozenset[bytes]) -> None:
    contents.adopted_by = (contents.adopted_by or frozenset()) | roots
    if len(contents.adopted_by) > MOST_ADOPTERS:
        raise RefusedError("too many roots have adopted this state", hint="make a new key")


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
