"""Sites: learned on the device, within the publisher's bound, sealed under the device's key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import modelkeep
from modelkeep.cli import main
from modelkeep.errors import InputError, MalformedError, UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.guard.profile import EVERY_INPUT
from modelkeep.site_file import load_site
from support.classifier import classifier
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop

Inputs = Mapping[str, NDArray[Any]]


def at_site(count: int, seed: int) -> list[Inputs]:
    """Returns pictures of a brighter, noisier place than those that the publisher has."""
    random = np.random.default_rng(seed)
    brighter = (picture * 0.6 + 0.38 for picture in pictures(count, seed))
    noisy = (picture + random.normal(0, 0.03, picture.shape) for picture in brighter)
    return [{"x": (np.rint(picture.clip(0, 1) * 255) / 255).astype(np.float32)} for picture in noisy]


def at_home(**options: Any) -> GuardProfile:
    return learned(400, alpha=0.05, **options)


def rate(guard: Guard, inputs: list[Inputs]) -> float:
    return sum(bool(guard.check_inputs(each)) for each in inputs) / len(inputs)


def test_a_site_that_was_learned_is_usual_and_faults_there_are_not(workshop: Workshop) -> None:
    profile = at_home(outer=100)
    site = modelkeep.adapt(profile, at_site(300, 90))
    held_out = at_site(100, 91)
    assert rate(Guard(profile), held_out) > 0.5
    assert rate(Guard(profile, site), held_out) <= 0.12
    assert rate(Guard(profile, site), [{"x": each["x"] * 0.1} for each in held_out]) == 1
    # What is usual for the publisher, and not here, is an alarm here.
    assert rate(Guard(profile, site), [{"x": picture} for picture in pictures(50, 92)]) > 0.9


def test_a_sealed_model_goes_by_its_site(workshop: Workshop) -> None:
    model = classifier(workshop.folder / "net.onnx")
    bundle = workshop.seal(model, guard=at_home(outer=100))
    samples, held_out = at_site(300, 90), at_site(20, 91)
    with workshop.open(bundle) as session:
        assert session.guard is not None
        profile = session.guard.profile
        with pytest.raises(InputError):
            [session.run(each) for each in held_out]
    site, path = modelkeep.adapt(profile, samples), workshop.folder / "site.json"
    modelkeep.save_site(site, path, profile=profile, identity=workshop.identity())
    assert path.stat().st_mode & 0o777 == 0o600
    before = json.loads(path.read_bytes())
    modelkeep.save_site(site, path, profile=profile, identity=workshop.identity(), force=True)
    # The nonce is fixed, so that the same key would give the same.
    assert json.loads(path.read_bytes())["sealed"] != before["sealed"]
    with workshop.open(bundle, site=path) as session:
        passed = 0
        for each in held_out:
            try:
                passed += session.run(each)["logits"].shape == (1, 4)
            except InputError:
                continue
        assert passed >= 16
    again = load_site(path, profile=profile, identity=workshop.identity())
    assert again.to_bytes() == site.to_bytes()


def test_without_leave_nothing_adapts(workshop: Workshop) -> None:
    profile = at_home()
    with pytest.raises(UsageError, match="allows no sites"):
        modelkeep.adapt(profile, at_site(10, 90))


def test_a_site_beyond_the_bound_is_not_learned(workshop: Workshop) -> None:
    profile = at_home(outer=2)
    with pytest.raises(UsageError, match="beyond what the publisher allows"):
        modelkeep.adapt(profile, [{"x": each["x"] * 255} for each in at_site(300, 90)])


@pytest.mark.parametrize("outer", [0.5, 0.0, float("nan"), float("inf"), -3.0])
def test_a_bound_without_sense_is_refused(workshop: Workshop, outer: float) -> None:
    with pytest.raises(UsageError, match="outer bound"):
        at_home(outer=outer)


def test_too_few_samples_are_refused(workshop: Workshop) -> None:
    profile = at_home(outer=100)
    with pytest.raises(UsageError, match="are needed"):
        modelkeep.adapt(profile, at_site(20, 90))


def test_the_sites_own_threshold_may_be_lower(workshop: Workshop) -> None:
    profile = at_home(outer=100)
    samples = [{"x": each["x"]} for each in at_site(300, 90)]
    calm = modelkeep.adapt(profile, samples, alpha=0.3)
    strict = modelkeep.adapt(profile, samples, alpha=0.05)
    key = ("surprise", EVERY_INPUT)
    assert calm.stages[0].thresholds[key] < strict.stages[0].thresholds[key]


def test_other_files_are_no_sites(workshop: Workshop) -> None:
    profile = at_home(outer=100)
    path = workshop.folder / "site.json"
    for content in (b"", b"{}", b'{"format":"modelkeep/guard","version":1}'):
        path.write_bytes(content)
        with pytest.raises(MalformedError):
            load_site(path, profile=profile, identity=workshop.identity())


def test_a_site_from_the_command_line(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier(workshop.folder / "net.onnx")
    bundle = workshop.seal(model, guard=at_home(outer=100))
    np.savez(workshop.folder / "site.npz", x=np.concatenate([each["x"] for each in at_site(300, 90)]))
    words = ["learn", str(workshop.folder / "site.npz"), "--stacked", "--at-site", str(bundle)]
    words += ["-o", str(workshop.folder / "site.json"), "-k", f"file:{workshop.device}"]
    words += ["-t", _publisher(workshop)]
    assert main([*words, "--alpha", "0.02", "--json"]) == 0
    written = capsys.readouterr()
    assert json.loads(written.out)["calibrated"] == 150
    assert "x 255: 64 of 64" in written.err
    # Those of other stages stay the publisher's.
    assert "of the stage signal" in written.err and "the threshold of signal is the strangest" in written.err
    held_out = at_site(10, 91)
    with workshop.open(bundle, site=workshop.folder / "site.json") as session:
        assert session.guard is not None
        assert rate(session.guard, held_out) <= 0.3
    assert main(words) == 2
    assert main([*words, "--force", "--outer", "3"]) == 2
    assert "--outer goes with --model" in capsys.readouterr().err
    assert main([*words[:-4], "--force"]) == 2
    assert main(["learn", "site.npz", "--model", "m", "-o", "guard.json", "-k", "file:a.pem"]) == 2


def _publisher(workshop: Workshop) -> str:
    path = workshop.folder / "publisher.pub"
    path.write_bytes(workshop.publisher_public)
    return str(path)
