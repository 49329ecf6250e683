"""What docs/keys.md says to do when a key is lost, stolen or replaced, line by line, and what comes of it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from support.command_line import CommandLine
from support.swtpm import SoftwareTpm

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
ROOTS = "--trust-root root-1.pub --trust-root root-2.pub --trust-threshold 2"


def follow(shop: CommandLine, title: str, number: int = 0) -> None:
    """Runs the lines of the first block of commands after ``**title``, or of a later one."""
    text = PAGE.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text[text.index(f"**{title}") :], re.DOTALL)
    for line in blocks[number].replace("\\\n", " ").splitlines():
        shop.ok(line)


def code(shop: CommandLine, bundle: str, trust: str, key: str = "file:pi-17.pem") -> int:
    """Returns the exit code of running a bundle with a trust file."""
    return shop.shell(f"modelkeep run {bundle} -k {key} -t {trust} {ROOTS} -i x=x.npy").code


@pytest.fixture
def office(shop: CommandLine) -> CommandLine:
    """A shop with two roots and a first trust file, as documented."""
    for number in (1, 2):
        shop.ok(f"modelkeep keys create --kind root root-{number}.pem > root-{number}.pub")
    seal(shop, "model.keep")
    follow(shop, "The first one.")
    assert code(shop, "model.keep", "trust.json") == 0
    return shop


def seal(shop: CommandLine, target: str, key: str = "publisher.pem", epoch: int = 1) -> None:
    model = f"model.onnx --model-id model --family vision --epoch {epoch}"
    line = f"modelkeep seal {model} -r pi-17.pub -s {key} -o {target} -f"
    shop.ok(line)


def test_publisher_that_lost_its_key(office: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(office, "A publisher's key is lost.")
    assert [code(office, each, "trust-2.json") for each in ("model.keep", "model-2.keep")] == [0, 0]
    assert code(office, "model-2.keep", "trust.json") == 3
    later = time.time() + 60
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        seal(office, "late.keep")
    assert code(office, "late.keep", "trust-2.json") == 3


def test_publisher_whose_key_was_stolen(office: CommandLine) -> None:
    follow(office, "A publisher's key is lost.")
    install = f"modelkeep install model-2.keep -k file:pi-17.pem {ROOTS} --any-model -o installed.keep -f -t"
    office.ok(f"{install} trust-2.json")
    seal(office, "thief.keep")
    follow(office, "A publisher's key is stolen.")
    found = {
        each: code(office, each, "trust-3.json") for each in ("model.keep", "thief.keep", "model-2.keep")
    }
    assert found == {"model.keep": 3, "thief.keep": 3, "model-2.keep": 0}
    # The thief brings the file back in which the key still counted.
    for bundle in ("thief.keep", "installed.keep"):
        assert code(office, bundle, "trust-2.json") == 3
    assert office.shell(f"{install} trust-2.json").code == 3
    assert code(office, "installed.keep", "trust-3.json") == 0


def test_bundle_that_must_not_be_opened(office: CommandLine) -> None:
    follow(office, "A publisher's key is lost.")
    follow(office, "A publisher's key is stolen.")
    follow(office, "A bundle must not be opened any more")
    assert code(office, "model-2.keep", "trust-4.json") == 3
    seal(office, "other.keep", "publisher-2.pem", epoch=3)
    assert code(office, "other.keep", "trust-4.json") == 0


def test_root_that_is_replaced(office: CommandLine) -> None:
    for title in (
        "A publisher's key is lost.",
        "A publisher's key is stolen.",
        "A bundle must not be opened",
    ):
        follow(office, title)
    follow(office, "A root is lost or stolen.")
    run = "modelkeep run other.keep -k file:pi-17.pem --trust-root roots.json -i x=x.npy -t"
    seal(office, "other.keep", "publisher-2.pem", epoch=3)
    office.ok(f"{run} trust-5.json")
    follow(office, "A root is lost or stolen.", number=1)
    office.ok(f"{run} trust-6.json")
    follow(office, "One device went wrong")


def test_key_of_a_device_that_is_replaced(shop: CommandLine, tpm: SoftwareTpm) -> None:
    assert tpm.tcti
    lines = re.search(r"```sh\n(.*?)\n(.*?)```", section("A device's key is replaced."), re.DOTALL)
    assert lines is not None
    shop.ok(lines[1])
    run = "modelkeep run model.keep -k tpm2:pi-17.tpm -t publisher.pub -i x=x.npy"
    assert shop.shell(run).code == 4
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-17.pub")
    shop.ok(run)
    shop.ok(lines[2].strip())
    assert not (shop.folder / "pi-17.pem").exists()


def section(title: str) -> str:
    text = PAGE.read_text()
    return text[text.index(f"**{title}") :]


def test_device_that_is_replaced_and_another_that_is_stolen(shop: CommandLine) -> None:
    (shop.folder / "pi-18.pem").unlink()
    follow(shop, "A device is replaced, or broken.")
    run = "-t publisher.pub -i x=x.npy"
    shop.ok(f"modelkeep run model.keep -k file:pi-18.pem {run}")
    follow(shop, "A device is stolen.")
    assert shop.shell(f"modelkeep run model-3.keep -k file:pi-17.pem {run}").code == 4
    older = shop.shell(f"modelkeep run model.keep -k file:pi-18.pem {run} --minimum-epoch 3")
    assert older.code == 3
