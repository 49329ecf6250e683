"""Signed digests of files and images."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.verity import dm_verity, fs_verity
from modelkeep.verity.statement import Image, VerityStatement
from support.command_line import CommandLine

UUID_ONE = UUID("8f6a8b4e-0c43-4d5a-9b1c-2a1f3e4d5c6b")
STATEMENT = VerityStatement(4096, bytes(32), Image(b"\1" * 32, b"salt", UUID_ONE))


def test_statements_come_back_as_they_were() -> None:
    for statement in (STATEMENT, VerityStatement(0, bytes(32), None)):
        assert VerityStatement.from_bytes(statement.to_bytes()) == statement


@pytest.mark.parametrize(
    "image",
    [{"salt": "0"}, {"salt": "AB"}, {"uuid": "x"}, {"uuid": UUID_ONE.hex}, {"root_hash": "00"}, {"x": 1}],
)
def test_statements_have_one_form(image: dict[str, Any]) -> None:
    document = canonical.decode(STATEMENT.to_bytes(), "statement")
    with pytest.raises(MalformedError):
        VerityStatement.from_bytes(canonical.encode(document | {"dm_verity": document["dm_verity"] | image}))
    for other in ({"format": "x"}, {"size": -1}, {"fs_verity": "00"}):
        with pytest.raises(MalformedError):
            VerityStatement.from_bytes(canonical.encode(document | other))
    with pytest.raises(UnsupportedVersionError):
        VerityStatement.from_bytes(canonical.encode(document | {"version": 2}))


@pytest.mark.parametrize("size", [0, 1, 4095, 4097])
def test_images_have_whole_blocks(size: int) -> None:
    with pytest.raises(UsageError, match="whole blocks"):
        dm_verity.build(io.BytesIO(bytes(size)), size, b"", UUID_ONE)


def test_salts_have_an_end() -> None:
    with pytest.raises(UsageError, match="salt"):
        dm_verity.build(io.BytesIO(bytes(4096)), 4096, bytes(257), UUID_ONE)


def test_files_that_the_kernel_does_not_check_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as file:
        assert fs_verity.measured(file.fileno()) is None


def test_a_bundle_is_signed_and_checked(shop: CommandLine) -> None:
    made = shop.ok("modelkeep verity format model.keep -s publisher.pem")
    assert "fs_verity  sha256:" in made.out
    checked = shop.ok("modelkeep verity verify model.keep -t publisher.pub")
    assert "ok: model.keep" in checked.err
    assert shop.shell("modelkeep verity format model.keep -s publisher.pem").code == 2
    shop.ok("modelkeep verity format model.keep -s publisher.pem -f")


def test_files_that_are_not_those_that_were_signed_are_refused(shop: CommandLine) -> None:
    shop.ok("modelkeep verity format model.keep -s publisher.pem")
    verify = "modelkeep verity verify model.keep -t publisher.pub"
    bundle, good = shop.folder / "model.keep", (shop.folder / "model.keep").read_bytes()
    for bad in (good + b"\0", good[:-1], good[:-1] + bytes([good[-1] ^ 1])):
        bundle.write_bytes(bad)
        assert shop.shell(verify).code == 3
    bundle.write_bytes(good)
    shop.ok("modelkeep keys create other.pem --kind signing > other.pub")
    assert shop.shell("modelkeep verity verify model.keep -t other.pub").code == 3
    statement = shop.folder / "model.keep.verity.json"
    document = json.loads(statement.read_text())
    statement.write_bytes(canonical.encode(document | {"signature": ""}))
    assert shop.shell(verify).code == 3
    statement.write_bytes(b"{}")
    assert shop.shell(verify).code == 5
    statement.unlink()
    assert shop.shell(verify).code == 6


def test_salts_and_names_can_be_chosen(shop: CommandLine) -> None:
    (shop.folder / "image").write_bytes(bytes(8192))
    line = f"modelkeep verity format image -s publisher.pem -f --json --salt aabb --uuid {UUID_ONE}"
    assert shop.ok(line).json == shop.ok(line).json
    assert shop.ok(line).json["salt"] == "aabb"
    assert shop.shell(f"{line} --salt x").code == 2
    assert shop.shell(f"{line} --uuid x").code == 2
