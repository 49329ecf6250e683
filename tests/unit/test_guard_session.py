"""A profile from learning to refusing: with the model, through the bundle, on the device."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import modelkeep
from modelkeep import canonical
from modelkeep.bundle.access import Access, unlock
from modelkeep.cli import main
from modelkeep.errors import InputError, UnsupportedVersionError, UsageError
from modelkeep.golden import Golden, GoldenCase
from modelkeep.guard import Guard
from modelkeep.guard.summary import SUITE
from modelkeep.inner_manifest import InnerManifest
from modelkeep.model import model_digest, read_model
from modelkeep.updates.golden_trial import golden_of, problems
from support.classifier import classifier
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop

Inputs = Mapping[str, NDArray[Any]]

# What the exact check of a contract takes.
_OF_CONTRACTS = (
    ".array_check",
    ".compiled",
    ".container_check",
    ".contract_check",
    ".numbers",
    ".summary",
    ".words",
)


def samples(count: int) -> list[Inputs]:
    return [{"x": picture} for picture in pictures(count, seed=40)]


def test_a_trial_tries_the_guard(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned()
    usual, odd = {"x": pictures(1, seed=41)[0]}, {"x": np.ones((1, 24, 24, 3), np.float32)}
    with pytest.raises(UsageError, match="golden case 0: "):
        workshop.seal(model, guard=profile, golden=Golden((GoldenCase(odd, {}),)))
    bundle = workshop.seal(model, guard=profile, golden=Golden((GoldenCase(usual, {}),)))
    access = Access(workshop.identity(), workshop.verifier())
    with access, unlock(bundle, access) as unlocked, workshop.open(bundle) as session:
        sealed = golden_of(unlocked)
        assert sealed is not None and sealed.guard
        assert list(problems(session, sealed)) == []
        monkeypatch.setattr(Guard, "readings", lambda *_: ())
        assert list(problems(session, sealed)) == ["golden case 0: the guard lets inputs pass that are stuck"]


def test_a_sealed_model_refuses_what_the_guard_rejects(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned(embedding="h")
    assert [stage.name for stage in profile.stages] == ["signal", "model"]
    bundle = workshop.seal(model, guard=profile)
    with workshop.open(bundle) as session:
        picture = pictures(1, seed=41)[0]
        assert session.run({"x": picture})["logits"].shape == (1, 4)
        with pytest.raises(InputError) as refusal:
            session.run({"x": picture * 255})
        assert session.guard is not None
        assert session.guard.profile.to_bytes() == profile.to_bytes()
    told = f"{refusal.value} {refusal.value.hint} {refusal.value.findings}"
    assert not any(word in told for word in ("surprise", "joint", "signal", "score", "threshold"))
    assert "signal/surprise" in caplog.text


def test_the_contract_comes_before_the_guard(workshop: Workshop) -> None:
    model = classifier(workshop.folder / "net.onnx")
    with workshop.open(workshop.seal(model, guard=learned())) as session:
        with pytest.raises(InputError) as refusal:
            session.run({"x": np.full((1, 24, 24, 3), np.nan, np.float32)})
        assert refusal.value.findings[0].code == "not-finite"
        assert session.guard is not None
        assert session.guard.counters.counted().counts == {}


def test_flags_let_the_model_run(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned().with_actions(signal="flag", model="flag")
    with workshop.open(workshop.seal(model, guard=profile)) as session:
        session.run({"x": pictures(1, seed=41)[0] * 255})
    assert "(flag)" in caplog.text


def test_a_stage_after_the_model_can_refuse_as_well(workshop: Workshop) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned(embedding="h").with_actions(signal="off", model="reject")
    noise = np.random.default_rng(3).normal(0, 9, (1, 24, 24, 3)).astype(np.float32)
    with workshop.open(workshop.seal(model, guard=profile)) as session, pytest.raises(InputError):
        session.run({"x": noise})


def test_a_profile_of_another_model_is_not_sealed(workshop: Workshop) -> None:
    profile = learned()
    with pytest.raises(UsageError, match="another model"):
        workshop.seal(workshop.model(), guard=profile)


def test_the_digest_covers_every_file_and_its_place(tmp_path: Path) -> None:
    single = tmp_path / "a.bin"
    single.write_bytes(b"weights" * 300_000)
    renamed = tmp_path / "b.bin"
    renamed.write_bytes(single.read_bytes())
    assert model_digest(read_model(single)) == model_digest(read_model(renamed))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"2")
    before = model_digest(read_model(folder))
    (folder / "a").write_bytes(b"2")
    (folder / "b").write_bytes(b"1")
    assert model_digest(read_model(folder)) != before


def test_a_profile_that_cannot_be_applied_ends_the_opening(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned()
    newer = canonical.encode(profile.to_json() | {"suite": SUITE + 1})
    monkeypatch.setattr(type(profile), "to_bytes", lambda _self: newer)
    bundle = workshop.seal(model, guard=profile)
    with pytest.raises(UnsupportedVersionError):
        workshop.open(bundle)


def test_an_inner_manifest_keeps_the_profile_as_it_is() -> None:
    inner = InnerManifest("onnx", None, (), None, guard=b'{"a":[1],"b":"c"}')
    assert InnerManifest.from_bytes(inner.to_bytes()) == inner


def test_samples_that_break_the_contract_are_not_learned(workshop: Workshop) -> None:
    model = classifier(workshop.folder / "net.onnx")
    with pytest.raises(UsageError, match="breaks the model's contract"):
        modelkeep.learn([{"x": np.zeros((1, 24, 24, 3))}], model=model)
    with pytest.raises(UsageError, match="no samples"):
        modelkeep.learn([], model=model)


def test_learning_and_sealing_from_the_command_line(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workshop.folder
    model = classifier(folder / "net.onnx")
    np.savez(folder / "many.npz", x=np.concatenate([each["x"] for each in samples(300)]), label=np.zeros(300))
    profile = folder / "guard.json"
    rates = ["--alpha", "0.05", "--delta", "0.1"]
    learning = ["learn", str(folder / "many.npz"), "--stacked", "--model", str(model), "-o", str(profile)]
    assert main(learning) == 2
    assert "label: unexpected" in capsys.readouterr().err
    learning += ["--labels", "label"]
    assert main([*learning, *rates, "--action", "model=off", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["fitted"] + summary["calibrated"] == 300
    assert summary["stages"] == {"model": "off", "signal": "reject"}
    assert main([*learning, *rates]) == 2
    assert main([*learning, "--force", "--alpha", "0.001"]) == 2
    assert "are needed" in capsys.readouterr().err
    to = ["-r", str(workshop.device.with_suffix(".pub")), "-s", str(workshop.publisher_pem)]
    assert main(["seal", str(model), *to, "--guard", str(profile), "-o", str(folder / "net.keep")]) == 0
    other = workshop.model()
    assert main(["seal", str(other), *to, "--guard", str(profile), "-o", str(folder / "other.keep")]) == 2


def test_models_without_a_profile_do_not_load_the_guard() -> None:
    code = "import modelkeep, sys; modelkeep.open; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = {name for name in done.stdout.split() if name.startswith("modelkeep.guard")}
    assert loaded <= {f"modelkeep.guard{name}" for name in ("", *_OF_CONTRACTS)}
