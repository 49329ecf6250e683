"""Frigate's side of its detector of ``type: zmq``, and models as it has them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import zmq
from onnx import TensorProto, helper, numpy_helper

from modelkeep.integrations.frigate.endpoint import endpoint_of
from modelkeep.integrations.frigate.server import FrigateServer
from modelkeep.session import Session

SIDE = 64
BOXES = 60
CLASSES = 3


class Frigate:
    """Asks as Frigate 0.18 does."""

    def __init__(self, address: str, timeout: float = 20.0) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.setsockopt(zmq.RCVTIMEO, int(1000 * timeout))
        self._socket.connect(address)

    def close(self) -> None:
        """Ends the connection."""
        self._context.destroy(linger=0)

    def ask(self, *parts: bytes) -> list[bytes]:
        """Sends one message and returns the answer."""
        self._socket.send_multipart(parts)
        return self._socket.recv_multipart()

    def asks_for_model(self) -> bool:
        """Returns whether Frigate would go on with the model that is there."""
        header = {"model_request": True, "model_name": "detector.onnx"}
        (answer,) = self.ask(json.dumps(header).encode())
        said = json.loads(answer)
        return bool(said.get("model_available") and said.get("model_loaded"))

    def detect(self, picture: np.ndarray, model_type: str = "yologeneric") -> np.ndarray:
        """Returns what Frigate would take for detections."""
        header = {"shape": list(picture.shape), "dtype": picture.dtype.name, "model_type": model_type}
        answer = self.ask(json.dumps(header).encode(), picture.tobytes())
        if len(answer) == 1:
            assert len(answer[0]) != 480
            return np.zeros((20, 6), np.float32)
        said = json.loads(answer[0])
        return np.frombuffer(answer[1], said["dtype"]).reshape(said["shape"])


def write_detector(path: Path, classes: int = CLASSES) -> Path:
    """Writes a detector of YOLO's form: float32 [1, 3, 64, 64] from 0 to 1 -> [1, 4 + classes, boxes]."""
    generator = np.random.default_rng(3)
    base = np.concatenate(
        [generator.uniform(5, SIDE - 5, (2, BOXES)), generator.uniform(4, 20, (2, BOXES)),
         generator.uniform(0, 0.7, (classes, BOXES))]
    )  # fmt: skip
    weights = numpy_helper.from_array(base[None].astype(np.float32), "base")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["light"], axes=[0, 1, 2, 3], keepdims=0),
            helper.make_node("Add", ["base", "light"], ["output0"]),
        ],
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + classes, BOXES])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@contextmanager
def serving(session: Session, address: str) -> Iterator[FrigateServer]:
    """Answers at an address in a thread of its own."""
    ends = threading.Event()
    with FrigateServer(session, endpoint_of(address)) as server:

        def serve() -> None:
            while not ends.is_set():
                server.answer_one(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            ends.set()
            thread.join()


def picture(light: float = 0.25) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Returns a picture as the detector takes it."""
    return np.full((1, 3, SIDE, SIDE), light, np.float32)


def message(header: object, *parts: bytes) -> Sequence[bytes]:
    """Returns the parts of a message with this header."""
    return [json.dumps(header).encode(), *parts]
