"""What a trust file has no room for, or what cannot be said in it, is refused before anybody signs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.trust import envelope, trust_editing
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsName
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile
from support.time_authority import certificate
from support.workshop import Workshop

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2))


@pytest.fixture
def trust() -> TrustFile:
    return TrustFile(1, LATEST_TIME, (Publisher(KEY, ("*",), not_before=100),))


def test_the_time_of_a_publisher_does_not_end_before_it_begins(trust: TrustFile) -> None:
    with pytest.raises(UsageError, match="begins later"):
        trust_editing.with_end(trust, KEY, 99)
    assert trust_editing.with_end(trust, KEY, 100).publishers[0].not_after == 100
    with pytest.raises(UsageError, match="ends before it begins"):
        trust_editing.with_publisher(trust, KEY, not_after=99)
    assert trust_editing.with_publisher(trust, KEY, not_after=100).publishers[0].not_after == 100


def test_there_is_room_for_so_many_authorities(trust: TrustFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_editing, "MOST_AUTHORITIES", 1)
    roots = [[certificate(name)[1]] for name in ("one", "other")]
    full = trust_editing.with_authorities(trust, roots[:1])
    assert trust_editing.with_authorities(full, roots[:1]) == full
    with pytest.raises(UsageError, match="at most 1"):
        trust_editing.with_authorities(full, roots)


def test_a_trusted_root_is_ascii(trust: TrustFile) -> None:
    with pytest.raises(UsageError, match="ASCII"):
        trust_editing.with_sigstore_root(trust, "ä".encode())


def test_a_file_that_could_not_be_read_again_is_not_made(
    workshop: Workshop, trust: TrustFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "LARGEST_FILE", 100)
    with pytest.raises(UsageError, match="100"):
        trust.to_bytes(workshop.root())


@pytest.mark.parametrize(
    ("families", "family", "may"),
    [
        (("a", "b"), "a", True),
        (("a",), "b", False),
        (("a",), "", False),
        (("*",), "b", True),
        ((), "a", False),
    ],
)
def test_a_publisher_signs_within_its_families(families: tuple[str, ...], family: str, may: bool) -> None:
    manifest = SimpleNamespace(model="m", family=family, sealed_at=1)
    assert Publisher(KEY, ("*",), families).may_sign(manifest) is may  # type: ignore[arg-type]


def test_a_trust_file_begins_and_goes_on(trust: TrustFile) -> None:
    assert trust_editing.first(3, 5) == TrustFile(3, 5, ())
    read = replace(trust, roots=Roots.of_keys([KEY]), expires=9)
    assert trust_editing.following(read) == replace(trust, number=2, expires=9)
    assert trust_editing.following(read).roots is None
    assert trust_editing.following(read, 7).expires == 7


def test_what_is_not_said_of_a_publisher_stays(trust: TrustFile) -> None:
    old = Publisher(OTHER, ("m",), ("f",), 5, 50)
    known = replace(trust, publishers=(old, *trust.publishers))

    def changed(**what: Any) -> Publisher:
        others, found = trust_editing.with_publisher(known, OTHER, **what).publishers
        assert others == trust.publishers[0]
        return found

    assert changed() == old
    assert changed(models=("n",)) == replace(old, models=("n",))
    assert changed(families=("g",)) == replace(old, families=("g",))
    assert changed(not_before=6) == replace(old, not_before=6)
    assert changed(not_after=60) == replace(old, not_after=60)
    fresh = trust_editing.with_publisher(trust, OTHER, ("m",)).publishers[1]
    assert fresh == Publisher(OTHER, ("m",))
    with pytest.raises(UsageError, match="a new publisher signs certain models"):
        trust_editing.with_publisher(trust, OTHER)


def test_several_entries_of_one_publisher_become_the_one_that_is_given_whole(trust: TrustFile) -> None:
    twice = replace(trust, publishers=(*trust.publishers, Publisher(OTHER, ("m",)), Publisher(OTHER, ("n",))))
    with pytest.raises(UsageError, match="several entries"):
        trust_editing.with_publisher(twice, OTHER, ("m",), ("f",), 5)
    one = trust_editing.with_publisher(twice, OTHER, ("m",), ("f",), 5, 50)
    assert one.publishers == (*trust.publishers, Publisher(OTHER, ("m",), ("f",), 5, 50))
    gone = trust_editing.without_publisher(twice, OTHER)
    assert gone.publishers == trust.publishers
    ended = trust_editing.with_end(twice, OTHER, 70)
    assert [each.not_after for each in ended.publishers] == [LATEST_TIME, 70, 70]
    assert trust_editing.with_end(ended, OTHER, 80) == ended


def test_identities_need_the_root_that_vouches_for_them(trust: TrustFile) -> None:
    identity = Publisher(SigstoreSigner("me@acme.example", "https://login.example"), ("m",))
    named = replace(trust, publishers=(identity,))
    with pytest.raises(UsageError, match="need Sigstore's trusted root"):
        trust_editing.with_sigstore_root(named, None)
    rooted = trust_editing.with_sigstore_root(named, b"{}")
    assert rooted == replace(named, sigstore_root="{}")
    assert trust_editing.with_sigstore_root(rooted, None) == rooted
    assert trust_editing.with_sigstore_root(trust, None) == trust
    with pytest.raises(UsageError, match="me@acme.example .* is not among the publishers"):
        trust_editing.without_publisher(trust, identity.who)
    with pytest.raises(UsageError, match=f"key sha256:{public_key.fingerprint(OTHER)} is not"):
        trust_editing.without_publisher(trust, OTHER)


def test_a_chain_of_roots_goes_on_and_never_back(trust: TrustFile) -> None:
    second = RootsName(bytes(32), 2)
    named = trust_editing.with_roots(trust, second)
    assert named == replace(trust, named_roots=second)
    assert trust_editing.with_roots(named, second) == named
    assert trust_editing.with_roots(named, RootsName(bytes(32), 3)).named_roots == RootsName(bytes(32), 3)
    for other in (RootsName(bytes(32), 1), RootsName(bytes([1]) * 32, 3)):
        with pytest.raises(UsageError, match="not newer roots of the same chain"):
            trust_editing.with_roots(named, other)


def test_models_that_a_key_no_longer_signs_want_a_floor(trust: TrustFile) -> None:
    last = replace(trust, publishers=(Publisher(KEY, ("acme/*", "m")), Publisher(OTHER, ("n",))))
    name = public_key.fingerprint(KEY)
    assert trust_editing.missing_floors(last, last, ()) == []
    narrower = replace(last, publishers=(Publisher(KEY, ("acme/one",)), Publisher(OTHER, ("*",))))
    assert trust_editing.missing_floors(last, narrower, ()) == ["acme/*", "m"]
    assert trust_editing.missing_floors(last, narrower, ("acme/two",)) == ["m"]
    revoked = trust_editing.with_revoked(last, keys=(name,))
    assert trust_editing.missing_floors(last, revoked, ("m",)) == ["acme/*"]
    # What was revoked before signed nothing, so that nothing ends.
    assert trust_editing.missing_floors(revoked, replace(revoked, publishers=()), ()) == ["n"]


def test_what_is_revoked_is_revoked_besides(trust: TrustFile) -> None:
    one = trust_editing.with_revoked(trust, keys=("a",), bundles=(b"b",), void=(b"c",))
    both = trust_editing.with_revoked(one, keys=("d",), bundles=(b"e",), void=(b"f",))
    assert both.revoked_keys == frozenset({"a", "d"})
    assert (both.revoked_bundles, both.void) == (frozenset({b"b", b"e"}), frozenset({b"c", b"f"}))


def test_a_key_is_named_by_its_fingerprint_or_its_file(tmp_path: Path) -> None:
    fingerprint = public_key.fingerprint(KEY)
    (tmp_path / "key.pub").write_bytes(public_key.to_pem(KEY))
    for name in (fingerprint, f"sha256:{fingerprint}", str(tmp_path / "key.pub")):
        assert trust_editing.fingerprint_of(name) == fingerprint
