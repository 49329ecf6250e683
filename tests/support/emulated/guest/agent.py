"""Runs in the guest as its first process: does what the test asks for over a serial port, in lines of JSON.

A device has nothing of the kind; it stands for whoever sits at it, who may be root.
"""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PORT = Path("/dev/vport0p1")
WORK = "/data"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": "/opt/site",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MODELKEEP_STATE": f"{WORK}/state",
    "TPM2TOOLS_TCTI": "device:/dev/tpmrm0",
    "TSS2_LOG": "all+none",
}
MOUNTS = (
    ("tmpfs", "tmpfs", "/run"),
    ("tmpfs", "tmpfs", "/tmp"),
    ("securityfs", "securityfs", "/sys/kernel/security"),
    ("ext4", "/dev/vdf", WORK),
)


def main() -> None:
    for kind, source, target in MOUNTS:
        subprocess.run(["mount", "-t", kind, source, target], check=True)
    # Only one may have it open; a buffer would wait until it is full.
    with PORT.open("r+b", 0) as port:
        send(port, {"ready": True})
        while request := receive(port):
            send(port, served(json.loads(request)))


def receive(port: BinaryIO) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = port.read(65_536)
        if not part:
            return b""
        line += part
    return line


def send(port: BinaryIO, answer: dict[str, Any]) -> None:
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[port.write(data) :]


def served(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return SERVED[request.pop("do")](**request)
    except OSError as error:
        return {"error": str(error)}


def run(line: str) -> dict[str, Any]:
    command = ["sh", "-c", line]
    done = subprocess.run(command, cwd=WORK, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def read(path: str) -> dict[str, Any]:
    return {"data": base64.b64encode(Path(WORK, path).read_bytes()).decode()}


def write(path: str, data: str) -> dict[str, Any]:
    Path(WORK, path).write_bytes(base64.b64decode(data))
    return {}


def switch_off() -> None:
    subprocess.run(["umount", WORK], check=False)
    os.sync()
    Path("/proc/sysrq-trigger").write_text("o")


SERVED: dict[str, Callable[..., dict[str, Any]]] = {"run": run, "read": read, "write": write}

if __name__ == "__main__":
    # The first process must not end before the machine does: the kernel would panic.
    try:
        main()
    except Exception as error:
        print(f"device: {error!r}", file=sys.stderr, flush=True)
    switch_off()
    signal.pause()
