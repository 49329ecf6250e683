"""What a signer is shown: no two trust files look alike, and whatever differs is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots_document import RootsName
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_report import changes, statements

NOW = 1_900_000_000
KEYS = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2)]

times = st.sampled_from([0, 1, NOW, LATEST_TIME - 1, LATEST_TIME])
names = st.sampled_from(["*", "", "vision", "audio", "vision, audio", '"', '", "', "vi\n+ number", "none"])
families = st.lists(names, max_size=3).map(tuple)
patterns = st.lists(st.sampled_from(["*", "a", "a/*", "a/b"]), min_size=1, max_size=2).map(tuple)
publishers = st.builds(Publisher, st.sampled_from(KEYS), patterns, families, times, times)
fingerprints = st.sampled_from(["ab" * 32, *(public_key.fingerprint(key) for key in KEYS)])
bundles = st.sampled_from([bytes(16), bytes(range(16))])
trust_files = st.builds(
    TrustFile,
    number=st.integers(1, 2),
    expires=times,
    publishers=st.lists(publishers, max_size=3).map(tuple),
    revoked_keys=st.frozensets(fingerprints, max_size=2),
    revoked_bundles=st.frozensets(bundles, max_size=2),
    void=st.frozensets(bundles, max_size=2),
    named_roots=st.none() | st.builds(RootsName, st.sampled_from([bytes(32), b"1" * 32]), st.integers(1, 2)),
    floors=st.dictionaries(st.sampled_from(["a", "a/b"]), st.builds(ReleaseOrder, st.integers(0, 2), times)),
)


@given(trust_files, trust_files)
def test_two_files_never_look_alike(one: TrustFile, other: TrustFile) -> None:
    assert (statements(one, NOW) == statements(other, NOW)) == (one == other)
    assert (changes(one, other, NOW) == []) == (one == other)


@given(trust_files, st.data())
def test_one_thing_that_differs_is_shown(trust: TrustFile, data: st.DataObject) -> None:
    publisher = data.draw(publishers)
    limits = [("models", patterns), ("families", families), ("not_before", times), ("not_after", times)]
    field, values = data.draw(st.sampled_from(limits))
    new_value: dict[str, Any] = {field: data.draw(values)}
    changed = replace(publisher, **new_value)
    old, new = (replace(trust, publishers=(*trust.publishers, each)) for each in (publisher, changed))
    lines = changes(old, new, NOW)
    assert [line[0] for line in lines] == ([] if publisher == changed else ["-", "+"])
    assert len(set(line[1:] for line in lines)) == len(lines)


@given(st.lists(publishers, min_size=1, max_size=3).map(tuple))
def test_order_and_repetition_are_shown(entries: tuple[Publisher, ...]) -> None:
    old = TrustFile(1, NOW, entries)
    assert len(changes(old, replace(old, publishers=(*entries, entries[0])), NOW)) == 1
    if entries != entries[::-1]:
        turned = changes(old, replace(old, number=2, publishers=entries[::-1]), NOW)
        assert turned[2:] == ["+ the same publishers in another order"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"not_after": 0}, "every family  until 1970-01-01T00:00:00Z"),
        ({"not_before": LATEST_TIME}, "every family  from 9999-12-31T23:59:59Z"),
        ({"families": ("*", "audio")}, 'families: every family, "audio"'),
        ({"families": ("vision, audio",)}, 'families: "vision, audio"'),
        ({"families": ()}, "families: none"),
    ],
)
def test_publisher_that_ends_and_is_revived(limits: dict[str, Any], words: str) -> None:
    always = TrustFile(1, NOW, (Publisher(KEYS[0], ("*",)),))
    ended = replace(always, publishers=(replace(always.publishers[0], **limits),))
    gone, come = changes(always, ended, NOW)
    assert gone.endswith("  every family")
    assert come.endswith(words)
    assert [line[1:] for line in changes(ended, always, NOW)] == [come[1:], gone[1:]]


def test_file_that_expired_at_once_does_not_count_for_ever() -> None:
    lines = [line for line in statements(TrustFile(1, 0, ()), NOW) if line.startswith("expires")]
    assert lines == ["expires        1970-01-01T00:00:00Z  (has expired)"]
