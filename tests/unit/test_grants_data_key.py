import hashlib
import hmac
import pickle

import pytest

from modelkeep.errors import MalformedError, TamperedError, UsageError
from modelkeep.grants.data_key import DataKey
from modelkeep.memory.randomness import fill_random

HERE = (bytes(range(32)),)


def hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of output and no salt, from HMAC alone."""
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")


@pytest.fixture
def raw() -> bytearray:
    return bytearray(hashlib.sha256(b"data key").digest())


def test_commitment_and_payload_key_are_hkdf_with_their_labels(raw: bytearray) -> None:
    with DataKey.from_buffer(raw) as key, key.payload_key() as payload:
        assert key.commitment(*HERE) == hkdf(bytes(raw), b"modelkeep/v1/commit" + HERE[0])
        assert bytes(payload.view) == hkdf(bytes(raw), b"modelkeep/v1/payload")


def test_own_commitment_passes_and_any_other_is_refused(raw: bytearray) -> None:
    with DataKey.from_buffer(raw) as key, DataKey.generate() as other:
        key.check_commitment(key.commitment(*HERE), *HERE)
        for wrong in (other.commitment(*HERE), key.commitment(*HERE)[:-1], b""):
            with pytest.raises(TamperedError, match="another data key"):
                key.check_commitment(wrong, *HERE)


def test_a_commitment_holds_for_one_release(raw: bytearray) -> None:
    with DataKey.from_buffer(raw) as key, pytest.raises(TamperedError, match="another data key"):
        key.check_commitment(key.commitment(*HERE), bytes(32))


def test_from_buffer_copies(raw: bytearray) -> None:
    with DataKey.from_buffer(raw) as key:
        before = key.commitment(*HERE)
        raw[:] = bytes(32)
        assert key.commitment(*HERE) == before


@pytest.mark.parametrize("size", [0, 31, 33])
def test_from_buffer_refuses_other_lengths(size: int) -> None:
    with pytest.raises(MalformedError):
        DataKey.from_buffer(bytearray(size))


def test_close_wipes(raw: bytearray) -> None:
    key = DataKey.from_buffer(raw)
    view = key.view
    key.close()
    assert bytes(view) == bytes(32)
    with pytest.raises(UsageError):
        key.commitment(*HERE)


def test_generated_keys_differ_and_are_full() -> None:
    with DataKey.generate() as first, DataKey.generate() as second:
        assert bytes(first.view) != bytes(second.view)
        assert len(first.view) == 32


def test_fill_random_leaves_no_byte_out() -> None:
    buffers = [bytearray(32) for _ in range(64)]
    for buffer in buffers:
        fill_random(memoryview(buffer))
    assert all(any(buffer[position] for buffer in buffers) for position in range(32))


def test_key_shows_nowhere(raw: bytearray) -> None:
    with DataKey.from_buffer(raw) as key:
        assert repr(key) == str(key) == "DataKey(hidden)"
        with pytest.raises(TypeError):
            pickle.dumps(key)
