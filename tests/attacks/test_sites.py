"""Attacks on what a site learns: poisoned samples, and site files that were planted or exchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelkeep
from modelkeep.errors import TamperedError, UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.site_file import load_site, save_site
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop


def samples(count: int, seed: int) -> list[dict[str, Any]]:
    return [{"x": picture} for picture in pictures(count, seed)]


def adaptable() -> GuardProfile:
    return learned(400, alpha=0.05, outer=5)


def test_poisoned_samples_move_what_is_usual_no_further_than_the_publisher_allows(workshop: Workshop) -> None:
    profile = adaptable()
    boundless = replace(profile, outer=1e12)
    strange = [{"x": each["x"] * np.float32(255)} for each in samples(320, 41)]
    # Without the bound, whatever the site is shown is usual from then on.
    loose = Guard(boundless, modelkeep.adapt(boundless, strange[:300]))
    assert sum(bool(loose.check_inputs(each)) for each in strange[300:]) <= 4
    with pytest.raises(UsageError, match="beyond what the publisher allows"):
        modelkeep.adapt(profile, strange[:300])
    # A few among many are not refused, and do not make it usual either.
    mixed = samples(300, 41)
    mixed[::40], mixed[1::40] = strange[::40][:8], strange[1::40][:8]
    bounded = Guard(profile, modelkeep.adapt(profile, mixed, alpha=0.2))
    assert all(bounded.check_inputs(each) for each in strange)


def test_a_site_file_counts_on_its_device_and_for_its_profile_alone(workshop: Workshop) -> None:
    profile, path = adaptable(), workshop.folder / "site.json"
    site = modelkeep.adapt(profile, samples(300, 41))
    save_site(site, path, profile=profile, identity=workshop.identity())
    assert load_site(path, profile=profile, identity=workshop.identity()).to_bytes() == site.to_bytes()
    other = workshop.new_device("pi-18")
    with pytest.raises(TamperedError):
        load_site(path, profile=profile, identity=workshop.identity(other))
    with pytest.raises(TamperedError):
        load_site(path, profile=profile.with_actions(signal="flag"), identity=workshop.identity())


def test_a_changed_or_planted_site_file_is_refused(workshop: Workshop) -> None:
    profile, path = adaptable(), workshop.folder / "site.json"
    save_site(modelkeep.adapt(profile, samples(300, 41)), path, profile=profile, identity=workshop.identity())
    good = json.loads(path.read_text())
    other, planted = workshop.new_device("pi-18"), workshop.folder / "planted.json"
    wide = modelkeep.adapt(profile, samples(300, 43), alpha=0.01, delta=0.5)
    save_site(wide, planted, profile=profile, identity=workshop.identity(other))
    foreign = json.loads(planted.read_text())
    for change in ({"sealed": foreign["sealed"]}, {"wrapped": foreign["wrapped"]}, foreign, _flipped(good)):
        _write(path, good | change)
        with pytest.raises(TamperedError):
            load_site(path, profile=profile, identity=workshop.identity())


def _flipped(value: dict[str, Any]) -> dict[str, Any]:
    text = value["sealed"]
    return {"sealed": ("A" if text[100] != "A" else "B").join((text[:100], text[101:]))}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))
