"""What GGUF files say of the prompts they take."""

from __future__ import annotations

import struct

import pytest

from modelkeep.contract import DEFAULT_MAXIMUM_BYTES, Contract, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.gguf import read_contract, read_facts, read_parts
from modelkeep.formats.shards import gguf_parts
from support.gguf_files import gguf_file, language_model


def test_a_prompt_fits_the_context() -> None:
    assert read_contract(memoryview(language_model())) == Contract(
        (
            TensorContract("prompt", "string", None, maximum_bytes=8 * 3),
            TensorContract("max_tokens", "int64", None, minimum=1, maximum=8, maximum_bytes=8, optional=True),
        )
    )


def test_without_tokens_the_usual_limit_holds() -> None:
    model = gguf_file({"general.architecture": "x", "x.context_length": 8})
    assert read_contract(memoryview(model)).inputs[0].maximum_bytes == DEFAULT_MAXIMUM_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGML",
        gguf_file({}),
        gguf_file({}, version=1),
        gguf_file({"general.architecture": "x", "x.context_length": 0}),
        gguf_file({"general.architecture": "x", "x.context_length": "8"}),
        gguf_file({"a": 1}) + b"",
        gguf_file({"a": 1})[:-1],
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**40),
        b"GGUF" + struct.pack("<IQQQcI", 3, 0, 1, 1, b"k", 99),
        b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"k", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"k", 9, 4, 2**62),
        language_model().replace(b"llama.rope", b"general.ro"[:10])[:-3],
    ],
)
def test_what_is_cut_off_or_says_nothing_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_contract(memoryview(data))


def test_a_key_given_twice_is_malformed() -> None:
    twice = bytearray(gguf_file({"aaaa": 1, "aaab": 2}))
    twice[twice.index(b"aaab") + 3] = ord("a")
    with pytest.raises(MalformedError, match="more than once"):
        read_facts(memoryview(twice))


def test_split_models_are_found_by_their_names() -> None:
    assert read_parts(memoryview(language_model())) == 1
    assert read_parts(memoryview(language_model(**{"split.count": 3}))) == 3
    assert gguf_parts("m.gguf", 1) == ("m.gguf",)
    assert gguf_parts("d/m-00001-of-00002.gguf", 2) == ("d/m-00001-of-00002.gguf", "d/m-00002-of-00002.gguf")
    for name in ("m.gguf", "m-00002-of-00002.gguf", "m-00001-of-00003.gguf"):
        with pytest.raises(UsageError, match="not named as the first"):
            gguf_parts(name, 2)
