"""MLflow keeps and loads a sealed model, and what lies on its disks is the sealed file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from modelkeep.errors import InputError, UsageError
from support.integrations import printed, set_up
from support.needs import require_module
from support.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def saved(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved model, on a device whose settings say whom to trust."""
    require_module("mlflow", "tools")
    from modelkeep.integrations import mlflow

    set_up(workshop, monkeypatch)
    mlflow.save_model(workshop.folder / "saved", workshop.seal(name="m.keep"))
    return workshop.folder / "saved"


def test_a_model_of_mlflows_computes_the_same_bits_and_stays_sealed(saved: Path) -> None:
    import mlflow

    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    plain = onnxruntime.InferenceSession(str(saved.parent / "model-0.onnx")).run(None, {"x": x})[0]
    loaded = mlflow.pyfunc.load_model(str(saved))
    for given in ({"x": x}, x, {"x": x.tolist()}):
        np.testing.assert_array_equal(loaded.predict(given)["y"], plain)
    assert (saved / "data" / "m.keep").read_bytes() == (saved.parent / "m.keep").read_bytes()
    assert {path.name for path in saved.rglob("*") if path.suffix in (".onnx", ".pkl")} == set()


def test_our_own_load_runs_nothing_that_lies_beside_the_model(saved: Path) -> None:
    from modelkeep.integrations.mlflow import load_model

    evil = saved / "code" / "evil.py"
    evil.parent.mkdir()
    evil.write_text(f"open({str(saved / 'ran')!r}, 'w')\ndef _load_pyfunc(path): pass\n")
    settings = saved / "MLmodel"
    settings.write_text(settings.read_text().replace("modelkeep.integrations.mlflow", "evil"))
    assert load_model(str(saved)).predict(np.ones((1, 4), np.float32))["y"].tolist() == [[2, 2, 2, 2]]
    assert not (saved / "ran").exists()


def test_settings_beside_the_model_do_not_count(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelkeep.integrations.mlflow import load_model

    monkeypatch.delenv("MODELKEEP_TRUST")
    (saved / "data" / "config.toml").write_text('trust = ["stranger.pub"]')
    with pytest.raises(UsageError):
        load_model(str(saved))


def test_the_lines_of_the_page_log_and_load_a_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow keeps its records in a database of this folder, as it does where no server is named."""
    import mlflow

    monkeypatch.chdir(saved.parent)
    mlflow.set_tracking_uri(f"sqlite:///{saved.parent}/mlflow.db")
    (saved.parent / "m.keep").rename("model.keep")
    x = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    names: dict[str, Any] = {"x": x}
    exec(printed("MLflow"), names)
    plain = onnxruntime.InferenceSession(str(saved.parent / "model-0.onnx")).run(None, {"x": x})[0]
    np.testing.assert_array_equal(names["outputs"]["y"], plain)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model("models:/detector/1").predict(x)["y"], plain)
    (kept,) = (saved.parent / "mlruns").rglob("*.keep")
    assert kept.read_bytes() == (saved.parent / "model.keep").read_bytes()


@pytest.mark.parametrize("wrong", [[[1, 2, 3]], [["1"] * 4], [[1e40] * 4], [[1, float("nan"), 1, 1]]])
def test_what_is_no_input_is_refused_with_an_error_of_ours(saved: Path, wrong: object) -> None:
    import mlflow

    with pytest.raises((InputError, UsageError)):
        mlflow.pyfunc.load_model(str(saved)).predict(wrong)
