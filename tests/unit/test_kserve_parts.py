"""What of KServe's protocols needs no KServe: rows, and how much of a request is read."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError
from modelkeep.integrations.kserve.bodies import Bounded, Message, largest_body
from modelkeep.integrations.kserve.rows import answer_of, inputs_of

ONE = Contract((TensorContract("x", "float32", (None, 2), maximum_bytes=800),))
TWO = Contract((*ONE.inputs, TensorContract("n", "uint8", (3,))))


def test_rows_are_those_of_the_only_input_or_name_all() -> None:
    assert inputs_of({"instances": [[1, 2]]}, ONE)["x"].tolist() == [[1, 2]]
    rows = [{"x": [1, 2], "n": 3}, {"x": [4, 5], "n": 6}]
    assert {name: value.tolist() for name, value in inputs_of({"instances": rows}, TWO).items()} == {
        "x": [[1, 2], [4, 5]],
        "n": [3, 6],
    }


@pytest.mark.parametrize(
    "payload",
    [b"", None, [], {}, {"instances": []}, {"instances": {}}, {"instances": "abc"}, {"instances": 1},
     {"inputs": [[1, 2]]}, {"instances": [[1, 2]], "signature_name": "evil"}, {"instances": [{"x": 1}, [2]]},
     {"instances": [{"x": 1}, {"y": 1}]}, {"instances": [[1], [1, 2]]}, {"instances": ["1"]}],
)  # fmt: skip
def test_what_is_no_request_is_refused(payload: object) -> None:
    with pytest.raises(UsageError):
        inputs_of(payload, ONE)


def test_answers_are_rows_and_say_nothing_that_is_not_so() -> None:
    a, b = np.ones((2, 1), np.float32), np.array(["p", "q"], object)
    assert answer_of({"a": a}) == {"predictions": [[1], [1]]}
    assert answer_of({"a": a, "b": b}) == {"predictions": [{"a": [1], "b": "p"}, {"a": [1], "b": "q"}]}
    outputs: list[dict[str, Any]] = [{"a": a * np.nan}, {"a": a * 1j}, {"a": [a]}, {"a": a, "b": b[:1]}]
    for wrong in outputs:
        with pytest.raises(UsageError):
            answer_of(wrong)


def test_a_request_is_as_large_as_the_contract_lets_inputs_be() -> None:
    assert largest_body(ONE, 2**30) == 2**16 + 200 * (32 + 1)
    assert largest_body(TWO, 2**30) == 2**16 + 200 * (32 + 1) + 3 * (32 + 1)
    assert (largest_body(ONE, 1000), largest_body(None, 1000)) == (1000, 1000)


def ask(most: int, *pieces: bytes, gone: bool = False) -> tuple[list[Message], list[bytes]]:
    """Returns what is answered, and which bodies reach the application."""
    messages: list[Message] = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""})
    said: list[Message] = []
    reached: list[bytes] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        said.append(message)

    async def application(_scope: Message, receive: Any, _send: Any) -> None:
        reached.append((await receive())["body"])

    asyncio.run(Bounded(application, most)({"type": "http"}, receive, send))
    return said, reached


def test_no_more_of_a_request_is_read_than_it_may_have() -> None:
    assert ask(4, b"ab", b"cd") == ([], [b"abcd"])
    said, reached = ask(4, b"ab", b"cde", *[b"never read"] * 9)
    assert (said[0]["status"], reached) == (413, [])


def test_a_request_that_breaks_off_is_none() -> None:
    assert ask(4, b"ab", gone=True)[1] == []
