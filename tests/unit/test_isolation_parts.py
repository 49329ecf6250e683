"""The parts of isolated processes: messages, shared arrays, the serving side."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from modelkeep.errors import KeepError, MalformedError, TamperedError, UnavailableError, UsageError
from modelkeep.isolation import area
from modelkeep.isolation.area import Area
from modelkeep.isolation.channel import LARGEST_ANSWER, LARGEST_MESSAGE, Channel, ChannelClosedError
from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.protocol import Opening, SealedFile, error_from, error_message
from modelkeep.isolation.server import serve
from modelkeep.isolation.values import put_together, taken_apart
from support.descriptors import open_descriptors, settled_descriptors
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
        assert ends[1].receive(LARGEST_MESSAGE) == ["word", "x" * length]
        thread.join()


def test_a_descriptor_arrives_as_another_one(ends: tuple[Channel, Channel], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        ends[0].send(["file"], file.fileno())
    _message, descriptor = ends[1].receive_with_descriptor()
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
    ends[0].allow(1)
    with pytest.raises(ChannelClosedError):
        ends[0].receive()


def test_one_deadline_covers_all_packets(ends: tuple[Channel, Channel]) -> None:
    ends[0].send_secret(memoryview(struct.pack("=Q", 100) + b"["))
    ends[1].allow(0.05)
    with pytest.raises(TimeoutError):
        ends[1].receive()
    with pytest.raises(TimeoutError):
        ends[1].send(["word"])


def test_descriptors_that_nobody_wants_are_closed_by_the_kernel(ends: tuple[Channel, Channel]) -> None:
    before = settled_descriptors()
    ends[0].send(["word"], 0)
    with pytest.raises(MalformedError, match="descriptors"):
        ends[1].receive()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=3i", 0, 0, 0))]
    ends[0]._socket.sendmsg([struct.pack("=Q", 8) + b'["word"]'], rights)
    with pytest.raises(MalformedError, match="descriptors"):
        ends[1].receive_with_descriptor()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        struct.pack("=Q", 5) + b"word",
        struct.pack("=Q", 4) + b"word",
        struct.pack("=Q", 2) + b"{}",
        struct.pack("=Q", 2) + b"[]",
        struct.pack("=Q", 5) + b"[[[[[",
        struct.pack("=Q", LARGEST_ANSWER + 1) + b"[]",
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
        np.ones((2, 3), ml_dtypes.bfloat16),
        np.ones(3, ml_dtypes.float8_e5m2),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_out_as_they_went_in(array: Any) -> None:
    result = through({"first": np.ones(3), "x": array})["x"]
    assert result.shape == array.shape
    assert result.dtype.kind == array.dtype.kind
    assert np.array_equal(result, array)


@pytest.mark.parametrize("value", [np.array([None]), np.array([b"bytes"])])
def test_what_is_no_array_of_numbers_or_text_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="no array of numbers or text"):
        area.packed({"x": value})


def test_too_many_arrays_are_refused_where_they_are_packed() -> None:
    with pytest.raises(UsageError, match="more than 4096 arrays"):
        area.packed({str(number): np.ones(1) for number in range(4097)})


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


@pytest.mark.parametrize(
    "places",
    [
        [["x", "<f4", [2], 0, 8], ["y", "<f4", [2], 0, 8]],
        [["x", "<f4", [2], 0, 8], ["y", "<f4", [2], 128, 8]],
        [["x", "<f4", [2], 64, 8]],
        [["x", "<f4", [2], 0, 8], ["x", "<f4", [2], 64, 8]],
    ],
)
def test_arrays_that_overlap_leave_gaps_or_share_a_name_are_refused(places: Any) -> None:
    shared = Area.allocate(1024)
    try:
        with pytest.raises(MalformedError):
            area.read(shared, places, copy=True)
    finally:
        shared.close()


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.ones(300, np.float32)},
        {"x": np.ones(150, np.float32), "y": np.ones(150, np.float32)},
        {"x": np.array(["a" * 60, ""], object)},
        {"x": np.array(["a" * 20] + [""] * 15)},
    ],
    ids=["one", "two", "text", "characters"],
)
def test_one_limit_holds_for_all_arrays_together(arrays: dict[str, Any]) -> None:
    laid_out, size = area.packed(arrays)
    shared = Area.allocate(size)
    try:
        places = area.write(shared, laid_out)
        assert area.read(shared, places, copy=True, limit=4000).keys() == arrays.keys()
        with pytest.raises(MalformedError):
            area.read(shared, places, copy=True, limit=1000)
    finally:
        shared.close()


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
        "function": None,
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


# The serving side, in a thread instead of a process


class Unhardened:
    """Gives up nothing: the test goes on."""

    def before_loading(self) -> Hardening:
        return Hardening(("c",), ())

    def after_loading(self, channel: int) -> Hardening:
        return Hardening((f"d {channel}",), ())


@pytest.fixture
def served(ends: tuple[Channel, Channel]) -> Iterator[Channel]:
    thread = threading.Thread(target=serve, args=(ends[1], Hardening(("a",), ("b",)), Unhardened()))
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
    answer = channel.receive()
    while answer[0] == "progress":
        answer = channel.receive()
    return answer


def test_the_serving_side_answers(served: Channel, workshop: Workshop) -> None:
    assert served.receive() == ["hardened", ["a"], ["b"]]
    word, _locked, _unlocked, _huge, names, in_force, missing = hand_over(served, workshop)
    assert (word, names, in_force[0], missing) == ("ready", ["y"], "c", [])
    inputs = Area.allocate(64)
    forms, arrays = taken_apart({"x": np.ones((1, 8), np.float32)})
    laid_out, _size = area.packed(arrays)
    served.send(["run", area.write(inputs, laid_out), forms, inputs.size], inputs.descriptor)
    word, size = served.receive()
    assert word == "room"
    outputs = Area.allocate(size)
    served.send(["area", outputs.size], outputs.descriptor)
    _word, places, forms = served.receive()
    values = put_together(forms, area.read(outputs, places, copy=True), 2**20)
    assert np.array_equal(values["y"], np.full((1, 8), 2, np.float32))
    served.send(["run", [], [], inputs.size])
    assert served.receive()[:2] == ["error", "UsageError"]
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
        served.allow(30)
        served.close()
        served.receive()
