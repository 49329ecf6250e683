import pytest

from modelkeep.errors import MalformedError, UsageError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.secret import SECRET_BYTES, is_device_id, pack, unpack


def packed(device_id: str) -> bytearray:
    secret = bytearray(SECRET_BYTES)
    with DataKey.from_buffer(bytearray(range(32))) as key:
        pack(secret, key, device_id)
    return secret


def test_layout_is_key_length_id_and_zeros() -> None:
    assert packed("pi-17") == bytes(range(32)) + b"\x05pi-17" + bytes(66)


@pytest.mark.parametrize("device_id", ["", "a", "pi-17", "A.b_c-9", "x" * 64])
def test_unpack_returns_what_was_packed(device_id: str) -> None:
    key, found = unpack(packed(device_id))
    with key:
        assert bytes(key.view) == bytes(range(32))
        assert found == device_id


@pytest.mark.parametrize("device_id", ["x" * 65, "a b", "a/b", "pi\n", "pi\x00", "ä", "٣"])
def test_pack_refuses_what_is_no_device_id(device_id: str) -> None:
    assert not is_device_id(device_id)
    with pytest.raises(UsageError, match="not a device id"):
        packed(device_id)


@pytest.mark.parametrize("position", [32 + 6, 32 + 40, SECRET_BYTES - 1])
def test_padding_must_be_zero(position: int) -> None:
    secret = packed("pi-17")
    secret[position] = 1
    with pytest.raises(MalformedError, match="padding"):
        unpack(secret)


@pytest.mark.parametrize("name", [b"a b", b"a\x00b", b"\xff", b"\n"])
def test_unpack_refuses_illegal_device_ids(name: bytes) -> None:
    secret = packed("")
    secret[32] = len(name)
    secret[33 : 33 + len(name)] = name
    with pytest.raises(MalformedError, match="characters"):
        unpack(secret)


@pytest.mark.parametrize("length", [65, 71, 255])
def test_unpack_refuses_lengths_beyond_the_longest_id(length: int) -> None:
    secret = packed("x" * 64)
    secret[32] = length
    with pytest.raises(MalformedError, match="too long"):
        unpack(secret)


@pytest.mark.parametrize("size", [0, 32, 103, 105])
def test_unpack_refuses_other_sizes(size: int) -> None:
    with pytest.raises(MalformedError):
        unpack(bytearray(size))
