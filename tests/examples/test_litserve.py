"""The example for LitServe answers with the plain model's bits, and says what is wrong about an input."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from support.integrations import set_up
from support.needs import require_module
from support.service import ask, free_port, running
from support.workshop import Workshop

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "litserve_service.py"


@pytest.fixture
def address(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the service takes inputs."""
    require_module("litserve", "tools")
    set_up(workshop, monkeypatch)
    monkeypatch.setenv("MODEL", str(workshop.seal(name="model.keep")))
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    command, address = [sys.executable, str(EXAMPLE)], f"http://127.0.0.1:{port}"
    with running(command, workshop.folder / "log", f"{address}/health", signal.SIGINT):
        yield f"{address}/predict"


def test_answers_have_the_plain_models_bits_and_refusals_words(address: str, workshop: Workshop) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    plain = onnxruntime.InferenceSession(workshop.folder / "model-0.onnx").run(None, {"x": x})[0]
    answer = ask(address, {"x": x.tolist()})
    assert answer.status == 200, answer
    np.testing.assert_array_equal(np.array(answer.value["y"], np.float32), plain)
    for body, words in [
        (b'{"x": [[1, 2]]}', "x: shape: expected"),
        (b'{"x": [[1, 2, 3, NaN]]}', "x: not-finite"),
        (b'{"w": [[1, 2, 3, 4]]}', "unexpected"),
        (b'{"x": "abc"}', "lists of numbers"),
        (b"[1]", "lists of numbers"),
    ]:
        answer = ask(address, body)
        assert (answer.status, words in answer.body.decode()) == (422, True), answer
    assert ask(address, b" " * (2**20 + 1)).status == 413
    answer = ask(address, {"x": [[1, 2, 3, 4]]})
    assert (answer.status, answer.body) == (200, b'{"y":[[2.0,4.0,6.0,8.0]]}')
