"""The kernel's tools and ours agree: veritysetup and fsverity, byte for byte."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from modelkeep.verity import dm_verity, fs_verity
from support.command_line import CommandLine
from support.needs import require

BLOCK = 4096


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands, which are for administrators and so may not be on everybody's path."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/sbin:/usr/sbin")
    require("veritysetup", "cryptsetup-bin")
    require("fsverity")


def veritysetup_format(image: Path, tree: Path, salt: bytes, uuid: UUID) -> str:
    command = [
        "veritysetup",
        "format",
        str(image),
        str(tree),
        "--salt",
        salt.hex() or "-",
        "--uuid",
        str(uuid),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = [line for line in str(done.stdout).splitlines() if line.startswith("Root hash")]
    return line.split()[-1]


def veritysetup_verify(image: Path, tree: Path, root_hash: str) -> bool:
    command = ["veritysetup", "verify", str(image), str(tree), root_hash]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fsverity_digest(path: Path, salt: bytes = b"") -> str:
    option = ["--salt", salt.hex()] if salt else []
    done = subprocess.run(["fsverity", "digest", *option, path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0].removeprefix("sha256:")


@pytest.mark.parametrize(
    ("blocks", "salt"),
    [(blocks, bytes(range(32))) for blocks in (1, 2, 127, 128, 129, 16_384, 16_385)] + [(3, b""), (3, b"\7")],
)
def test_trees_are_those_of_veritysetup(tmp_path: Path, blocks: int, salt: bytes) -> None:
    data, uuid = (b"%8d" % blocks) * (BLOCK * blocks // 8), uuid4()
    (tmp_path / "image").write_bytes(data)
    root_hash = veritysetup_format(tmp_path / "image", tmp_path / "tree", salt, uuid)
    made = dm_verity.build(io.BytesIO(data), len(data), salt, uuid)
    assert made.root_hash.hex() == root_hash
    assert made.hash_area == (tmp_path / "tree").read_bytes()


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 128 * BLOCK, 128 * BLOCK + 1])
@pytest.mark.parametrize("salt", [b"", b"\1\2"])
def test_digests_are_those_of_fsverity(tmp_path: Path, size: int, salt: bytes) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert fs_verity.digest(io.BytesIO(data), size, salt).hex() == fsverity_digest(tmp_path / "file", salt)


def test_tools_accept_what_was_signed_and_refuse_what_was_changed(shop: CommandLine) -> None:
    image = shop.folder / "models.img"
    image.write_bytes(os.urandom(64 * BLOCK))
    made: Mapping[str, str] = shop.ok("modelkeep verity format models.img -s publisher.pem --json").json
    tree = shop.folder / "models.img.verity"
    assert veritysetup_verify(image, tree, made["root_hash"])
    assert made["fs_verity"] == f"sha256:{fsverity_digest(image)}"
    shop.ok("modelkeep verity verify models.img -t publisher.pub")
    for path in (image, tree):
        good = path.read_bytes()
        bad = bytearray(good)
        bad[-4000] ^= 1
        path.write_bytes(bad)
        assert shop.shell("modelkeep verity verify models.img -t publisher.pub").code == 3
        assert not veritysetup_verify(image, tree, made["root_hash"])
        path.write_bytes(good)
    shop.ok("modelkeep verity verify models.img -t publisher.pub")
