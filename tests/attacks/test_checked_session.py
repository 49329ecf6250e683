"""Whoever calls a model by another tool gets past neither contract nor guard, whatever the tool calls."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest

from modelkeep.errors import InputError, UsageError
from modelkeep.integrations import checked_session
from modelkeep.integrations.checked_session import CheckedSession, open_checked
from support.integrations import set_up
from support.workshop import Workshop

DESCRIBING = {
    *("get_inputs", "get_outputs", "get_overridable_initializers", "get_modelmeta", "get_providers"),
    *("get_provider_options", "get_session_options"),
}


@pytest.fixture
def session(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[CheckedSession]:
    """A sealed model of numbers up to 1, where a tool has a session of ONNX Runtime."""
    set_up(workshop, monkeypatch)
    plain = workshop.model().rename(workshop.folder / "plain.onnx")
    bundle = workshop.seal(plain, contract={"x": {"maximum": 1}})
    session = open_checked(bundle)
    yield session
    session.close()


def test_runs_have_the_plain_models_bits(session: CheckedSession, workshop: Workshop) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype(np.float32)
    plain = onnxruntime.InferenceSession(workshop.folder / "plain.onnx")
    for names in (None, ["y"], []):
        run: dict[str, Any] = {"output_names": names, "input_feed": {"x": x}, "run_options": None}
        np.testing.assert_array_equal(session.run(**run), plain.run(**run))
    assert [each.name for each in session.get_inputs()] == ["x"]


def test_runs_are_checked_by_whatever_name(session: CheckedSession) -> None:
    good = np.ones((1, 4), np.float32)
    for wrong in (good * 2, good * np.nan, good.astype(np.float64), good[:, :3], good[0]):
        with pytest.raises(InputError):
            session.run(None, {"x": wrong})
    for names, inputs in ((None, {"w": good}), (None, {"x": good, "w": good}), (None, {})):
        with pytest.raises(InputError):
            session.run(names, inputs)
    with pytest.raises(UsageError, match="no output"):
        session.run(["x"], {"x": good})


def test_ways_round_the_checks_are_refused(session: CheckedSession, workshop: Workshop) -> None:
    bad = np.full((1, 4), 2, np.float32)
    binding = onnxruntime.InferenceSession(workshop.folder / "plain.onnx").io_binding()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(bad)
    vector = binding._iobinding.get_outputs()
    for way, arguments in (
        (session.io_binding, ()),
        (session.run_with_iobinding, (binding,)),
        (session.run_with_ort_values, (None, {"x": value})),
        (session.run_with_ortvaluevector, (None, ["x"], vector, ["y"], vector, [])),
        (session.run_async, (None, {"x": bad}, print, None)),
    ):
        with pytest.raises(UsageError, match="not checked"):
            way(*arguments)
    with pytest.raises(UsageError, match="stays on the device"):
        session.set_providers(["CPUExecutionProvider"])


def test_nothing_else_of_onnx_runtimes_is_passed_on(session: CheckedSession) -> None:
    """Not what this version runs models by, nor what the next one will; nor what a copy looks for."""
    for name in {*dir(session._checked.native)} - {*dir(object)}:
        if not hasattr(CheckedSession, name) and name not in {"_checked", "_model_path"}:
            assert hasattr(session, name) == (name in DESCRIBING), name
    with pytest.raises(InputError):
        copy.copy(session).run(None, {"x": np.full((1, 4), 2, np.float32)})
    with pytest.raises(TypeError):
        copy.deepcopy(session)


def test_memory_is_bound_while_that_is_allowed_and_not_after(session: CheckedSession) -> None:
    """Optimum prepares a binding with every model, and is given another in its place."""
    theirs: Any = session
    with session.bindable():
        onnxruntime.IOBinding(theirs)
    with pytest.raises(AttributeError, match="not be checked"):
        onnxruntime.IOBinding(theirs)


@pytest.mark.slow
def test_a_model_of_another_runtime_or_process_is_refused_and_wiped(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = workshop.seal()
    with workshop.open(bundle, isolation="process") as isolated:
        monkeypatch.setattr(checked_session, "open_configured", lambda *_: isolated)
        with pytest.raises(UsageError, match="isolated process"):
            open_checked(bundle)
        with pytest.raises(UsageError, match="closed"):
            isolated.run({"x": np.ones((1, 4), np.float32)})
