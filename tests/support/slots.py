"""Slots of a device, and updates of the model in them."""

from __future__ import annotations

from pathlib import Path

from modelkeep.bundle.access import Access
from modelkeep.golden import Golden
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial import try_out
from modelkeep.updates.trial_notes import TrialEnd
from support.workshop import MODEL_ID, Workshop


def slots_with(workshop: Workshop, weight: float) -> Slots:
    """Returns new slots of the usual device, in which a model that multiplies with `weight` counts."""
    folder = Slots.init(workshop.folder / "slots", MODEL_ID)
    slots = Slots.open(folder.path, Access(workshop.identity(), workshop.verifier()))
    update(workshop, slots, weight)
    return slots


def stage(workshop: Workshop, slots: Slots, weight: float = 2.0, golden: Golden | None = None) -> Path:
    """Seals a release and puts it where it waits for its trial; returns the bundle."""
    bundle = workshop.seal(workshop.model(weight), golden=golden)
    install(bundle, slots.folder.path, identity=workshop.identity(), verifier=workshop.verifier())
    return bundle


def update(workshop: Workshop, slots: Slots, weight: float) -> None:
    """Stages a release and lets it count after its trial."""
    stage(workshop, slots, weight)
    result = try_out(slots)
    assert result is not None and result.verdict.end is TrialEnd.PASSED, result
