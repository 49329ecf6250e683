"""A model that took over its process asks the kernel for everything that it has."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.isolation import ProcessIsolation, system_calls
from modelkeep.isolation.system_calls import NUMBERS
from support import intruder
from support.workshop import MODEL_ID, Workshop

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="needs the filter"
)

COLUMN = 1 if platform.machine() == "aarch64" else 0
# Beyond the last call of any kernel that there is.
UNTIL = 600
# With useless arguments these still end the thread, the process, or its way back.
FATAL = {"exit", "exit_group", "rt_sigreturn", "restart_syscall", "set_tid_address"}
# Says itself that an operation does not exist.
UNTOLD = {"futex"}
# The kernel answers these before any filter: with SIGILL, except to its own probes.
PROBES = {0: [335, 336], 1: []}[COLUMN]
REFUSALS = {errno.EPERM, errno.ENOSYS}
PARENT, TERMINAL = os.getpid(), 2

# Calls that are allowed, with arguments that are not.
FORBIDDEN: list[tuple[str, tuple[int, ...]]] = [
    ("ioctl", (TERMINAL, 0x5412, 0)),  # TIOCSTI: types into the terminal
    ("ioctl", (0, 0x541C, 0)),  # TIOCLINUX
    ("fcntl", (1, 8, PARENT)),  # F_SETOWN: signals to others
    ("fcntl", (1, 4, 0)),  # F_SETFL
    ("fcntl", (1, 1024, 0)),  # F_SETLEASE
    ("prctl", (4, 1)),  # PR_SET_DUMPABLE
    ("prctl", (1, 0)),  # PR_SET_PDEATHSIG
    ("prctl", (22, 2)),  # PR_SET_SECCOMP
    ("prctl", (35, 1)),  # PR_SET_MM
    ("clone", (17,)),  # another process
    ("clone", (0x100 | 0x4000 | 17,)),
    ("clone", (0x003D0F00 | 0x10000000,)),  # a thread in name spaces of its own
    ("tgkill", (PARENT, PARENT, 0)),
    ("sched_setaffinity", (PARENT, 8, 0)),
    ("prlimit64", (PARENT, 0, 0, 0)),
    ("prlimit64", (0, 4, 1 << 32, 0)),
    ("prlimit64", (0, 4, 4096, 0)),
    ("mmap", (0, 4096, 3, 0x21, -1, 0)),  # shared memory of no file
    ("mmap", (0, 4096, 3, 0x122, -1, 0)),  # a stack that grows
    ("mmap", (0, 4096, 3, 0x2022, -1, 0)),  # locked
    ("arch_prctl", (0x1002, 0)),  # ARCH_SET_FS
]


def number(name: str) -> int | None:
    return NUMBERS[name][COLUMN]


def allowed(calls: list[system_calls.Call]) -> list[int]:
    return sorted({found for call in calls if (found := number(call.name)) is not None})


def sweep(calls: list[system_calls.Call]) -> str:
    return f"sweep {json.dumps([UNTIL, *PROBES, *allowed(calls)])}"


def reach() -> str:
    plain = {call.name for call in system_calls.serving() if not call.tests} - FATAL - UNTOLD
    return f"reach {json.dumps([found for name in sorted(plain) if (found := number(name)) is not None])}"


def make() -> str:
    calls = [[found, *arguments] for name, arguments in FORBIDDEN if (found := number(name)) is not None]
    return f"make {json.dumps(calls)}"


@pytest.fixture
def opened(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(intruder.install(workshop.folder / "site"))

    def opened(*, fresh: bool = False, **options: Any) -> Any:
        isolation = ProcessIsolation(timeout=60, fresh=fresh)
        session = workshop.open(workshop.seal(), isolation=isolation, runtime=intruder.PACKAGE, **options)
        session.contract = None
        return session

    return opened


def outcome(session: Any, attempt: str) -> Any:
    text = session.run({"x": np.array(attempt)})["x"].item()
    assert text.startswith("done "), text
    return json.loads(text.removeprefix("done "))


@pytest.mark.parametrize("fresh", [True, False])
def test_no_call_exists_that_is_not_on_the_list(opened: Any, fresh: bool) -> None:
    with opened(fresh=fresh) as session:
        assert session.report.hardening.missing == ()
        assert outcome(session, sweep(system_calls.serving())) == [[], []]


def test_the_list_is_what_can_be_called(opened: Any) -> None:
    with opened() as session:
        assert outcome(session, reach()) == []


def test_allowed_calls_do_nothing_else_with_other_arguments(opened: Any) -> None:
    with opened() as session:
        assert set(outcome(session, make())) <= REFUSALS


def test_while_a_model_is_loaded_the_list_is_longer_by_looking_at_files(opened: Any) -> None:
    with opened(at_load=[sweep(system_calls.loading()), make()]) as session:
        first, second = session.run({})["load"].item().splitlines()
    assert json.loads(first.split(" done ")[1]) == [[], []]
    assert set(json.loads(second.split(" done ")[1])) == {errno.EPERM}


_OPENER = """
import json, sys
sys.path[:0] = [sys.argv[1]]
import numpy as np
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.trust.verifier import Verifier

_site, bundle, public, device, model, *attempts = sys.argv[1:]
identity, verifier = Identity("file:" + device), Verifier(public, model=model)
session = open_session(bundle, identity=identity, verifier=verifier, isolation="process", runtime="intruder")
session.contract = None
assert session.report.hardening.missing == (), session.report.hardening.missing
print(json.dumps([session.run({"x": np.array(each)})["x"].item() for each in attempts]))
"""

_WITHOUT_CAPABILITIES = """
import ctypes
libc = ctypes.CDLL(None)
for capability in range(64):
    libc.prctl(24, capability, 0, 0, 0)
assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
"""
NOBODY = 65534


@pytest.mark.parametrize("who", ["root without capabilities", "another user"])
def test_it_is_the_same_for_those_with_fewer_rights(who: str) -> None:
    user = NOBODY if who == "another user" else None
    if user is not None and (os.geteuid() != 0 or not _readable_by_all(sys.executable)):
        pytest.skip("needs root, and an interpreter that everybody may run")
    # Not in pytest's folder, into which only its owner may look.
    with tempfile.TemporaryDirectory() as name:
        workshop = Workshop(Path(name))
        site = intruder.install(workshop.folder / "site")
        public = workshop.folder / "publisher.pub"
        public.write_bytes(workshop.publisher_public)
        arguments = [site, workshop.seal(), public, workshop.device, MODEL_ID]
        attempts = [sweep(system_calls.serving()), make()]
        command = [sys.executable, "-c", _WITHOUT_CAPABILITIES * (user is None) + _OPENER]
        command += [*map(str, arguments), *attempts]
        own_state = {**os.environ, FOLDER_VARIABLE: str(workshop.folder / "state")}
        result = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, timeout=60, env=own_state, **_rights(workshop, user)
        )
    swept, made = json.loads(result.stdout)
    assert swept == "done [[], []]"
    assert set(json.loads(made.removeprefix("done "))) <= REFUSALS


def _rights(workshop: Workshop, user: int | None) -> dict[str, Any]:
    if user is None:
        return {}
    for each in (workshop.folder, *workshop.folder.rglob("*")):
        os.chown(each, user, user)
    return {"user": user, "group": user, "extra_groups": [], "cwd": "/"}


def _readable_by_all(path: str) -> bool:
    return all(each.stat().st_mode & 0o5 for each in Path(path).resolve().parents)
