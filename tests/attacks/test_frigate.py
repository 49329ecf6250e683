"""Whoever reaches the socket of a detector says whatever he likes; accounts beside it take what they can."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import numpy as np
import pytest
import zmq

from modelkeep.errors import MalformedError, StorageError, UnavailableError, UsageError
from modelkeep.integrations.frigate.endpoint import endpoint_of, taken
from modelkeep.integrations.frigate.messages import parse
from modelkeep.integrations.frigate.server import FrigateServer
from support.frigate import Frigate, message, picture, serving, write_detector
from support.workshop import Workshop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a detector that is served."""
    workshop = Workshop(tmp_path_factory.mktemp("frigate"))
    bundle = workshop.seal(write_detector(workshop.folder / "detector.onnx"))
    path = workshop.folder / "d.sock"
    with workshop.open(bundle) as session, serving(session, f"ipc://{path}"):
        yield path


@pytest.fixture
def frigate(made: Path) -> Iterator[Frigate]:
    """Somebody who is connected."""
    client = Frigate(f"ipc://{made}")
    yield client
    # Whatever was said, the next one is answered.
    other = Frigate(f"ipc://{made}")
    assert other.detect(picture()).any()
    other.close()
    client.close()


HEADER = {"shape": [1, 3, 64, 64], "dtype": "float32", "model_type": "yologeneric"}
BYTES = picture().tobytes()
NONSENSE = [
    [b""],
    [b"\xff\xfe", BYTES],
    [b"[" * 60_000, BYTES],
    [b" " * 60_000, BYTES],
    [b'{"shape": 1, "shape": 2}', BYTES],
    message([1, 2]),
    message(HEADER),
    message(HEADER, BYTES[:-1]),
    message(HEADER, BYTES, BYTES),
    message(HEADER, *[b""] * 5_000),
    message(HEADER | {"dtype": "O"}, BYTES),
    message(HEADER | {"dtype": "float32, (1000000000,)"}, b""),
    message(HEADER | {"shape": [2**62, 2**62, 0]}, b""),
    message(HEADER | {"shape": [-1, 3, 64, 64]}, BYTES),
    message(HEADER | {"shape": [True, 3, 64, 64]}, BYTES),
    message(HEADER | {"shape": [3.0, 64, 64]}, BYTES),
    message(HEADER | {"shape": [1] * 100}, b"1234"),
    message(HEADER | {"shape": [49152], "dtype": "uint8"}, BYTES),
    message(HEADER | {"model_type": {"yolox": 1}}, BYTES),
    message(HEADER | {"model_type": "../yolox"}, BYTES),
    message({"model_type": "yolox"}, BYTES),
]


def test_nonsense_is_answered_with_a_fault_and_ends_nothing(frigate: Frigate) -> None:
    for parts in NONSENSE:
        (answer,) = frigate.ask(*parts)
        assert json.loads(answer)["error"].endswith("Error")
    assert frigate.detect(picture()).any()


def test_a_picture_that_breaks_the_contract_does_not_run(frigate: Frigate) -> None:
    for broken, dtype in ((picture() * np.nan, "float32"), (np.zeros((1, 3, 64, 64), np.uint8), "uint8")):
        (answer,) = frigate.ask(*message(HEADER | {"dtype": dtype}, broken.tobytes()))
        assert json.loads(answer) == {"error": "InputError"}


def test_a_header_has_bounds_of_its_own() -> None:
    with pytest.raises(MalformedError, match="more than 65536 bytes"):
        parse([json.dumps(HEADER).encode() + b" " * 65_537, BYTES])


def test_a_model_that_is_sent_is_neither_kept_nor_run(frigate: Frigate, made: Path) -> None:
    before = sorted(made.parent.iterdir()), frigate.detect(picture()).tolist()
    (answer,) = frigate.ask(
        *message({"model_data": True, "model_name": "../detector.onnx"}, b"another model")
    )
    assert json.loads(answer) == {"model_saved": False, "model_loaded": False}
    assert (sorted(made.parent.iterdir()), frigate.detect(picture()).tolist()) == before


def test_what_is_larger_than_any_picture_is_not_even_received(frigate: Frigate, made: Path) -> None:
    large = Frigate(f"ipc://{made}", timeout=0.3)
    with pytest.raises(zmq.Again):
        large.ask(*message(HEADER, bytes(2**20)))
    large.close()


def test_what_is_asked_without_end_is_not_kept(tmp_path: Path) -> None:
    """Pictures are megabytes, and ZeroMQ would keep a thousand of them."""
    workshop = Workshop(tmp_path)
    bundle = workshop.seal(write_detector(tmp_path / "detector.onnx"))
    address = f"ipc://{tmp_path}/d.sock"
    with (
        workshop.open(bundle) as session,
        FrigateServer(session, endpoint_of(address)),
        zmq.Context() as context,
    ):
        with context.socket(zmq.DEALER) as stranger:
            stranger.setsockopt(zmq.SNDHWM, 1)
            stranger.setsockopt(zmq.SNDTIMEO, 200)
            stranger.setsockopt(zmq.LINGER, 0)
            stranger.connect(address)
            sent = 0
            with contextlib.suppress(zmq.Again):
                while sent < 500:
                    stranger.send_multipart([b"", *message(HEADER, BYTES)])
                    sent += 1
        assert 1 < sent < 60


def test_the_log_is_not_filled(frigate: Frigate, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(50):
        frigate.ask(*message(HEADER | {"model_type": f"{number} of many"}, BYTES))
        frigate.ask(*message(HEADER | {str(number): 1, "dtype": str(number)}, BYTES))
    assert len(caplog.records) <= 2


def test_bytes_that_are_no_zeromq_end_nothing(frigate: Frigate, made: Path) -> None:
    import socket

    greeting = b"\xff" + struct.pack(">Q", 1) + b"\x7f\x03\x00NULL" + bytes(48)
    # Of what is no greeting, ZeroMQ makes messages of its oldest form, without the envelope of a question.
    random = Random(0)
    noises = [random.randbytes(4096) for _ in range(20)]
    for noise in (b"GET / HTTP/1.1\r\n\r\n", greeting + b"\x02" + struct.pack(">Q", 2**62), *noises):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(made))
            stranger.sendall(noise)
        with closing(Frigate(f"ipc://{made}", timeout=5)) as next_one:
            assert next_one.detect(picture()).any()


def test_the_socket_is_this_accounts_alone(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "address",
    ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.168.1.2:5555", "tcp://[::]:5555", "tcp://localhost:5555",
     "tcp://eth0:5555", "tcp://127.0.0.1:0x15", "tcp://127.0.0.1:65536", "tcp://127.0.0.1", "tcp://127.0.0.1:5555;127.0.0.1:1",
     "ipc://@detector", "ipc://d.sock", "ipc://", "ipc:///" + 120 * "x", "inproc://d", "ws://127.0.0.1:1", "pgm://1"],
)  # fmt: skip
def test_nobody_is_let_in_by_mistake(address: str) -> None:
    with pytest.raises(UsageError):
        endpoint_of(address)


def test_the_network_is_opened_by_a_word_of_its_own() -> None:
    assert endpoint_of("tcp://0.0.0.0:5555", unsafe_network=True).path is None
    assert endpoint_of("tcp://127.0.0.1:5555").path is None
    assert endpoint_of("tcp://[::1]:5555").path is None


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    """ZeroMQ unlinks what it finds: a slip of the hand would cost the model."""
    path = tmp_path / "model.keep"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="no socket"), taken(endpoint_of(f"ipc://{path}")):
        pass
    assert path.read_bytes() == b"precious"


def test_a_second_server_does_not_take_the_first_ones_socket(made: Path, frigate: Frigate) -> None:
    before = made.stat().st_ino
    with pytest.raises(UnavailableError, match="another server"), taken(endpoint_of(f"ipc://{made}")):
        pass
    assert made.stat().st_ino == before


def test_a_folder_in_which_others_could_put_their_socket_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    endpoint = endpoint_of(f"ipc://{tmp_path}/d.sock")
    with pytest.raises(StorageError, match="get the pictures"), taken(endpoint):
        pass
    tmp_path.chmod(0o1777)
    with taken(endpoint):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_of_another_account_is_refused(tmp_path: Path, mode: int) -> None:
    os.chown(tmp_path, 65534, 65534)
    tmp_path.chmod(mode)
    with (
        pytest.raises(StorageError, match="get the pictures"),
        taken(endpoint_of(f"ipc://{tmp_path}/d.sock")),
    ):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d.sock.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError), taken(endpoint_of(f"ipc://{tmp_path}/d.sock")):
        pass
    assert not (tmp_path / "elsewhere").exists()
