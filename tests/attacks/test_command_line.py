"""Slips, and somebody who counts on them: unset variables, pipes for files, keys put to other uses."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import modelkeep as mk
from support.command_line import CommandLine

SOURCES = Path(mk.__file__).parent
# Who opens files in a way of its own, and why that is no file that somebody names, or waits on purpose.
OPENERS = {
    "storage.py": "the place",
    "partial.py": "what is being written",
    "kept_file.py": "what is being written",
    "private_file.py": "keys: not blocking, regular, small",
    "device/state_lock.py": "locks",
    "guard_report/state.py": "a report's own state",
    "container/archive.py": "not blocking, regular",
    "container/folder.py": "not blocking, regular, below a folder",
    "extraction.py": "new files below a folder",
    "passphrase_source.py": "pipes are welcome",
    "keys/tpm2/device.py": "a device",
    "memory/randomness.py": "the kernel's generator",
    "inputs.py": "this process's own memory",
    "cli/output.py": "/dev/null",
    "memory/system.py": "/proc",
    "probes/system.py": "/proc and /sys",
    "updates/trial_notes.py": "/proc",
    "granter/mailbox.py": "not blocking, regular, in a folder that is open",
    "granter/state.py": "a folder of its own, which it locks",
    "updates/client/service.py": "locks",
    "integrations/frigate/endpoint.py": "locks",
    "registrations.py": "packages in the folders that code is imported from",
}


def opens(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(node, ast.Call):
            continue
        words = ast.unparse(node.func)
        modes = {each.value for each in node.args if isinstance(each, ast.Constant)}
        by_path = words.endswith(".open") and words != "archive.open" and modes & {"rb", "r+b", "r", "w"}
        if by_path or words in ("os.open", "open") or words.endswith((".read_bytes", ".read_text")):
            return True
    return False


def test_files_that_somebody_names_are_opened_in_one_place() -> None:
    found = {path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py") if opens(path)}
    # An isolated process opens places of the kernel and of its own, and no file that somebody names.
    assert not {name for name in found - OPENERS.keys() if not name.startswith("isolation/")}


@pytest.mark.parametrize(
    "line",
    [
        "run model.keep -k file:pi-17.pem -t publisher.pub -i x=pipe",
        "learn pipe --model model.onnx --input x -o guard.json",
        "learn x.npy --input x --model pipe -o guard.json",
        "sign pipe -s plain.pem -o pipe.sig",
        "verity format pipe -s publisher.pem",
        "verify pipe --signature x.npy -t publisher.pub",
        "grant model.keep -k file:admin.pem -t publisher.pub --recipients pipe -o grants",
        "import pipe --old-key old --name model.onnx --unsafe-unverified -s publisher.pem -o new.keep",
        "seal pipe -s publisher.pem -r pi-17.pub -o new.keep",
        "seal model.onnx -s pipe -r pi-17.pub -o new.keep",
        "run pipe -k file:pi-17.pem -t publisher.pub",
        "inspect pipe",
        "keys delete pipe --yes",
        "trust show pipe",
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(shop: CommandLine, line: str) -> None:
    os.mkfifo("pipe")
    (shop.folder / "old").write_bytes(bytes(32))
    (shop.folder / "old").chmod(0o600)
    if "plain.pem" in line:
        shop.ok("modelkeep keys create --kind plain plain.pem")
    refused = shop.shell(f"modelkeep {line}")
    assert refused.code in (2, 5, 6), refused.err
    assert "regular file" in refused.err


@pytest.mark.parametrize("name", ["/proc/self/status", "/proc/meminfo"])
def test_what_the_kernel_makes_is_not_sealed_as_nothing(shop: CommandLine, name: str) -> None:
    refused = shop.shell(f"modelkeep seal {name} -s publisher.pem -r pi-17.pub --format files -o new.keep")
    assert (refused.code, "made by the kernel" in refused.err) == (6, True)
    assert not (shop.folder / "new.keep").exists()


@pytest.mark.parametrize(
    "line",
    [
        "seal '' -s publisher.pem -r pi-17.pub -o new.keep",
        "seal model.onnx -s publisher.pem -r '' -o new.keep",
        "run '' -k file:pi-17.pem -t publisher.pub -i x=x.npy",
        "verify '' -t publisher.pub",
        "verify model.keep -t ''",
        "extract model.keep -k file:pi-17.pem -t publisher.pub --any-model --unsafe-plaintext -o ''",
        "keys delete '' --yes",
        "keys list ''",
    ],
)
def test_nothing_is_not_the_working_directory(shop: CommandLine, line: str) -> None:
    refused = shop.shell(f"modelkeep {line}")
    assert (refused.code, "is empty" in refused.err) == (2, True)


def test_nothing_is_not_the_working_directory_in_python(shop: CommandLine) -> None:
    verifier = mk.Verifier("publisher.pub", model=mk.UnsafeAnyModel())
    with pytest.raises(mk.UsageError, match="is empty"):
        mk.seal("", model="model", to="pi-17.pub", signer="publisher.pem")
    with pytest.raises(mk.UsageError, match="is empty"):
        mk.open("", identity="file:pi-17.pem", verifier=verifier)
    with pytest.raises(mk.UsageError, match="is empty"):
        mk.seal("model.onnx", model="model", to="pi-17.pub", signer="publisher.pem").save("")


@pytest.mark.parametrize("content", ["a dear note\n", "-----BEGIN PRIVATE KEY-----\nof a web server\n"])
def test_only_keys_that_were_made_here_are_deleted(shop: CommandLine, content: str) -> None:
    note = shop.folder / "note.txt"
    note.write_text(content)
    note.chmod(0o600)
    refused = shop.shell("modelkeep keys delete note.txt --yes")
    assert (refused.code, "not a key that modelkeep made" in refused.err) == (6, True)
    assert note.read_text() == content
    for key in ("pi-18.pem", "stranger.pem"):
        shop.ok(f"modelkeep keys delete {key} --yes")
        assert not (shop.folder / key).exists()


def test_a_second_key_in_a_file_is_not_passed_over(shop: CommandLine) -> None:
    both = (shop.folder / "stranger.pub").read_text() + (shop.folder / "publisher.pub").read_text()
    (shop.folder / "both.pub").write_text(both)
    refused = shop.shell("modelkeep verify model.keep -t both.pub")
    assert (refused.code, "holds 2 keys" in refused.err) == (2, True)
    with pytest.raises(mk.UsageError, match="more than one key"):
        mk.Verifier("both.pub", model=mk.UnsafeAnyModel())


def test_a_threshold_without_roots_is_not_passed_over(shop: CommandLine) -> None:
    shop.ok("modelkeep trust create -o trust.json --expires +365d --publisher publisher.pub=acme/*")
    for line in ("verify model.keep -t publisher.pub", "trust show trust.json"):
        refused = shop.shell(f"modelkeep {line} --trust-threshold 2")
        assert (refused.code, "--trust-threshold says how many" in refused.err) == (2, True)


# What each way to check says nothing about.
PASSED_OVER = (
    "model.keep -t publisher.pub --subject CN=acme",
    "model.keep --unsafe-unsigned --subject CN=acme",
    "model.keep -t publisher.pub --trust-root publisher.pub --subject CN=acme",
    "model.keep -t publisher.pub --identity a@acme.example",
    "model.keep -t publisher.pub --ignore x",
    "x.npy --signature x.sig -t plain.pub --subject CN=acme",
    "x.npy --signature x.sig -t plain.pub -k pi-17.pem",
    "x.npy --signature x.sig -t plain.pub --trust-root publisher.pub",
    ". --signature model.sig -t publisher.pub -k pi-17.pem",
    ". --signature model.sig -t publisher.pub --minimum-epoch 2",
    ". --signature model.sig -t publisher.pub --maximum-age 0",
    ". --signature model.sig --identity a@acme.example --issuer i --sigstore-root r --model-id acme/detector",
    "model.onnx --apple --team ABCDEFGHIJ --second-trust publisher.pub",
)


def test_a_limit_that_would_count_for_nothing_is_not_passed_over(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind plain plain.pem > plain.pub")
    shop.ok("modelkeep sign x.npy -s plain.pem -o x.sig")
    shop.ok("modelkeep verify x.npy --signature x.sig -t plain.pub")
    for line in PASSED_OVER:
        refused = shop.shell(f"modelkeep verify {line}")
        assert (refused.code, refused.out) == (2, ""), line
        assert "says nothing about" in refused.err or "whose certificate counts" in refused.err, line


def test_a_publisher_does_not_sign_who_is_a_publisher(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind root root.pem > root.pub")
    shop.ok("modelkeep trust create -o trust.json --expires +365d --publisher publisher.pub=acme/*")
    refused = shop.shell("modelkeep trust sign trust.json -s publisher.pem --yes")
    assert (refused.code, "this key signs bundles" in refused.err) == (2, True)
    # A key in hardware does not say for what it was made; the file says that it is a publisher's.
    unmarked = (shop.folder / "publisher.pem").read_text().partition("\n")[2]
    (shop.folder / "publisher.pem").write_text(unmarked)
    refused = shop.shell("modelkeep trust sign trust.json -s publisher.pem --yes")
    assert (refused.code, "is a publisher of this file" in refused.err) == (2, True)
    refused = shop.shell("modelkeep seal model.onnx -s root.pem -r pi-17.pub -o new.keep")
    assert (refused.code, "this key signs trust files" in refused.err) == (2, True)
    shop.ok("modelkeep trust sign trust.json -s root.pem --yes")
