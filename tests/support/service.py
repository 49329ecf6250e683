"""A server in a process of its own, at a port of this machine, and how it is asked."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What a server says."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


def ask(url: str, body: object = None, headers: Mapping[str, str] = JSON) -> Answer:
    """Sends a request, JSON unless it is bytes already; GET without a body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, dict(refused.headers), refused.read())


def free_port() -> int:
    """Returns the number of a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], log: Path, health: str, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server for the length of a `with` block, which begins when it answers at the address `health`.

    Raises:
        AssertionError: it has ended instead, or does not answer; with what it wrote to `log`.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=os.environ) as process,
    ):
        try:
            _wait(process, health, log)
            yield process
        finally:
            process.send_signal(stop)
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    end = time.monotonic() + 120
    while not _answers(health):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def _answers(health: str) -> bool:
    try:
        return ask(health).status == 200
    except OSError:
        return False
