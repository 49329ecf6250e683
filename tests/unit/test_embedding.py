"""A model that shows its embedding is the same model, and `distance` can be learned from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import modelkeep as mk
from support.classifier import classifier

X = np.random.default_rng(3).random((5, 24, 24, 3)).astype(np.float32)


def hidden(path: Path, *, says_values: bool = False) -> Path:
    """Writes the classifier without its embedding among the outputs."""
    model = onnx.load(classifier(path))
    if says_values:
        model.graph.value_info.append(model.graph.output[1])
    del model.graph.output[1]
    model.metadata_props.add(key="behind", value="the graph")
    onnx.save(model, path)
    return path


def made(path: Path) -> Any:
    return ort.InferenceSession(path).run(None, {"x": X})


@pytest.mark.parametrize("says_values", [False, True])
def test_the_embedding_becomes_an_output_and_nothing_else_changes(tmp_path: Path, says_values: bool) -> None:
    plain = hidden(tmp_path / "plain.onnx", says_values=says_values)
    assert mk.expose_embedding(plain, tmp_path / "shown.onnx") == "h"
    was, now = onnx.load(plain), onnx.load(tmp_path / "shown.onnx")
    assert [each.name for each in now.graph.output] == ["logits", "h"]
    del now.graph.output[1]
    assert now == was
    (logits,), (same, embedding) = made(plain), made(tmp_path / "shown.onnx")
    assert (logits == same).all() and embedding.shape == (5, 8)


def test_distance_is_learned_from_it(tmp_path: Path) -> None:
    shown = tmp_path / "shown.onnx"
    name = mk.expose_embedding(hidden(tmp_path / "plain.onnx"), shown)
    samples = ({"x": each[None]} for each in np.random.default_rng(4).random((60, 24, 24, 3), np.float32))
    profile = mk.learn(samples, model=shown, embedding=name, alpha=0.3, delta=0.3, tried=lambda _: None)
    assert {rule for rule, _ in profile.stages[1].thresholds} == {"margin", "distance"}


def test_a_tensor_may_be_named_and_one_that_is_shown_stays(tmp_path: Path) -> None:
    shown = classifier(tmp_path / "shown.onnx")
    assert mk.expose_embedding(shown, tmp_path / "again.onnx") == "h"
    assert (tmp_path / "again.onnx").read_bytes() == shown.read_bytes()
    assert mk.expose_embedding(shown, tmp_path / "flat.onnx", name="flat") == "flat"
    assert onnx.load(tmp_path / "flat.onnx").graph.output[-1].name == "flat"


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    plain, target = classifier(tmp_path / "plain.onnx"), tmp_path / "shown.onnx"
    with pytest.raises(mk.UsageError, match="no node of the model gives 'w'"):
        mk.expose_embedding(plain, target, name="w")
    model = onnx.load(plain)
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("Identity", ["x"], ["logits"]))
    onnx.save(model, tmp_path / "flat.onnx")
    with pytest.raises(mk.UsageError, match="no dense layer"):
        mk.expose_embedding(tmp_path / "flat.onnx", target)
    (tmp_path / "not.onnx").write_bytes(b"<html>")
    with pytest.raises(mk.MalformedError):
        mk.expose_embedding(tmp_path / "not.onnx", target)
    model = onnx.load(plain)
    onnx.save(model, tmp_path / "large.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(mk.UsageError, match="other files"):
        mk.expose_embedding(tmp_path / "large.onnx", tmp_path / "elsewhere" / "shown.onnx")
    assert not target.exists()
    with pytest.raises(mk.UsageError, match="exists"):
        mk.expose_embedding(plain, plain)
