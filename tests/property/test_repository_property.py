"""Whatever publishers do, python-tuf's own client follows, and sees what was said last."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkeep.errors import UsageError
from modelkeep.updates.phase import Phase, phase_name
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository import phasing
from modelkeep.updates.repository.metadata import DAY
from modelkeep.updates.repository.publishing import Wishes
from modelkeep.updates.repository.refreshing import refresh
from modelkeep.updates.repository.withdrawing import withdraw
from support.repository import SmallRepository
from support.tuf_reader import read_targets
from support.workshop import MODEL_ID, Workshop

ACTS = ("publish", "phase", "pause", "promote", "withdraw", "refresh")


@pytest.fixture(scope="module")
def sealed(founded: SmallRepository, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, list[Path]]:
    """Bundles of one model, each above the one before."""
    workshop = Workshop(tmp_path_factory.mktemp("sealed"))
    workshop.signer = founded.workshop.signer
    return workshop, [workshop.seal(epoch=epoch) for epoch in range(1, 5)]


class Publisher:
    """Does one act after the other, and knows what has to be seen."""

    def __init__(self, small: SmallRepository, bundles: list[Path]) -> None:
        self.small = small
        self._left = list(bundles)

    def act(self, act: str, share: int) -> None:
        """Does something; what cannot be done is refused, and changes nothing."""
        repository, signers = self.small.repository, self.small.named("phase", "online")
        self.small.clock += 1
        try:
            if act == "publish" and self._left:
                self.small.publish(self._left.pop(0), wishes=Wishes(share=share))
            elif act == "phase":
                phasing.set_share(repository, MODEL_ID, signers, share)
            elif act == "pause":
                phasing.set_share(repository, MODEL_ID, signers, paused=True)
            elif act == "promote":
                phasing.promote(repository, MODEL_ID, signers)
            elif act == "withdraw" and self.offers:
                bundle = bytes.fromhex(Path(self.offers[0]).stem)
                withdraw(repository, MODEL_ID, bundle, self.small.signers)
            else:
                self.small.clock += DAY
                refresh(repository, self.small.named("online"))
        except UsageError:
            assert not self.offers

    @property
    def offers(self) -> list[str]:
        """Names of the documents on offer."""
        return [each.release for each in self.small.repository.catalogue().phase(MODEL_ID).offers]


ACTIONS = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from([0, 1, 1000])), min_size=4, max_size=7)


@given(acts=ACTIONS)
@settings(max_examples=5)
def test_clients_follow_whatever_is_published(
    acts: list[tuple[str, int]],
    sealed: tuple[Workshop, list[Path]],
    founded: SmallRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    workshop, bundles = sealed
    folder = tmp_path_factory.mktemp("played")
    workshop.folder = folder
    publisher = Publisher(SmallRepository.copy_of(founded, workshop), bundles)
    small = publisher.small
    for act in acts:
        publisher.act(*act)
        (said,) = read_targets(small.folder, folder / "client", small.first_root, phase_name(MODEL_ID))
        offers = [] if said is None else Phase.from_bytes(said, MODEL_ID).offers
        assert [each.release for each in offers] == publisher.offers
        found = read_targets(small.folder, folder / "client", small.first_root, *publisher.offers)
        check_offered(small, dict(zip(publisher.offers, found, strict=True)))


def check_offered(small: SmallRepository, found: dict[str, bytes | None]) -> None:
    orders = []
    for name, data in found.items():
        assert data is not None
        document = ReleaseDocument.from_bytes(data, name)
        assert not document.withdrawn
        assert (small.folder / "targets" / document.archive).stat().st_size == document.size
        orders.append(document.order)
    # The newest comes first.
    assert orders == sorted(orders, reverse=True)
