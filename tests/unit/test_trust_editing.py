"""What a trust file has no room for, or what cannot be said in it, is refused before anybody signs it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.trust import envelope, trust_editing
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.trust_file import TrustFile
from support.time_authority import certificate
from support.workshop import Workshop

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.fixture
def trust() -> TrustFile:
    return TrustFile(1, LATEST_TIME, (Publisher(KEY, ("*",), not_before=100),))


def test_the_time_of_a_publisher_does_not_end_before_it_begins(trust: TrustFile) -> None:
    with pytest.raises(UsageError, match="begins later"):
        trust_editing.with_end(trust, KEY, 99)
    assert trust_editing.with_end(trust, KEY, 100).publishers[0].not_after == 100


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
