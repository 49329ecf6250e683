"""The parts of isolated processes: messages, shared arrays, the filter, the serving side."""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import KeepError, MalformedError, TamperedError, UnavailableError, UsageError
from modelkeep.isolation import area, landlock, seccomp
from modelkeep.isolation.area import Area
from modelkeep.isolation.channel import LARGEST_MESSAGE, Channel, ChannelClosedError
from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.protocol import Opening, SealedFile, error_from, error_message
from modelkeep.isolation.server import serve
from support.workshop import Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolated processes need Linux")


# Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    first, second = Channel.pair()
    yield first, second
    first.close()
    second.close()


def test_messages_of_any_length_arrive(ends: tuple[Channel, Channel]) -> None:
    for length in (0, 65_000, 65_530, 65_536, 500_000):
        thread = threading.Thread(target=ends[0].send, args=(["word", "x" * length],))
        thread.start()
        assert ends[1].receive() == (["word", "x" * length], None)
        thread.join()


def test_a_descriptor_arrives_as_another_one(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        ends[0].send(["file"], file.fileno())
    _message, descriptor = ends[1].receive()
    assert descriptor is not None
    assert os.pread(descriptor, 7, 0) == b"content"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_closed_channel_says_so(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    with pytest.raises(ChannelClosedError):
        ends[1].receive()
    with pytest.raises(ChannelClosedError):
        ends[1].send(["word"])
    with pytest.raises(ChannelClosedError):
        ends[0].wait_at_most(1)


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        struct.pack("=Q", 5) + b"word",
        struct.pack("=Q", 4) + b"word",
        struct.pack("=Q", 2) + b"{}",
        struct.pack("=Q", 2) + b"[]",
        struct.pack("=Q", 5) + b"[[[[[",
        struct.pack("=Q", LARGEST_MESSAGE + 1) + b"[]",
    ],
)
def test_what_is_no_message_is_refused(ends: tuple[Channel, Channel], packet: bytes) -> None:
    ends[0].send_secret(memoryview(packet))
    if packet.endswith(b"word") and packet[0] == 5:
        ends[0].send_secret(memoryview(b"and more than was announced"))
    with pytest.raises(MalformedError):
        ends[1].receive()


def test_a_key_of_another_length_is_refused(ends: tuple[Channel, Channel]) -> None:
    ends[0].send_secret(memoryview(b"short"))
    with pytest.raises(MalformedError):
        ends[1].receive_secret(memoryview(bytearray(32)))


# Area


def through(arrays: dict[str, Any]) -> dict[str, Any]:
    laid_out, size = area.packed(arrays)
    shared = Area.allocate(size)
    try:
        return area.read(shared, area.write(shared, laid_out), copy=True)
    finally:
        shared.close()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=">i4")[::2],
        np.zeros((0, 3), np.float16),
        np.array(7.5),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["one", "zwei", ""]),
        np.array(["one", "zwei"], object),
        np.array("text"),
        np.zeros(0, object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_out_as_they_went_in(array: Any) -> None:
    result = through({"first": np.ones(3), "x": array})["x"]
    assert result.shape == array.shape
    assert result.dtype.kind == array.dtype.kind
    assert np.array_equal(result, array)


@pytest.mark.parametrize("value", [None, object(), np.array([None]), [[1], [1, 2]], np.array([b"bytes"])])
def test_what_is_no_array_of_numbers_or_text_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="no array of numbers or text"):
        area.packed({"x": value})


@pytest.mark.parametrize(
    "places",
    [
        None,
        [1],
        [["x"]],
        [["x", "<f4", [2], 0, "8"]],
        [["x", "<f4", [2], -8, 8]],
        [["x", "<f4", [-2], 0, 8]],
        [["x", "<f4", [2.0], 0, 8]],
        [["x", "<f4", [True], 0, 4]],
        [["x", "<f4", [1] * 40, 0, 4]],
        [["x", "<f4", [2], 0, 12]],
        [["x", "<f4", [2**62, 4], 0, 8]],
        [["x", "<f4", [1], 2**40, 4]],
        [["x", "O", [1], 0, 8]],
        [["x", "<V8", [1], 0, 8]],
        [["x", "frob", [1], 0, 8]],
        [["x", "text", [1], 0, 8]],
        [["x", "<f4", [1], 0, 4]] * 5000,
    ],
    ids=lambda places: str(places)[:40],
)
def test_a_place_that_is_none_is_refused(places: Any) -> None:
    shared = Area.allocate(64)
    try:
        with pytest.raises(MalformedError):
            area.read(shared, places, copy=True)
    finally:
        shared.close()


@pytest.mark.parametrize("text", [b"[1]", b'["a","b"]', b'{"a":1}', b'["\xff"]'])
def test_text_that_is_none_is_refused(text: bytes) -> None:
    shared = Area.allocate(64)
    shared.view[: len(text)] = text
    try:
        with pytest.raises(MalformedError):
            area.read(shared, [["x", "text", [1], 0, len(text)]], copy=True)
    finally:
        shared.close()


def test_arrays_without_an_area_are_refused() -> None:
    with pytest.raises(MalformedError):
        area.read(None, [["x", "<f4", [1], 0, 4]], copy=True)


def test_memory_that_could_shrink_is_refused(tmp_path: Path) -> None:
    descriptor = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 4096)
    with pytest.raises(MalformedError):
        Area.received(descriptor)
    (tmp_path / "file").write_bytes(bytes(4096))
    with pytest.raises(MalformedError):
        Area.received(os.open(tmp_path / "file", os.O_RDWR))


def test_an_area_neither_shrinks_nor_grows() -> None:
    shared = Area.allocate(100)
    for size in (10, 2**30):
        with pytest.raises(PermissionError):
            os.ftruncate(shared.descriptor, size)
    shared.close()
    with pytest.raises(UsageError):
        Area.allocate(2**40)


# Errors and options


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TamperedError("no", hint="stop"), TamperedError),
        (MalformedError("no"), MalformedError),
        (KeepError("no"), UnavailableError),
        (MemoryError(), UnavailableError),
        (ZeroDivisionError("a secret"), UnavailableError),
    ],
)
def test_errors_arrive_as_what_they_are(error: Exception, kind: type[KeepError]) -> None:
    arrived = error_from(error_message(error))
    assert type(arrived) is kind
    assert "secret" not in str(arrived)


@pytest.mark.parametrize("message", [["frob"], ["error", 1, "x", None], ["error", "UsageError", "x", 3]])
def test_nonsense_is_an_error_too(message: list[Any]) -> None:
    assert isinstance(error_from(message), UnavailableError)


def opening(**changes: Any) -> Opening:
    values: dict[str, Any] = {
        "format": "onnx",
        "entry": "net.onnx",
        "runtime": None,
        "options": {},
        "secret": False,
        "memory_limit": None,
        "files": 1,
    }
    return Opening(**(values | changes))


def test_options_keep_their_types() -> None:
    options = {"providers": [("CPU", {"a": 1.5})], "flag": True, "nothing": None}
    assert Opening.from_message(opening(options=options).message()) == opening(options=options)


@pytest.mark.parametrize("value", [object(), len, np.float32(1), {1: print}, float("inf")])
def test_options_that_are_no_plain_data_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="plain data"):
        opening(options={"it": value}).message()


# The filter, by the rules of the kernel's own interpreter

X86, ARM = 0xC000003E, 0xC00000B7
ALLOWED = 0x7FFF0000


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
            continue
        matches = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
        place += if_true if matches[code] else if_false


def program(machine: str, rules: list[seccomp.Rule], monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr("platform.machine", lambda: machine)
    return seccomp._program(rules, seccomp._architecture())


CALLS = {
    # name: x86-64, arm64
    "read": (0, 63),
    "socket": (41, 198),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "clone": (56, 220),
    "clone3": (435, 435),
    "prctl": (157, 167),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "openat": (257, 56),
    "unlinkat": (263, 35),
}


@pytest.mark.parametrize(("machine", "audit", "column"), [("x86_64", X86, 0), ("aarch64", ARM, 1)])
def test_the_early_filter_on_both_architectures(
    machine: str, audit: int, column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = program(machine, seccomp.early_rules(), monkeypatch)
    call = {name: numbers[column] for name, numbers in CALLS.items()}
    for name in ("socket", "execve", "ptrace", "process_vm_readv", "pidfd_getfd", "unlinkat"):
        assert decide(early, audit, call[name]) == -errno.EPERM, name
    assert decide(early, audit, call["read"]) == ALLOWED
    assert decide(early, audit, call["openat"], 0, 0, os.O_RDONLY) == ALLOWED
    assert decide(early, audit, call["clone3"]) == -errno.ENOSYS
    assert decide(early, audit, call["clone"], 0x00010000 | 0x100) == ALLOWED
    assert decide(early, audit, call["clone"], 17) == -errno.EPERM
    assert decide(early, audit, call["prctl"], 4, 1) == -errno.EPERM
    assert decide(early, audit, call["prctl"], 15) == ALLOWED
    for name in ("kill", "tgkill"):
        assert decide(early, audit, call[name], os.getpid()) == ALLOWED
        assert decide(early, audit, call[name], os.getppid()) == -errno.EPERM


@pytest.mark.parametrize(("machine", "audit", "column"), [("x86_64", X86, 0), ("aarch64", ARM, 1)])
def test_the_later_filters_on_both_architectures(
    machine: str, audit: int, column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = program(machine, seccomp.writing_rules(), monkeypatch)
    late = program(machine, seccomp.late_rules(), monkeypatch)
    openat = CALLS["openat"][column]
    assert decide(writing, audit, openat, 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOWED
    for mode in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TMPFILE | os.O_RDWR):
        assert decide(writing, audit, openat, 0, 0, mode) == -errno.EACCES
    assert decide(late, audit, openat) == -errno.EACCES
    assert decide(late, audit, CALLS["read"][column]) == ALLOWED


def test_calls_by_another_table_do_not_slip_through(monkeypatch: pytest.MonkeyPatch) -> None:
    late = program("x86_64", seccomp.late_rules(), monkeypatch)
    assert decide(late, 0x40000003, 5) == 0x80000000  # 32-bit calls end the process
    assert decide(late, X86, 0x40000000 | 2) == -errno.ENOSYS


def test_an_architecture_without_numbers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        seccomp.install(seccomp.late_rules())


def test_landlock_keeps_a_thread_from_writing(tmp_path: Path) -> None:
    outcomes: list[Any] = []

    def restricted() -> None:
        try:
            landlock._syscall(157 if os.uname().machine == "x86_64" else 167, 38, 1, 0, 0, 0)
            outcomes.append(landlock.restrict())
        except OSError as error:
            outcomes.append(error)
            return
        outcomes.append(Path(__file__).read_bytes()[:3])
        with pytest.raises(PermissionError):
            (tmp_path / "file").write_bytes(b"")

    thread = threading.Thread(target=restricted)
    thread.start()
    thread.join()
    if isinstance(outcomes[0], OSError):
        pytest.skip("this kernel has no Landlock")
    assert "landlock: no writing" in outcomes[0]
    assert outcomes[1] == b'"""'
    (tmp_path / "file").write_bytes(b"")


# The serving side, in a thread instead of a process


@pytest.fixture
def served(ends: tuple[Channel, Channel]) -> Iterator[Channel]:
    thread = threading.Thread(
        target=serve, args=(ends[1], Hardening(("a",), ("b",)), lambda: Hardening(("c",), ()))
    )
    thread.start()
    yield ends[0]
    ends[0].close()
    thread.join()


def hand_over(channel: Channel, workshop: Workshop, **changes: Any) -> list[Any]:
    """Opens a small model through the channel; returns the last answer."""
    from modelkeep.bundle.access import Access, unlock

    source = workshop.seal(workshop.model(size=8))
    with unlock(source, Access(workshop.identity(), workshop.verifier())) as bundle:
        inner = bundle.inner_manifest()
        channel.send(opening(entry=inner.entry, **changes).message())
        with bundle.open_stream(1) as extent:
            file = SealedFile(inner.files[0].path, bundle.sealed_stream(1), extent)
            channel.send(file.message(), extent.descriptor)
        channel.send_secret(bundle.payload_key)
    answer = channel.receive()[0]
    while answer[0] == "progress":
        answer = channel.receive()[0]
    return answer


def test_the_serving_side_answers(served: Channel, workshop: Workshop) -> None:
    assert served.receive() == (["hardened", ["a"], ["b"]], None)
    assert hand_over(served, workshop)[0] == "ready"
    inputs = Area.allocate(64)
    laid_out, _size = area.packed({"x": np.ones((1, 8), np.float32)})
    served.send(["run", area.write(inputs, laid_out)], inputs.descriptor)
    answer, descriptor = served.receive()
    assert descriptor is not None
    outputs = Area.received(descriptor)
    assert np.array_equal(area.read(outputs, answer[1], copy=True)["y"], np.full((1, 8), 2, np.float32))
    served.send(["run", []])
    assert served.receive()[0][:2] == ["error", "UsageError"]
    inputs.close()
    outputs.close()


def test_the_serving_side_says_what_fails(served: Channel, workshop: Workshop) -> None:
    served.receive()
    assert hand_over(served, workshop, runtime="frob")[:2] == ["error", "UsageError"]


def test_the_serving_side_ends_with_the_session(served: Channel) -> None:
    served.receive()
    served.send(opening().message())
    served.send(["file"])
    with pytest.raises(ChannelClosedError):
        served.wait_at_most(30)
        served.close()
        served.receive()
