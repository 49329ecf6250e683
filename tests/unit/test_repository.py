"""What a publisher puts into a repository, as python-tuf's own client finds it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.errors import UsageError
from modelkeep.trust.roots import Roots
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.phase import Offer, Phase, phase_name
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.publishing import Wishes
from modelkeep.updates.repository.repository import Repository
from support.repository import SmallRepository
from support.tuf_reader import read_targets
from support.workshop import MODEL_ID, Workshop


@pytest.fixture
def small(workshop: Workshop) -> SmallRepository:
    return SmallRepository(workshop)


def read(small: SmallRepository, cache: Path, *names: str) -> list[bytes | None]:
    return read_targets(small.folder, cache, small.first_root, *names)


def phase_of(small: SmallRepository, cache: Path) -> Phase:
    (data,) = read(small, cache, phase_name(MODEL_ID))
    assert data is not None
    return Phase.from_bytes(data, MODEL_ID)


def test_a_new_repository_says_whom_to_trust(small: SmallRepository, tmp_path: Path) -> None:
    trust, roots = read(small, tmp_path / "client", "trust/trust.json", "trust/roots.json")
    assert trust is not None and roots is not None
    file = TrustFile.from_bytes(trust, Roots.of_document(roots))
    assert [publisher.key for publisher in file.publishers] == [small.workshop.signer.public_key]


def test_a_release_is_listed_and_its_bundle_is_there(small: SmallRepository, tmp_path: Path) -> None:
    bundle = small.workshop.seal(epoch=3, release="2.0")
    published = small.publish(bundle)
    (data,) = read(small, tmp_path / "client", published.document.name)
    assert data is not None
    document = ReleaseDocument.from_bytes(data, published.document.name)
    assert document == published.document
    assert published.copied == document.size == bundle.stat().st_size
    assert (small.folder / "targets" / document.archive).read_bytes() == bundle.read_bytes()
    assert phase_of(small, tmp_path / "client").offers == (Offer(document.name, 0, 1000),)


def test_what_is_for_everybody_leaves_one_older_release(small: SmallRepository, tmp_path: Path) -> None:
    names = [small.publish(epoch=epoch).document.name for epoch in (1, 2, 3)]
    assert [offer.release for offer in phase_of(small, tmp_path / "client").offers] == names[:0:-1]
    first, second, third = read(small, tmp_path / "client", *names)
    assert first is None and second is not None and third is not None


def test_a_release_for_some_leaves_what_was_for_all(small: SmallRepository, tmp_path: Path) -> None:
    before = small.publish(epoch=1).document.name
    after = small.publish(epoch=2, wishes=Wishes(share=100)).document.name
    offers = phase_of(small, tmp_path / "client").offers
    assert [(offer.release, offer.share) for offer in offers] == [(after, 100), (before, 1000)]


def test_publishing_again_changes_nothing(small: SmallRepository, tmp_path: Path) -> None:
    bundle = small.workshop.seal()
    first = small.publish(bundle)
    again = small.publish(bundle)
    assert again.document == first.document
    assert (first.copied, again.copied) == (bundle.stat().st_size, 0)
    assert small.repository.published().roles["models"].signed.version == 2


def test_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no repository is there"):
        Repository(tmp_path).catalogue()
