"""A sealed model behind KServe's own server, in a process of its own, and somebody who asks it."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from support.needs import require_module

JSON = {"Content-Type": "application/json"}
BINARY = {"Content-Type": "application/octet-stream"}


class Answer(NamedTuple):
    """What the server says."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server at a port of this machine, which is a process."""

    def __init__(self, port: int, process: int) -> None:
        self.port, self.process = port, process

    def ask(self, path: str, body: object = None, headers: Mapping[str, str] = JSON) -> Answer:
        """Sends a request, JSON unless it is bytes already; GET without a body."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, dict(refused.headers), refused.read())

    def ask_in_binary(self, path: str, request: object, after: bytes) -> Answer:
        """Sends a request in JSON, and behind it the bytes that it is about."""
        front = json.dumps(request).encode()
        return self.ask(path, front + after, BINARY | {"Inference-Header-Content-Length": str(len(front))})


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Client]:
    """Serves the only sealed model of a folder as `detector`, with the settings of the environment."""
    require_module("kserve", "tools")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "modelkeep.integrations.kserve", "--model_name=detector"]
    options = (f"--model_dir={folder}", f"--http_port={port}", *options)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*command, *options], stdout=log, stderr=log, env=os.environ) as process,
    ):
        try:
            yield _waiting(process, Client(port, process.pid), folder / "log")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (folder / "log").read_text()


def _waiting(process: subprocess.Popen[bytes], client: Client, log: Path) -> Client:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if client.ask("/v1/models/detector").status == 200:
                return client
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
