"""The filter of system calls, by the rules of the kernel's own interpreter, and Landlock."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from modelkeep.isolation import landlock, seccomp, system_calls

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")

X86, ARM = 0xC000003E, 0xC00000B7
ALLOWED = 0x7FFF0000
ARCHITECTURES = [(0, X86), (1, ARM)]


def decide(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Returns what the kernel would do with a system call; negative for an error number."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    accumulator, place = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == 0x06:
            return -(value & 0xFFFF) if value >> 16 == 5 else int(value)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        else:
            matches = {0x15: accumulator == value, 0x35: accumulator >= value}
            place += if_true if matches[code] else if_false


CALLS = {
    # name: x86-64, arm64; what no list has
    "socket": (41, 198),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "clone3": (435, 435),
    "kill": (62, 129),
    "unlinkat": (263, 35),
    "fanotify_init": (300, 262),
    "shmget": (29, 194),
    "io_uring_setup": (425, 425),
    "no_call_yet": (580, 580),
}


@pytest.mark.parametrize(("column", "audit"), ARCHITECTURES)
@pytest.mark.parametrize("calls", [system_calls.starting, system_calls.loading, system_calls.serving])
def test_what_is_on_no_list_does_not_exist(column: int, audit: int, calls: Any) -> None:
    program = seccomp.compiled(calls(), column, audit)
    for name, numbers in CALLS.items():
        assert decide(program, audit, numbers[column]) == -errno.ENOSYS, name
    for call in calls():
        number = system_calls.NUMBERS[call.name][column]
        if number is not None and not call.tests:
            assert decide(program, audit, number, *[2**64 - 1] * 6) == ALLOWED, call.name


@pytest.mark.parametrize(("column", "audit"), ARCHITECTURES)
def test_arguments_count(column: int, audit: int) -> None:
    def decided(name: str, *arguments: int) -> int:
        number = system_calls.NUMBERS[name][column]
        return decide(loading, audit, number, *arguments) if number is not None else -errno.EPERM

    loading = seccomp.compiled(system_calls.loading(), column, audit)
    assert decided("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY) == ALLOWED
    for mode in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TMPFILE | os.O_RDWR, os.O_PATH):
        assert decided("openat", 0, 0, mode) == -errno.EPERM
    assert decided("clone", 0x003D0F00) == ALLOWED
    for flags in (17, 0x003D0F00 | 0x10000000, 0x100 | 0x4000 | 17):
        assert decided("clone", flags) == -errno.EPERM
    assert decided("tgkill", os.getpid(), 1, 6) == ALLOWED
    assert decided("tgkill", os.getppid(), 1, 6) == -errno.EPERM
    assert decided("prctl", 15) == ALLOWED
    assert decided("prctl", 4, 1) == -errno.EPERM
    assert decided("mmap", 0, 4096, 3, 0x22) == ALLOWED
    assert decided("mmap", 0, 4096, 3, 0x01, 5) == ALLOWED
    assert decided("mmap", 0, 4096, 3, 0x21) == -errno.EPERM
    assert decided("prlimit64", 0, 3, 0, 1) == ALLOWED
    assert decided("prlimit64", 0, 3, 1 << 32, 0) == -errno.EPERM
    assert decided("ioctl", 2, 0x5401) == ALLOWED
    assert decided("ioctl", 2, 0x5412) == -errno.EPERM


@pytest.mark.parametrize(("column", "audit"), ARCHITECTURES)
def test_nothing_is_opened_in_the_end(column: int, audit: int) -> None:
    program = seccomp.compiled(system_calls.serving(), column, audit)
    number = system_calls.NUMBERS["openat"][column]
    assert number is not None
    assert decide(program, audit, number) == -errno.EACCES


@pytest.mark.parametrize(("column", "audit"), ARCHITECTURES)
def test_what_copies_itself_may_do_that_and_no_more(column: int, audit: int) -> None:
    program = seccomp.compiled(system_calls.forking(), column, audit)
    for name in ("socket", "execve", "ptrace", "process_vm_readv", "unlinkat", "shmget", "io_uring_setup"):
        assert decide(program, audit, CALLS[name][column]) == -errno.ENOSYS, name
    clone, openat, prctl = (system_calls.NUMBERS[name][column] for name in ("clone", "openat", "prctl"))
    assert clone is not None and openat is not None and prctl is not None
    assert decide(program, audit, clone, 0x01200011) == ALLOWED
    for flags in (0x01200011 | 0x10000000, 0x100 | 0x4000 | 17):
        assert decide(program, audit, clone, flags) == -errno.EPERM
    assert decide(program, audit, openat, 0, 0, os.O_WRONLY | os.O_CREAT) == -errno.EPERM
    assert decide(program, audit, prctl, 35) == -errno.EPERM


def test_calls_by_another_table_do_not_slip_through() -> None:
    program = seccomp.compiled(system_calls.loading(), 0, X86)
    assert decide(program, 0x40000003, 5) == 0x80000000  # 32-bit calls end the process
    assert decide(program, X86, 0x40000000 | 1) == -errno.ENOSYS


def test_an_architecture_without_numbers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        seccomp.install(system_calls.serving())


_HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
_OTHER_NAMES = {"newfstatat": "fstatat"}


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_those_of_the_kernel(column: int) -> None:
    if not _HEADERS[column].exists():
        pytest.skip("needs the kernel's headers")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", _HEADERS[column].read_text()))
    for name, numbers in system_calls.NUMBERS.items():
        known = found.get(name, found.get(_OTHER_NAMES.get(name, "")))
        assert known is None or int(known) == numbers[column], name


def test_landlock_keeps_a_thread_from_writing(tmp_path: Path) -> None:
    outcomes: list[Any] = []

    def restricted() -> None:
        try:
            landlock._syscall(157 if os.uname().machine == "x86_64" else 167, 38, 1, 0, 0, 0)
            outcomes.append(landlock.restrict([str(Path(__file__).parent), "/nowhere"]))
        except OSError as error:
            outcomes.append(error)
            return
        outcomes.append(Path(__file__).read_bytes()[:3])
        with pytest.raises(PermissionError):
            Path("/etc/hostname").read_bytes()
        with pytest.raises(PermissionError):
            (tmp_path / "file").write_bytes(b"")

    thread = threading.Thread(target=restricted)
    thread.start()
    thread.join()
    if isinstance(outcomes[0], OSError):
        pytest.skip("this kernel has no Landlock")
    assert "landlock: no writing, no reading but of libraries" in outcomes[0]
    assert outcomes[1] == b'"""'
    (tmp_path / "file").write_bytes(b"")
