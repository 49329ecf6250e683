"""The example for LitServe answers with the plain model's bits, and says what is wrong about an input."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from support.integrations import set_up
from support.needs import require_module
from support.workshop import Workshop

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "litserve_service.py"


@pytest.fixture
def address(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the service."""
    require_module("litserve", "tools")
    set_up(workshop, monkeypatch)
    monkeypatch.setenv("MODEL", str(workshop.seal(name="model.keep")))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(EXAMPLE)], env=os.environ | {"PORT": str(port)}) as process:
        try:
            yield waited(process, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def waited(process: subprocess.Popen[bytes], address: str) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=60).close()
        except OSError:
            time.sleep(0.2)
        else:
            return address
    raise AssertionError("the service does not answer")


def ask(address: str, body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_answers_have_the_plain_models_bits_and_refusals_words(address: str, workshop: Workshop) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    plain = onnxruntime.InferenceSession(workshop.folder / "model-0.onnx").run(None, {"x": x})[0]
    status, text = ask(address, json.dumps({"x": x.tolist()}).encode())
    assert status == 200, text
    np.testing.assert_array_equal(np.array(json.loads(text)["y"], np.float32), plain)
    for body, words in [
        (b'{"x": [[1, 2]]}', "x: shape: expected"),
        (b'{"x": [[1, 2, 3, NaN]]}', "x: not-finite"),
        (b'{"w": [[1, 2, 3, 4]]}', "unexpected"),
        (b'{"x": "abc"}', "lists of numbers"),
        (b"[1]", "lists of numbers"),
    ]:
        status, text = ask(address, body)
        assert (status, words in text) == (422, True), text
    assert ask(address, b" " * (2**20 + 1))[0] == 413
    assert ask(address, b'{"x": [[1, 2, 3, 4]]}') == (200, '{"y":[[2.0,4.0,6.0,8.0]]}')
