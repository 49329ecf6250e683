"""The examples do what they say, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep.updates.slots import Slots
from support.needs import missing
from support.slots import slots_with, update
from support.workshop import MODEL_ID, Workshop

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKERS = 2


@pytest.mark.parametrize("name", ["file_types", "notes", "notes_litert", "voice"])
def test_a_real_model_computes_the_same_bits_sealed(name: str) -> None:
    if name == "notes_litert":
        pytest.importorskip("ai_edge_litert.interpreter")
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    assert len(lines) < 30
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "pip" in done.stderr and "CalledProcessError" in done.stderr:
        missing("the model cannot be downloaded")
    assert done.returncode == 0, done.stderr
    assert "equal bit for bit" in done.stdout


@pytest.fixture
def slots(workshop: Workshop) -> Slots:
    """Slots in which a model that triples counts."""
    return slots_with(workshop, 3.0)


@pytest.fixture
def service(workshop: Workshop, slots: Slots) -> Iterator[str]:
    """The address of the service, with workers that were forked after everything was imported."""
    for module in ("fastapi", "gunicorn", "uvicorn_worker"):
        if importlib.util.find_spec(module) is None:
            missing(f"{module} is not installed")
    publisher = workshop.folder / "publisher.pub"
    publisher.write_bytes(workshop.publisher_public)
    settings = {
        "MODEL": str(slots.folder.path),
        "IDENTITY": f"file:{workshop.device}",
        "PUBLISHER": str(publisher),
        "MODEL_ID": MODEL_ID,
        "HOME": str(workshop.folder),  # where gunicorn keeps its control socket
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = ["--preload", "--workers", str(WORKERS), "--bind", f"fd://{listener.fileno()}"]
        command = [sys.executable, "-m", "gunicorn", *options, "-k", "uvicorn_worker.UvicornWorker"]
        with subprocess.Popen(
            [*command, "service:app"],
            cwd=EXAMPLES,
            env={**os.environ, **settings},
            pass_fds=[listener.fileno()],
        ) as process:
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/run"
            finally:
                process.terminate()
                assert process.wait(30) == 0


def ask(address: str, inputs: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        address, json.dumps(inputs).encode(), {"Content-Type": "application/json", "Connection": "close"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_every_worker_of_the_service_has_the_model_and_its_updates(
    service: str, workshop: Workshop, slots: Slots
) -> None:
    workers: set[int] = set()
    end = time.monotonic() + 60
    while len(workers) < WORKERS and time.monotonic() < end:
        answer = ask(service, {"x": [[1, 2, 3, 4]]})
        assert answer["outputs"] == {"y": [[3.0, 6.0, 9.0, 12.0]]}
        workers.add(answer["worker"])
    assert len(workers) == WORKERS
    update(workshop, slots, 5.0)
    updated: set[int] = set()
    # Every request is answered meanwhile, by one release or the other; `ask` raises otherwise.
    while len(updated) < WORKERS and time.monotonic() < end:
        answer = ask(service, {"x": [[1, 2, 3, 4]]})
        assert answer["outputs"]["y"][0][0] in (3.0, 5.0)
        updated |= {answer["worker"]} if answer["outputs"]["y"][0][0] == 5.0 else set()
    assert len(updated) == WORKERS
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(service, {"x": [[1, 2]]})
    with caught.value as response:
        assert response.code == 422
        (finding,) = json.load(response)["findings"]
    assert finding.startswith("x: shape: expected ")
