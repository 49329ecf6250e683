"""The process of an isolated model: what others reach of it, and what it reaches when it is taken over."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import RuntimeCrashedError
from modelkeep.isolation import ProcessIsolation
from support import intruder
from support.processes import children, status
from support.workshop import MODEL_ID, Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")

WEIGHT = 1234.5678
SIZE = 4096
ATTACKS = ("memory", "vm_readv", "descriptors", "environment", "ptrace", "pidfd_getfd")

# A user without privileges, also where the tests run as root: user 0, but no capability left.
_POWERLESS = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
for capability in range(64):
    libc.prctl(24, capability, 0, 0, 0)
libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""

_VICTIM = (
    _POWERLESS
    + """
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.trust.verifier import Verifier

bundle, public, device, model, isolation = sys.argv[1:]
if isolation == "no dumps":
    import modelkeep
    modelkeep.forbid_core_dumps()
    isolation = "in-process"
session = open_session(
    bundle,
    identity=Identity("file:" + device),
    verifier=Verifier(public, model=model),
    isolation=isolation,
)
print(os.getpid(), flush=True)
sys.stdin.readline()
session.close()
"""
)

_ATTACKER = (
    _POWERLESS
    + """
pid, weights = int(sys.argv[1]), bytes.fromhex(sys.argv[2])

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

def regions():
    for line in open(f"/proc/{pid}/maps"):
        span, mode = line.split()[:2]
        if mode.startswith("rw"):
            yield [int(each, 16) for each in span.split("-")]

def memory():
    found = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for start, end in regions():
            file.seek(start)
            found += weights in file.read(end - start)
    return found

def vm_readv():
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    place = ctypes.create_string_buffer(16)
    here, there = Vector(ctypes.addressof(place), 16), Vector(next(regions())[0], 16)
    return checked(libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))

def descriptors():
    return [os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")]

def environment():
    return len(open(f"/proc/{pid}/environ", "rb").read())

def ptrace():
    checked(libc.ptrace(16, pid, None, None))
    os.waitpid(pid, 0)
    return checked(libc.ptrace(17, pid, None, None))

def pidfd_getfd():
    return checked(libc.syscall(438, os.pidfd_open(pid), 0, 0))

outcomes = {}
for attack in (memory, vm_readv, descriptors, environment, ptrace, pidfd_getfd):
    try:
        outcomes[attack.__name__] = attack()
    except OSError:
        outcomes[attack.__name__] = "refused"
print(json.dumps(outcomes))
"""
)


@contextmanager
def victim(workshop: Workshop, isolation: str) -> Iterator[int]:
    """Gives the id of a process without privileges that holds a model, one way or the other."""
    public = workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    bundle = workshop.seal(workshop.model(WEIGHT, SIZE))
    arguments = [bundle, public, workshop.device, MODEL_ID, isolation]
    command = [sys.executable, "-c", _VICTIM, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        try:
            if isolation == "process":
                (pid,) = children(pid)
            yield pid
        finally:
            process.communicate("\n", timeout=60)


def attack(pid: int) -> dict[str, Any]:
    weights = np.full(SIZE, WEIGHT, np.float32).tobytes()[:64].hex()
    command = [sys.executable, "-c", _ATTACKER, str(pid), weights]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    outcomes: dict[str, Any] = json.loads(result.stdout)
    return outcomes


def test_the_same_user_reaches_nothing_of_the_process(workshop: Workshop) -> None:
    with victim(workshop, "process") as pid:
        assert attack(pid) == dict.fromkeys(ATTACKS, "refused")


def test_a_program_that_forbids_dumps_is_closed_to_the_same_user_as_well(workshop: Workshop) -> None:
    with victim(workshop, "no dumps") as pid:
        assert attack(pid) == dict.fromkeys(ATTACKS, "refused")
        limits = Path("/proc", str(pid), "limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


def test_the_same_attacks_reach_a_model_that_is_not_isolated(workshop: Workshop) -> None:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() != "0":
        pytest.skip("this system keeps processes of one user apart itself")
    with victim(workshop, "in-process") as pid:
        outcomes = attack(pid)
    assert outcomes["memory"] > 0
    assert "refused" not in outcomes.values()


def test_a_crash_leaves_no_core_dump(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    monkeypatch.chdir(inside.folder)
    running = children()
    try:
        with inside.session() as session:
            (pid,) = children() - running
            limits = Path("/proc", str(pid), "limits").read_text()
            with pytest.raises(RuntimeCrashedError, match="SIGSEGV"):
                session.run({"x": np.array("die SIGSEGV")})
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
    assert list(inside.folder.glob("core*")) == []


def test_the_process_cannot_gain_privileges(inside: Inside) -> None:
    running = children()
    with inside.session():
        (pid,) = children() - running
        assert status(pid, "NoNewPrivs") == "1"
        assert status(pid, "Seccomp") == "2"


class Inside:
    """A session whose runtime is an intruder."""

    def __init__(self, workshop: Workshop) -> None:
        self.folder = workshop.folder
        self._workshop = workshop
        self._bundle = workshop.seal()

    def session(self, **options: Any) -> Any:
        """Opens the session, in a process of its own; inputs are not checked."""
        settings = {"isolation": ProcessIsolation(timeout=60), "runtime": intruder.PACKAGE}
        session = self._workshop.open(self._bundle, **(settings | options))
        session.contract = None
        return session

    def tries(self, *attempts: str) -> list[str]:
        """Returns what came of each attempt."""
        with self.session() as session:
            outcomes = [session.run({"x": np.array(attempt)})["x"].item() for attempt in attempts]
        return [outcome.split()[0] for outcome in outcomes]


@pytest.fixture
def inside(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.syspath_prepend(intruder.install(workshop.folder / "site"))
    return Inside(workshop)


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_a_model_that_took_over_has_no_network(inside: Inside, kind: str) -> None:
    with socket.socket(socket.AF_INET):
        assert inside.tries(f"socket {kind}") == ["refused"]


def test_a_model_that_took_over_writes_no_file(inside: Inside) -> None:
    target = inside.folder / "stolen"
    assert inside.tries(f"write {target}", "write /dev/shm/stolen") == ["refused", "refused"]
    assert not target.exists()


def test_no_file_is_written_while_the_model_is_loaded_either(inside: Inside) -> None:
    target = inside.folder / "stolen"
    with inside.session(at_load=[f"write {target}", "socket tcp", "fork"]) as session:
        outcomes = session.run({})["load"].item().splitlines()
    assert [outcome.split(" refused")[1:] != [] for outcome in outcomes] == [True] * 3
    assert not target.exists()


def test_a_model_that_took_over_reads_no_key(inside: Inside) -> None:
    assert inside.tries(f"read {inside.folder / 'pi-17.pem'}") == ["refused"]


def test_a_model_that_took_over_starts_no_program(inside: Inside) -> None:
    assert inside.tries("execute /bin/true", "spawn /bin/true", "fork") == ["refused"] * 3


def test_a_model_that_took_over_touches_no_other_process(inside: Inside) -> None:
    (task,) = [thread.native_id for thread in threading.enumerate() if thread is threading.main_thread()]
    assert inside.tries(f"trace {task}", f"peek {task}", f"kill {task}") == ["refused"] * 3


def test_a_model_that_took_over_does_not_open_itself_to_readers(inside: Inside) -> None:
    assert inside.tries("undo") == ["refused"]


_WITHOUT_LANDLOCK = """
import errno, os, sys
from modelkeep.isolation import hardening, landlock

def restrict(_paths):
    raise OSError(errno.ENOSYS, "Function not implemented")

landlock.restrict = restrict
done = hardening.before_imports(os.getppid(), 3)
assert done.missing == ("landlock: Function not implemented",), done
open(sys.executable, "rb").close()
for mode in ("wb", "ab", "r+b", "xb"):
    try:
        open(sys.argv[1], mode)
    except PermissionError:
        continue
    sys.exit(f"opened with {mode}")
"""


def test_a_kernel_without_landlock_refuses_writing_all_the_same(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"as it was")
    command = [sys.executable, "-c", _WITHOUT_LANDLOCK, str(target)]
    subprocess.run(command, check=True, timeout=60)
    assert target.read_bytes() == b"as it was"
