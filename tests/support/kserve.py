"""A sealed model behind KServe's own server, in a process of its own, and somebody who asks it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.needs import require_module
from support.service import JSON, Answer, ask, free_port, running

BINARY = {"Content-Type": "application/octet-stream"}


class Client:
    """Asks a server at a port of this machine, which is a process."""

    def __init__(self, port: int, process: int) -> None:
        self.port, self.process = port, process

    def ask(self, path: str, body: object = None, headers: Mapping[str, str] = JSON) -> Answer:
        """Sends a request, JSON unless it is bytes already; GET without a body."""
        return ask(f"http://127.0.0.1:{self.port}{path}", body, headers)

    def ask_in_binary(self, path: str, request: object, after: bytes) -> Answer:
        """Sends a request in JSON, and behind it the bytes that it is about."""
        front = json.dumps(request).encode()
        return self.ask(path, front + after, BINARY | {"Inference-Header-Content-Length": str(len(front))})


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Client]:
    """Serves the only sealed model of a folder as `detector`, with the settings of the environment."""
    require_module("kserve", "tools")
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "modelkeep.integrations.kserve", "--model_name=detector"]
    command += [f"--model_dir={folder}", f"--http_port={port}", *options]
    with running(command, log, f"http://127.0.0.1:{port}/v1/models/detector") as process:
        yield Client(port, process.pid)
    assert process.returncode == 0, log.read_text()
