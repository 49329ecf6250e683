"""A runtime adapter that tries, from within the process of the model, what it must not be able to do.

Tests copy this file into a folder that is installed like a package; it imports nothing else of the tests.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy.random  # noqa: F401  # seeded as it is imported, which is before the process is copied

from modelkeep.runtimes import LoadedModel, Runner, Runtime

PACKAGE = "intruder"


def install(folder: Path) -> Path:
    """Makes `folder` a place to import from where the adapter is registered."""
    information = folder / f"{PACKAGE}-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        f"[modelkeep.runtimes]\n{PACKAGE} = {PACKAGE}:IntruderRuntime\n"
    )
    shutil.copyfile(__file__, folder / f"{PACKAGE}.py")
    shutil.copyfile(Path(__file__).with_name("hostile_calls.py"), folder / "hostile_calls.py")
    return folder


class IntruderRuntime(Runtime):
    """Takes ONNX models and computes nothing of them.

    The option `at_load` is a list of attempts to make while the model is loaded, `outputs` what it
    says that its outputs are.
    """

    name: ClassVar[str] = PACKAGE
    formats: ClassVar[frozenset[str]] = frozenset({"onnx"})

    @classmethod
    def require(cls) -> None:
        """Needs nothing."""

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> Runner:
        """See `Runtime.load`."""
        attempts: Any = options.get("at_load", [])
        calls = importlib.import_module("hostile_calls")
        calls.find_session()
        _ATTEMPTS.update(calls.ATTEMPTS)
        runner = IntruderRunner({"load": "\n".join(f"{each} {_outcome(each)}" for each in attempts)})
        announced: Any = options.get("outputs")
        runner.outputs = announced
        return runner


class IntruderRunner(Runner):
    """Makes the attempts that the input ``x`` names, and tells what came of them."""

    def __init__(self, at_load: Mapping[str, str]) -> None:
        self._at_load = dict(at_load)

    @property
    def native(self) -> Any:
        """Itself."""
        return self

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner.run`."""
        import numpy as np

        results = {name: _outcome(str(value.item())) for name, value in inputs.items()}
        return {name: np.array(text) for name, text in (self._at_load | results).items()}

    def close(self) -> None:
        """Does nothing."""


def _outcome(attempt: str) -> str:
    name, _, argument = attempt.partition(" ")
    try:
        return f"done {_ATTEMPTS[name](argument)}"
    except OSError as error:
        return f"refused {error.strerror}"


def _libc(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _write(path: str) -> int:
    return Path(path).write_bytes(b"plaintext")


def _read(path: str) -> int:
    return len(Path(path).read_bytes())


def _socket(kind: str) -> int:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as opened:
        return opened.fileno()


def _execute(program: str) -> None:
    os.execv(program, [program])


def _spawn(program: str) -> int:
    return subprocess.run([program], check=False).returncode


def _fork(_argument: str) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _trace(pid: str) -> int:
    return _libc(ctypes.CDLL(None, use_errno=True).ptrace(16, int(pid), 0, 0))


def _peek(pid: str) -> int:
    return _libc(ctypes.CDLL(None, use_errno=True).process_vm_readv(int(pid), None, 0, None, 0, 0))


def _kill(pid: str) -> None:
    os.kill(int(pid), signal.SIGCONT)


def _undo(_argument: str) -> int:
    return _libc(ctypes.CDLL(None, use_errno=True).prctl(4, 1, 0, 0, 0))


def _die(name: str) -> None:
    signal.raise_signal(signal.Signals[name])


def _exit(code: str) -> None:
    os._exit(int(code))


def _hang(_argument: str) -> None:
    # The lock of the interpreter is kept: not even this process's own threads can end it.
    ctypes.PyDLL(None).sleep(600)


def _wait(seconds: str) -> None:
    time.sleep(float(seconds))


def _repeat(count: str) -> str:
    return "x" * int(count)


def _allocate(size: str) -> int:
    return len(bytearray(int(size)))


_ATTEMPTS: dict[str, Callable[[str], object]] = {
    "write": _write,
    "read": _read,
    "socket": _socket,
    "execute": _execute,
    "spawn": _spawn,
    "fork": _fork,
    "trace": _trace,
    "peek": _peek,
    "kill": _kill,
    "undo": _undo,
    "die": _die,
    "exit": _exit,
    "hang": _hang,
    "wait": _wait,
    "repeat": _repeat,
    "allocate": _allocate,
}
