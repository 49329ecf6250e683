"""The file form of profiles: one encoding, read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.errors import MalformedError, StorageError, UnsupportedVersionError, UsageError
from modelkeep.guard import GuardProfile
from modelkeep.guard.profile_json import parse_profile
from modelkeep.guard.summary import SUITE
from support.guarded import picture_profile

Change = Callable[[dict[str, Any]], object]


def test_writing_and_reading_is_the_identity(tmp_path: Path) -> None:
    profile = picture_profile()
    profile.save(tmp_path / "guard.json")
    again = GuardProfile.load(tmp_path / "guard.json")
    assert again.to_bytes() == profile.to_bytes()
    assert again.stages == profile.stages
    assert (tmp_path / "guard.json").read_bytes() == profile.to_bytes() + b"\n"


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "guard.json").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        picture_profile().save(tmp_path / "guard.json")
    with pytest.raises(StorageError):
        GuardProfile.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("alpha"),
        lambda value: value.update(more=1),
        lambda value: value.update(format="modelkeep/bundle"),
        lambda value: value.update(model="00"),
        lambda value: value.update(alpha="0.5"),
        lambda value: value.update(alpha="inf"),
        lambda value: value.update(inputs=[]),
        lambda value: value.update(inputs=value["inputs"] * 2),
        lambda value: value.update(alpha=(2.0).hex()),
        lambda value: value.update(delta=(0.0).hex()),
        lambda value: value.update(stages=[]),
        lambda value: value.update(stages=value["stages"] * 2),
        lambda value: value["inputs"][0].update(axes="HWX"),
        lambda value: value["inputs"][0].update(channels=4),
        lambda value: value["inputs"][0].update(high=value["inputs"][0]["low"]),
        lambda value: value["inputs"][0].update(
            quantiles="7ff0000000000000" + value["inputs"][0]["quantiles"][16:]
        ),
        lambda value: value["inputs"][0].update(
            quantiles=value["inputs"][0]["quantiles"][:-16] + "c090000000000000"
        ),
        lambda value: value["inputs"][0].update(tails=value["inputs"][0]["tails"][16:]),
        lambda value: value["inputs"][0].update(tails=value["inputs"][0]["tails"][:-16] + "c090000000000000"),
        lambda value: value["inputs"][0].update(names=["red", "green"]),
        lambda value: value["inputs"][0].update(names=["red", "green", "red"]),
        lambda value: value["inputs"][0].update(names=["red", "green", 3]),
        lambda value: value["inputs"][0].update(scales="00"),
        lambda value: value["inputs"][0].pop("whitening"),
        lambda value: [value["inputs"][0].pop(name) for name in ("mean", "whitening")],
        lambda value: value["stages"][0].update(action="ignore"),
        lambda value: value["stages"][0].update(name="model"),
        lambda value: value["stages"][0]["thresholds"][0].update(of="z"),
        lambda value: value["stages"][0]["thresholds"][0].update(rule="confidence"),
        lambda value: value["stages"][0].update(thresholds=value["stages"][0]["thresholds"] * 2),
        lambda value: value.update(outputs={"kind": "logits"}),
    ],
)
def test_other_documents_are_refused(change: Change) -> None:
    value = picture_profile().to_json()
    change(value)
    with pytest.raises(MalformedError):
        parse_profile(canonical.encode(value))


@pytest.mark.parametrize(
    ("change", "advice"),
    [({"version": 2}, "update"), ({"suite": SUITE + 1}, "update"), ({"suite": 1}, "again")],
)
def test_other_versions_are_told_apart_from_broken_ones(change: dict[str, int], advice: str) -> None:
    with pytest.raises(UnsupportedVersionError) as refused:
        parse_profile(canonical.encode(picture_profile().to_json() | change))
    assert advice in (refused.value.hint or "")


def test_other_spellings_are_refused() -> None:
    with pytest.raises(MalformedError, match="canonical"):
        parse_profile(json.dumps(picture_profile().to_json(), indent=1).encode())


def test_actions_can_be_changed_to_known_ones() -> None:
    profile = picture_profile().with_actions(signal="flag")
    assert [stage.action for stage in profile.stages] == ["flag"]
    for actions in ({"signal": "ignore"}, {"model": "flag"}):
        with pytest.raises(UsageError, match="no stage"):
            profile.with_actions(**actions)
