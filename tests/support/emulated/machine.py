"""A machine in QEMU: firmware with Secure Boot, a software TPM, disks, a line to the agent in the guest."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.emulated.images import VerityImage

# Under full emulation of the processor; a guest takes about a minute to start.
STARTING, ANSWERING = 400.0, 300.0
_OVMF = Path("/usr/share/OVMF")
_FIRMWARE = _OVMF / "OVMF_CODE_4M.secboot.fd"
# Firmware variables: Debian's key for tests may sign what starts, or nobody's signature is asked for.
SECURE, INSECURE = _OVMF / "OVMF_VARS_4M.snakeoil.fd", _OVMF / "OVMF_VARS_4M.fd"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine is built from.

    Attributes:
        tpm: folder with the TPM's state, which lasts.
        root, models: what is read only.
        data: the disk that is written to, which lasts.
        spare: one more disk, read only.
    """

    tpm: Path
    root: VerityImage
    models: VerityImage
    data: Path
    spare: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command in the guest left behind."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Machine:
    """A machine that is switched on; `stop` switches it off. Use it as a context.

    Attributes:
        folder: where its sockets and its console are.
        boot: the disk that it starts from.
        variables: `SECURE` or `INSECURE`.
    """

    folder: Path
    hardware: Hardware
    boot: Path
    variables: Path = SECURE
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _line: socket.socket | None = None
    _received: bytes = b""

    def __enter__(self) -> Machine:
        self.folder.mkdir()
        shutil.copy(self.variables, self.folder / "variables.fd")
        self._start("swtpm", "socket", "--tpm2", "--terminate", *self._tpm_options())
        wait_until((self.folder / "tpm").exists, 10, "the TPM")
        self._start("qemu-system-x86_64", *self._options())
        self._line = self._connect()
        return self

    def __exit__(self, *_details: object) -> None:
        self.stop()

    @property
    def console(self) -> str:
        """What firmware and kernel wrote to the serial console."""
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_guest(self) -> None:
        """Waits until the agent in the guest answers."""
        try:
            assert self._receive(STARTING) == {"ready": True}
        except (OSError, AssertionError) as error:
            raise AssertionError(f"the guest did not start: {self.console[-2000:]}") from error

    def wait_for_console(self, text: str, seconds: float = STARTING) -> None:
        """Waits until the console shows a text."""
        wait_until(lambda: text in self.console, seconds, f"{text!r} on the console")

    def run(self, line: str) -> Answer:
        """Runs a line in the guest, in the folder of its data."""
        return Answer(**self._ask(do="run", line=line.replace("modelkeep ", "python3 -m modelkeep ", 1)))

    def ok(self, line: str) -> str:
        """Runs a line that must succeed; returns what it prints."""
        answer = self.run(line)
        assert answer.code == 0, f"{line}: {answer.err or answer.out}"
        return answer.out

    def read(self, path: str) -> bytes:
        """Returns the content of a file in the guest."""
        return base64.b64decode(self._ask(do="read", path=path)["data"])

    def write(self, path: str, data: bytes) -> None:
        """Writes a file in the guest."""
        self._ask(do="write", path=path, data=base64.b64encode(data).decode())

    def stop(self) -> None:
        """Lets the guest write what it holds and switch itself off, or pulls the plug."""
        if self._line is not None:
            self._line.close()
            self._line = None
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()

    def _start(self, *command: str | Path) -> None:
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)

    def _tpm_options(self) -> list[str]:
        return ["--tpmstate", f"dir={self.hardware.tpm}", "--ctrl", f"type=unixio,path={self.folder / 'tpm'}"]

    def _options(self) -> list[str]:
        return [*_processor(), *self._firmware(), *self._disks(), *self._devices()]

    def _firmware(self) -> list[str]:
        return [
            "-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={_FIRMWARE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={self.folder / 'variables.fd'}",
        ]  # fmt: skip

    def _disks(self) -> list[str]:
        hardware = self.hardware
        reading = (self.boot, hardware.root.disk, hardware.root.tree, hardware.models.disk)
        disks = [f"readonly=on,file={path}" for path in (*reading, hardware.models.tree)]
        # The order in which the guest names them: vda to vdg.
        disks += [f"file={hardware.data}", f"readonly=on,file={hardware.spare}"]
        return [word for disk in disks for word in ("-drive", f"if=virtio,format=raw,{disk}")]

    def _devices(self) -> list[str]:
        return [
            "-chardev", f"socket,id=tpm,path={self.folder / 'tpm'}",
            "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm",
            "-chardev", f"socket,id=agent,path={self.folder / 'agent'},server=on,wait=off",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent",
            "-device", "virtio-rng-pci", "-serial", f"file:{self.folder / 'console'}",
        ]  # fmt: skip

    def _connect(self) -> socket.socket:
        path = self.folder / "agent"
        wait_until(path.exists, 10, "QEMU")
        line = socket.socket(socket.AF_UNIX)
        line.connect(os.fspath(path))
        return line

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._line is not None
        self._line.sendall(json.dumps(request).encode() + b"\n")
        answer = self._receive(ANSWERING)
        assert "error" not in answer, answer["error"]
        return answer

    def _receive(self, seconds: float) -> dict[str, Any]:
        assert self._line is not None
        self._line.settimeout(seconds)
        while b"\n" not in self._received:
            part = self._line.recv(1 << 20)
            assert part, "the guest is gone"
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _processor() -> list[str]:
    # Emulated wherever it runs, so that it is the same machine everywhere.
    emulated = ("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024")
    return ["-machine", "q35,smm=on", *emulated, "-nodefaults", "-display", "none", "-no-reboot"]


def end(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Waits until a process ends by itself, and ends it after that."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition: Any, seconds: float, what: str) -> None:
    """Waits until a condition holds; fails naming `what` when time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} seconds for {what}"
        time.sleep(0.05)
