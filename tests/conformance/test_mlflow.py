"""MLflow keeps and loads a sealed model, and what lies on its disks is the sealed file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from modelkeep.errors import UsageError
from support.needs import missing
from support.workshop import MODEL_ID, Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def saved(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved model, on a device whose settings say whom to trust."""
    try:
        from modelkeep.integrations import mlflow
    except Exception:
        missing("mlflow is not installed (pip install --group tools)")
    public = workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    monkeypatch.setenv("MODELKEEP_KEY", f"file:{workshop.device}")
    monkeypatch.setenv("MODELKEEP_TRUST", str(public))
    monkeypatch.setenv("MODELKEEP_MODEL_ID", MODEL_ID)
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
