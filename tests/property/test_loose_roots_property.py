"""Loose roots that are exchanged key by key: no trust file from before comes back, if no key does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.device.seen_trust import SeenTrust, TrustEntry, with_seen
from modelkeep.errors import RollbackError

THRESHOLD, ROOTS = 2, 3
# How many of the roots are replaced before each new trust file.
exchanges = st.lists(st.integers(0, ROOTS), min_size=1, max_size=8)


def names(numbers: tuple[int, ...]) -> frozenset[bytes]:
    return frozenset(number.to_bytes(32, "big") for number in numbers)


@given(exchanges, st.data())
def test_no_file_that_was_replaced_comes_back(history: list[int], data: st.DataObject) -> None:
    fresh = itertools.count(ROOTS)
    roots = tuple(range(ROOTS))
    entries: tuple[TrustEntry, ...] = ()
    files: list[tuple[int, frozenset[bytes]]] = []
    for number, replaced in enumerate(history, start=1):
        kept = data.draw(st.permutations(roots))[replaced:]
        roots = (*kept, *itertools.islice(fresh, replaced))
        present = names(roots)
        for old, signers in files:
            if len(signers & present) >= THRESHOLD and old < number - 1:
                with pytest.raises(RollbackError):
                    with_seen(entries, SeenTrust(old, present, THRESHOLD))
        entries = with_seen(entries, SeenTrust(number, present, THRESHOLD))
        files.append((number, names(tuple(data.draw(st.permutations(roots))[:THRESHOLD]))))


def test_a_key_that_returns_brings_an_old_file_back() -> None:
    # What the specification warns of: nothing else stands against it.
    entries = with_seen((), SeenTrust(1, names((0, 1, 2)), THRESHOLD))
    entries = with_seen(entries, SeenTrust(2, names((0, 3, 4)), THRESHOLD))
    assert with_seen(entries, SeenTrust(1, names((0, 1, 5)), THRESHOLD))
