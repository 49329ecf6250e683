"""What a person does at the granter's machine: allows what waits, asks keys that are still to be made."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from modelkeep.errors import UnavailableError, UsageError
from modelkeep.granter.journal import Draft
from modelkeep.granter.journal_entry import Event
from modelkeep.granter.policy import GranterPolicy
from modelkeep.granter.question import Question
from modelkeep.granter.questions import Questions
from modelkeep.granter.state import State, open_state
from modelkeep.granter.waiting import Waiting


def waiting(policy: GranterPolicy) -> tuple[Waiting, ...]:
    """Returns the grants that wait for a person, or were allowed and are not given yet.

    Raises:
        UnavailableError: a granter works just now.
        KeepError: the state cannot be used.
    """
    with _idle(policy) as state:
        return tuple(state.index.waiting())


def allow(policy: GranterPolicy, names: Collection[str], *, everybody: bool = False) -> tuple[Waiting, ...]:
    """Allows grants that wait; the next run gives them. Returns what was allowed.

    Args:
        policy: the granter's.
        names: what the roster calls the devices, or the digests of their keys.
        everybody: whether all that wait are allowed.

    Raises:
        UsageError: nothing waits for one of them, or several keys of one name do.
        UnavailableError: a granter works just now.
        StorageError: it cannot be noted.
    """
    with _idle(policy) as state:
        found = [each for each in state.index.waiting() if not each.allowed]
        found = [each for each in found if everybody or _names_of(each) & set(names)]
        _check_unambiguous(found, names)
        missing = set(names).difference(*map(_names_of, found))
        if missing or not found:
            raise UsageError(
                f"nothing waits for {min(missing, default='a person')}", hint="modelkeep granter waiting"
            )
        _note(state, found)
        return tuple(found)


def _note(state: State, allowed: list[Waiting]) -> None:
    draft, now = Draft(state.index.place), int(time.time())
    for each in allowed:
        facts = {"device": each.device.hex(), "name": each.name, "model": each.model}
        state.index.take_in(draft.add(now, Event.ALLOWED, facts))
    state.journal.append(draft.start, b"".join(draft.lines))
    state.index.place = draft.end
    state.index.commit()


def ask(policy: GranterPolicy) -> Question:
    """Returns a question for a key that is attested while it is made, as Android does.

    Raises:
        UnavailableError: a granter works just now.
        KeepError: the state cannot be used.
    """
    with _idle(policy) as state:
        question = Questions(state.index, policy.origin).ask_anybody(int(time.time()))
        state.index.commit()
        return question


@contextmanager
def _idle(policy: GranterPolicy) -> Iterator[State]:
    with open_state(policy.state) as state:
        if state.outbox.exists():
            raise UnavailableError("the last run was cut off", hint="run the granter first; it goes on")
        state.index.catch_up(state.journal)
        yield state


def _check_unambiguous(found: Collection[Waiting], names: Collection[str]) -> None:
    """Refuses a name that is now of another key, too, than of the one that a person has looked at."""
    for name in names:
        if len({each.device for each in found if each.name == name}) > 1:
            raise UsageError(
                f"several keys of the name {name} wait", hint="pass the digest of the one you mean"
            )


def _names_of(waiting: Waiting) -> set[str]:
    return {waiting.name, waiting.device.hex()}
