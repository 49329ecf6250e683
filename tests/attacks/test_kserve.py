"""Whoever reaches the port of KServe's server says whatever he likes; the next one is answered anyway."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.integrations import set_up
from support.kserve import BINARY, Client, serving
from support.needs import require_module
from support.processes import children, status
from support.service import JSON, Answer
from support.workshop import Workshop

pytestmark = pytest.mark.slow

V1, V2 = "/v1/models/detector:predict", "/v2/models/detector/infer"
# As large as inputs of 4096 bytes can be, and what is around them.
MOST = 2**16 + 1024 * 33
GOOD: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A sealed model that takes at most 4096 bytes, behind KServe's server."""
    workshop = Workshop(tmp_path_factory.mktemp("kserve"))
    (workshop.folder / "models").mkdir()
    workshop.seal(name="models/m.keep", contract={"x": {"maximum_bytes": 4096}})
    with pytest.MonkeyPatch.context() as patch:
        set_up(workshop, patch)
        with serving(workshop.folder / "models") as client:
            yield client


@pytest.fixture
def client(served: Client) -> Iterator[Client]:
    """Somebody who asks; whatever he says, the next one is answered."""
    yield served
    assert served.ask(V1, {"instances": [[1, 2, 3, 4]]}).value == {"predictions": [[2, 4, 6, 8]]}


def inputs(**changes: Any) -> dict[str, Any]:
    return {"inputs": [GOOD | changes]}


def in_binary(size: object) -> dict[str, Any]:
    """Returns the input as it is said to stand in so many bytes behind the request."""
    facts = {name: value for name, value in GOOD.items() if name != "data"}
    return facts | {"parameters": {"binary_data_size": size}}


REFUSED = [
    (V1, {"instances": [[1, 2, 3]]}),
    (V1, {"instances": [[1, 2, 3, 1e39]]}),
    (V1, {"instances": [["1", "2", "3", "4"]]}),
    (V1, {"instances": [[1, 2, 3, None]]}),
    (V1, {"instances": [[1, 2, 3, 4]], "parameters": {}}),
    (V1, {"instances": {"x": [[1, 2, 3, 4]]}}),
    (V1, {"instances": [{"x": [1, 2, 3, 4], "w": [9, 9, 9, 9]}]}),
    (V1, {"instances": [{"w": [9, 9, 9, 9]}]}),
    (V1, {"instances": [[1, 2, 3, 4]] * 300}),
    (V1, b'{"instances": [[1, 2, 3, NaN]]}'),
    (V1, b'{"instances": ' + b"[" * 50_000),
    (V1, b"\xff"),
    (V1, {"specversion": "1.0", "source": "x", "id": "1", "type": "x", "data": {"instances": "x"}}),
    (V2, inputs(datatype="FP64")),
    (V2, inputs(datatype="BYTES", data=["a", "b", "c", "d"])),
    (V2, inputs(datatype="O")),
    (V2, inputs(shape=[4])),
    (V2, inputs(shape=[-1, 4])),
    (V2, inputs(shape=[2**62, 2**62, 0])),
    (V2, inputs(shape=[1] * 100)),
    (V2, inputs(data=[1, 2, 3])),
    (V2, inputs(data=[[1, 2], [3, [4]]])),
    (V2, inputs(data=["1", "2", "3", "4"])),
    (V2, inputs(data=[1, 2, 3, 1e39])),
    (V2, inputs(data=[1, 2, 3, {}])),
    (V2, inputs(name="w")),
    (V2, {"inputs": []}),
    (V2, {"inputs": [GOOD, GOOD]}),
    (V2, {"inputs": [GOOD], "outputs": [{"name": "w"}]}),
    (V2, b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,NaN]}]}'),
]  # fmt: skip


def test_what_is_no_input_of_the_model_is_refused_in_words(client: Client) -> None:
    for path, body in REFUSED:
        answer = client.ask(path, body)
        assert (answer.status, list(answer.value)) == (400, ["error"]), body
        assert not any(word in answer.value["error"] for word in ("Traceback", ".py", "Error"))


# What KServe reads itself, before a model is asked: its own words, and an error all the same.
THEIRS: list[tuple[bytes, dict[str, str]]] = [
    (b"[]", JSON),
    (b"{}", JSON),
    (b'{"inputs": 1}', JSON),
    (b'{"inputs":[{"name":"x","shape":["a"],"datatype":"FP32","data":[1]}]}', JSON),
    (b"[" * 50_000, JSON),
    (b"{}", {"Inference-Header-Content-Length": "2"}),
    (b"{}", {"Inference-Header-Content-Length": "-5"}),
    (b"{}", {"Inference-Header-Content-Length": "many"}),
]


def test_what_kserve_cannot_read_ends_nothing(client: Client) -> None:
    for body, headers in THEIRS:
        ends_nothing(client.ask(V2, body, BINARY | headers))
    # Of so many digits Python makes no number.
    assert client.ask(V2, b"{}", BINARY | {"Inference-Header-Content-Length": "9" * 5000}).status == 400
    for size in (-1, 2**70, "a", None):
        ends_nothing(client.ask_in_binary(V2, {"inputs": [in_binary(size) | {"data": None}]}, b""))


def ends_nothing(answer: Answer) -> None:
    assert 400 <= answer.status <= 500, answer
    assert b"Traceback" not in answer.body


def test_not_a_number_is_refused_in_binary_too(client: Client) -> None:
    request = {"inputs": [in_binary(16)]}
    assert client.ask_in_binary(V2, request, bytes(16)).status == 200
    answer = client.ask_in_binary(V2, request, b"\0\0\xc0\x7f" * 4)
    assert (answer.status, "not-finite" in answer.value["error"]) == (400, True)


def test_answers_that_json_has_not_are_no_nulls(client: Client) -> None:
    large = inputs(data=[3e38, 1, 2, 3])
    for path, body in ((V1, {"instances": [[3e38, 1, 2, 3]]}), (V2, large)):
        answer = client.ask(path, body)
        assert (answer.status, "infinities" in answer.value["error"]) == (400, True)
    answer = client.ask(V2, large | {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]})
    assert (answer.status, answer.body[-16:-12]) == (200, b"\0\0\x80\x7f")


# Each of these once took hundreds of megabytes of a server whose requests are a hundred kilobytes at most.
LONG = ["a" * 10_000, *[1] * 10_000]
HUNGRY: list[tuple[str, Any]] = [
    (V1, {"instances": LONG}),
    (V1, {"instances": [{"w": LONG}]}),
    (V2, inputs(data=LONG)),
    (V2, inputs(data=LONG, datatype="BYTES")),
    (V2, inputs() | {"outputs": [{"name": "y"}] * 2}),
]


def test_short_requests_take_no_memory_out_of_proportion(client: Client) -> None:
    before = _peak(client.process)
    for path, body in HUNGRY:
        assert client.ask(path, body).status == 400
    assert _peak(client.process) - before < 100 * 2**20


def _peak(process: int) -> int:
    """Returns how many bytes of memory a process had at most."""
    return int(status(process, "VmHWM").split()[0]) * 1024


PARTS: list[tuple[list[Any], int]] = [
    ([16, -16, 16], 16),
    ([-1], 16),
    ([2**70], 16),
    ([16], 17),
    ([16], 15),
    ([True], 1),
    (["16"], 16),
    ([None], 16),
]


def test_each_byte_of_a_binary_request_belongs_to_one_input(client: Client) -> None:
    for sizes, after in PARTS:
        answer = client.ask_in_binary(V2, {"inputs": [in_binary(size) for size in sizes]}, bytes(after))
        assert (answer.status, "size" in answer.value["error"]) == (400, True), (sizes, answer)
    for request in (1, {}, {"inputs": [1]}, {"inputs": [{"name": [], "shape": [], "datatype": "FP32"}]}):
        assert client.ask_in_binary(V2, request, b"").status == 400


def test_a_runtimes_words_stay_with_the_server(workshop: Workshop) -> None:
    """They name nodes of the model."""
    require_module("kserve", "tools")
    from kserve.errors import InvalidInput

    from modelkeep.integrations.kserve.model import SealedModel

    path = workshop.folder / "picks.onnx"
    path.write_bytes(_picking_model())
    with workshop.open(workshop.seal(path)) as session:
        with pytest.raises(InvalidInput) as refused:
            asyncio.run(SealedModel("m", session).predict({"instances": [9]}))
        assert "secret-node" not in str(refused.value)
        assert "secret-node" in str(refused.value.__cause__)


def _picking_model() -> bytes:
    """Returns a model that takes integers, of which it has room for four alone: no contract knows."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["w", "x"], ["y"], name="secret-node")],
        "picks",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_models_that_are_not_there_are_not_found(client: Client) -> None:
    for name in ("nobody", "..%2fdetector", "detector%00", "x" * 5000):
        for path in (f"/v1/models/{name}:predict", f"/v2/models/{name}/infer", f"/v2/models/{name}"):
            body = None if path.endswith(name) else {"instances": [[1, 2, 3, 4]], **inputs()}
            assert client.ask(path, body).status in (400, 404)


def test_nobody_ends_or_exchanges_the_model_by_a_request(client: Client) -> None:
    answer = client.ask("/v2/repository/models/detector/unload", {})
    assert (answer.status, "not unloaded" in answer.value["error"]) == (400, True)
    assert client.ask("/v2/repository/models/other/load", {}).status == 503
    assert client.ask("/v1/models").value == {"models": ["detector"]}


def test_what_is_larger_than_any_input_is_not_read(client: Client) -> None:
    for sends in (_declared, _in_chunks):
        sent, answer = sends(client.port)
        assert answer.startswith(b"HTTP/1.1 413 ")
        # What lies in the buffers of two sockets, not what was to come.
        assert sent < 32 * 2**20
    assert client.ask(V1, b" " * (MOST + 1)).status == 413
    assert client.ask(V1, b" " * MOST).status == 400


def _declared(port: int) -> tuple[int, bytes]:
    return _pour(port, b"Content-Length: 1000000000\r\n", bytes(2**20))


def _in_chunks(port: int) -> tuple[int, bytes]:
    return _pour(port, b"Transfer-Encoding: chunked\r\n", b"100000\r\n" + bytes(2**20) + b"\r\n")


def _pour(port: int, header: bytes, piece: bytes) -> tuple[int, bytes]:
    """Sends pieces until the server has enough; returns how much it took, and what it says."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        stream.sendall(b"POST " + V1.encode() + b" HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n")
        stream.settimeout(2)
        try:
            while sent < 2**30:
                sent += stream.send(piece)
        except OSError:
            pass
        return sent, _answered(stream)


def _answered(stream: socket.socket) -> bytes:
    try:
        return stream.recv(4096)
    except OSError:
        return b""


def test_a_model_whose_process_was_killed_says_that_it_is_not_ready(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workshop.folder / "models").mkdir()
    workshop.seal(name="models/m.keep")
    set_up(workshop, monkeypatch)
    with serving(workshop.folder / "models", "--isolated") as client:
        assert client.ask(V2, inputs()).status == 200
        (pid,) = children(client.process)
        os.kill(pid, signal.SIGKILL)
        assert client.ask(V2, inputs()).status == 503
        assert client.ask("/v1/models/detector").status == 503
        assert client.ask(V1, {"instances": [[1, 2, 3, 4]]}).status == 503


def test_a_server_that_was_refused_its_model_does_not_begin(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workshop.folder / "models").mkdir()
    workshop.seal(name="models/m.keep", model="acme/other")
    set_up(workshop, monkeypatch)
    with pytest.raises(AssertionError, match="modelkeep: "), serving(workshop.folder / "models"):
        pass
