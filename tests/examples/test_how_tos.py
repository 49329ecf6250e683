"""Pages of commands work as they are printed: every block of shell of a page, one line after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support import softhsm
from support.command_line import CommandLine
from support.workshop import scale_model

DOCS = Path(__file__).parents[2] / "docs"
# With what is tested elsewhere: clock.md below, softhsm.md where there is a token.
PLAIN = ("how-to/read-only.md", "how-to/no-aes.md", "how-to/migrate.md", "ceremony.md", "cryptography.md")
# What a page makes, and the desk has already.
MADE = {"ceremony.md": ("publisher.pem", "admin.pem", "pi-18.pem"), "cryptography.md": ("pi-17.pem",)}
TESTED = {
    *PLAIN, "how-to/clock.md", "how-to/softhsm.md", "how-to/without-modelkeep.md", "how-to/README.md",
}  # fmt: skip


def lines(page: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        yield from block.replace("\\\n", " ").strip().splitlines()


def follow(shop: CommandLine, page: str) -> None:
    """Runs a page, its lines of modelkeep here, what only a shell can do in one."""
    for line in lines(page):
        plain = line.partition("  #")[0].strip()
        if plain.startswith("export "):
            _set(plain)
        elif plain.startswith("modelkeep ") and "$(" not in plain:
            shop.ok(plain)
        else:
            _in_a_shell(plain)


def _set(line: str) -> None:
    for name, value in re.findall(r"(\w+)=\"?([^\" ]+)\"?", line):
        os.environ[name] = value.replace("$PWD", os.getcwd())  # noqa: PTH109 - as the shell does


def _in_a_shell(line: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", line], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.fixture
def desk(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A folder as the tutorial leaves it; what a page sets is unset afterwards."""
    for name in ("MODELKEEP_STATE", "SOFTHSM2_CONF", "MODELKEEP_PKCS11_PIN"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return shop


@pytest.mark.parametrize("page", PLAIN)
def test_a_page_works_as_printed(desk: CommandLine, page: str) -> None:
    for source in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)[:1]:
        exec(source, {})
    for name in MADE.get(page, ()):
        (desk.folder / name).unlink()
    (desk.folder / "model.keep").unlink()
    follow(desk, page)


def test_the_tour_of_the_readme(command: CommandLine) -> None:
    (command.folder / "model.onnx").write_bytes(scale_model(2.0, 4))
    np.save(command.folder / "x.npy", np.ones((1, 4), np.float32))
    tour = [line for line in lines("../README.md") if line.startswith("modelkeep ")]
    assert {line.split()[1] for line in tour} >= {"keys", "seal", "verify", "grant", "run", "install"}
    for line in tour:
        # The input of this model has another name than the one on the page.
        command.ok(line.partition("  #")[0].partition(" # ")[0].replace("image=x.npy", "x=x.npy"))


def test_a_clock_that_was_wrong(desk: CommandLine) -> None:
    desk.ok("modelkeep keys create --kind root root.pem > root.pub")
    desk.ok("modelkeep trust create -o trust.json --expires +3000d --publisher publisher.pub=*")
    desk.ok("modelkeep trust sign trust.json -s root.pem --yes")
    trust = "-k file:pi-17.pem -t trust.json --trust-root root.pub"
    desk.ok(
        "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o leased.keep --not-after +90d --epoch 2"
    )
    known = TrustFile.from_bytes(Path("trust.json").read_bytes(), [Path("root.pub").read_bytes()])
    ahead = time.time() + 5 * 365 * 86_400
    verifier = Verifier.from_trust_file(known, model="model", clock=lambda: ahead)
    install("model.keep", "installed.keep", identity="file:pi-17.pem", verifier=verifier)
    run = f"modelkeep run leased.keep {trust} -i x=x.npy"
    assert "the grant expired on" in desk.shell(run).err
    shown = desk.ok("modelkeep state show -k file:pi-17.pem --json").json
    digests = {"DEVICE": shown["device"], "GENERATION": shown["generation"]}
    for line in lines("how-to/clock.md"):
        desk.ok(re.sub("|".join(digests), lambda found: digests[found[0]], line))
    assert "the grant expired on" not in desk.shell(run).err


@pytest.mark.slow
def test_a_token_in_continuous_integration(desk: CommandLine) -> None:
    softhsm.module()
    # A process of its own: the library reads its settings once.
    _in_a_shell("\n".join(lines("how-to/softhsm.md")))


@pytest.mark.slow
def test_a_bundle_without_modelkeep(desk: CommandLine) -> None:
    # What is installed is what is tested.
    _in_a_shell("\n".join(line for line in lines("how-to/without-modelkeep.md") if "pip " not in line))
    assert Path("opened-1").read_bytes() == Path("model.onnx").read_bytes()


def test_every_page_is_tried() -> None:
    assert {f"how-to/{path.name}" for path in (DOCS / "how-to").glob("*.md")} <= TESTED
