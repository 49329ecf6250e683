"""Files in the wrong place: the message names the file, and says what it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from modelkeep import cli
from modelkeep.cli.shell_words import WORDS
from support.command_line import CommandLine, files

RUN = "modelkeep run model.keep -k file:pi-17.pem -t publisher.pub -i x=x.npy"
SEAL = "modelkeep seal model.onnx -r pi-17.pub -s publisher.pem -o new.keep"
# What nobody can follow at a shell.
PYTHON = re.compile(r"session\.|verifier$|\bpass \w+=|Identity\(|Verifier\(|in Python")
PEM = form.Encoding.PEM, form.PrivateFormat.PKCS8


MISTAKES = (
    ("modelkeep inspect hollow", "hollow: bundle: a folder is empty", "modelkeep seal wrote"),
    ("modelkeep inspect page.keep", "page.keep: bundle: not a", "a web page, not a model"),
    (RUN.replace("model.keep", "model.onnx"), "model.onnx: bundle: not a", "modelkeep seal model.onnx"),
    (RUN.replace("model.keep", "publisher.pub"), "publisher.pub: bundle: not a", "this is a public key"),
    ("modelkeep verify cut.keep -t publisher.pub", "cut.keep: bundle: the file ends", "fetch it again"),
    (
        "modelkeep verify damaged.keep -t publisher.pub",
        "damaged.keep: payload: segment 0",
        "fetch it again",
    ),
    (RUN.replace("pi-17.pem", "publisher.pub"), "publisher.pub: a public key, not a priv", "private key"),
    (RUN.replace("pi-17.pem", "pi-17.pub"), "pi-17.pub: a device's public line, not", "private key"),
    (RUN.replace("publisher.pub", "pi-17.pub"), "pi-17.pub: not a PEM public", "a device's public line"),
    (RUN.replace("publisher.pub", "publisher.pem"), "publisher.pem: not a PEM public", "a private key"),
    (
        SEAL.replace("pi-17.pub", "publisher.pub"),
        "publisher.pub: line 1: a public key, not",
        "keys create",
    ),
    (SEAL.replace("pi-17.pub", "renamed.pub"), "renamed.pub: line 1: a private key, not", "keys create"),
    (SEAL.replace("publisher.pem", "publisher.pub"), "publisher.pub: a public key, not", "private key"),
    (
        SEAL.replace("publisher.pem", "locked.pem"),
        "locked.pem: the private key is enc",
        "passphrase-env",
    ),
    (SEAL.replace("publisher.pem", "rsa.pem"), "rsa.pem: bundles are signed with ell", "keys create"),
    (SEAL.replace("model.onnx", "text.onnx"), "text.onnx: not an onnx model: it is text", "--format"),
    (SEAL.replace("new.keep", "no/such/new.keep"), "no/such/new.keep: no such", "no folder no/such"),
    (SEAL.replace("publisher.pem", "pi-17.pem"), "pi-17.pem: this key opens models", "--kind signing KEY"),
    (SEAL.replace("pi-17.pub", "file:publisher.pem"), "publisher.pem: this key signs", "create file:KEY.pem"),
    (RUN.replace("pi-17.pem", "publisher.pem"), "publisher.pem: this key signs bu", "create file:KEY.pem"),
    (RUN.replace("pi-17.pem", "ssh"), "ssh: an SSH private key, not a private key", "keys create file:"),
    (SEAL.replace("publisher.pem", "ssh"), "ssh: an SSH private key, not a private", "--kind signing"),
    (RUN.replace("pi-17.pem", "wide.pub"), "wide.pub: a public key, not a private", "belongs to it"),
    (RUN.replace("pi-17.pem", "wide.pem"), "wide.pem: others may read or change", "chmod 600 wide.pem"),
    (RUN.replace("publisher.pub", "stranger.pub"), "signed by key sha256:", "its key or root with -t"),
    (f"{RUN} --model-id acme/other", "this is model 'model', not 'acme/other'", "bundle of the model"),
    (f"{RUN} --minimum-epoch 9", "epoch 1 is below 9", "newer release"),
    (RUN.replace("x=x.npy", "y=x.npy"), "y: unexpected", "`modelkeep inspect BUNDLE"),
    (RUN.replace("x=x.npy", "x=line.json"), "line.json: not an array file", "numpy.save"),
    (RUN.replace(" -i x=x.npy", ""), "the model needs inputs", "-i x=FILE.npy"),
    (SEAL.replace(" -r pi-17.pub", ""), "nobody could open this bundle", "pass -r"),
    (SEAL.replace(" -s publisher.pem", ""), "nobody signs this bundle", "pass -s"),
    (RUN.replace(" -t publisher.pub", ""), "nobody is trusted", "pass -t"),
    (f"{SEAL} --epoch -3", "an epoch is an integer", "1, 2, 3"),
    (f"{SEAL} --not-after tomorrow", "not a time: 'tomorrow'", "2027-01-31"),
    (
        SEAL.replace("pi-17.pub", "line.json"),
        "line.json: line 1: a JSON document, not a recipient",
        "a recipient is a line",
    ),
    (f"{SEAL} --guard line.json", "line.json: guard profile: ", ""),
    (f"{SEAL} --golden x.npy", "x.npy: ", ""),
    (f"{SEAL} --contract line.json", "line.json: not JSON: line 2: expecting value", ""),
    (f"{SEAL} --certificates line.json", "line.json: no certificates in PEM form", ""),
    (f"{SEAL} --second-signer publisher.pem", "publisher.pem: second signatures are made with ML-DSA", ""),
    (f"{RUN} --second-trust publisher.pub", "publisher.pub: not an ML-DSA-65 public key", ""),
    (f"{RUN} --time-authority line.json", "line.json: no certificates in PEM form", ""),
    (f"{RUN} --trust-root line.json", "line.json: roots document: not valid JSON", ""),
    (f"{RUN} --trust-root text.onnx", "text.onnx: not a PEM public key", ""),
    ("modelkeep roster show line.json", "line.json: roster: not valid JSON", ""),
    ("modelkeep guard status line.json", "line.json: telemetry of a guard", ""),
    ("modelkeep granter waiting --policy line.json", "line.json: granter's policy: not TOML", ""),
    ("modelkeep posture judge x.npy --asked line.json --policy line.json", "line.json: kept challenge", ""),
)


@pytest.fixture
def desk(shop: CommandLine) -> CommandLine:
    """A folder with things that are easily taken for others."""
    folder = shop.folder
    (folder / "hollow").mkdir()
    (folder / "text.onnx").write_text("hello\n")
    (folder / "page.keep").write_text("<!DOCTYPE html><p>Sign in</p>")
    (folder / "line.json").write_text('{\n  "x": oops\n}')
    (folder / "cut.keep").write_bytes((folder / "model.keep").read_bytes()[:3000])
    damaged = bytearray((folder / "model.keep").read_bytes())
    damaged[-1500] ^= 1
    (folder / "damaged.keep").write_bytes(damaged)
    locked = ec.generate_private_key(ec.SECP256R1())
    (folder / "locked.pem").touch(0o600)
    (folder / "locked.pem").write_bytes(locked.private_bytes(*PEM, form.BestAvailableEncryption(b"x")))
    (folder / "rsa.pem").touch(0o600)
    other = rsa.generate_private_key(65537, 2048)
    (folder / "rsa.pem").write_bytes(other.private_bytes(*PEM, form.NoEncryption()))
    shutil.copy("publisher.pem", "renamed.pub")
    (folder / "ssh").touch(0o600)
    (folder / "ssh").write_bytes(
        locked.private_bytes(PEM[0], form.PrivateFormat.OpenSSH, form.NoEncryption())
    )
    for name, source in (("wide.pub", "publisher.pub"), ("wide.pem", "pi-17.pem")):
        shutil.copy(source, name)
        (folder / name).chmod(0o644)
    return shop


def test_the_file_is_named(desk: CommandLine) -> None:
    before = files(desk.folder)
    for line, message, hint in MISTAKES:
        result = desk.shell(line)
        assert result.code in (2, 3, 5, 6), line
        said = [each for each in result.err.splitlines() if not each.startswith(("input ", "accepted "))]
        assert said[0].startswith(f"modelkeep: {message}"), line
        assert hint in "".join(said[1:]), line
        assert not PYTHON.search(said[-1]), line
        assert files(desk.folder) == before, line


def test_what_is_said_in_a_shell_instead_is_said_somewhere() -> None:
    package = Path(cli.__file__).parents[1]
    # Strings that go on in another line are one.
    said = re.sub(r'"\s+f?"', "", "".join(path.read_text() for path in package.rglob("*.py")))
    assert [words for words in WORDS if said.count(words) < 2] == []
