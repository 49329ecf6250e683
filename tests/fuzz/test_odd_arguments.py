"""Odd words in every place of a command: an exit code that is documented, and never a traceback."""

from __future__ import annotations

import pytest

from modelkeep.__main__ import INTERRUPTED
from modelkeep.cli import EXIT_CODES
from support.command_line import CommandLine

DOCUMENTED = {0, INTERRUPTED, *(code for _, code in EXIT_CODES)}
COMMANDS = ("seal", "inspect", "verify", "grant", "sign", "run", "extract", "import")
ODD = (
    "",
    "x.npy",
    "./-x",
    "missing",
    ".",
    "/dev/null",
    "/dev/full",
    "a b\u00e9\u2603",
    "\udcff\x1b[31m",
    "n" * 5000,
    "file:",
    "fleet:x.npy?device=\udcff",
    "passphrase:?env=\udcff",
    "passphrase:",
    "hpke-p256 AAAA",
)
TEMPLATES = (
    "{c}",
    "{c} {o}",
    "{c} {o} -k {o} -t {o}",
    "{c} {o} -k pi-17.pem -t {o}",
    "{c} model.keep -k {o} -t publisher.pub",
    "{c} model.keep -k {o} --unsafe-unsigned --grant {o}",
    "{c} model.keep -k pi-17.pem -t publisher.pub -i {o}",
    "{c} model.keep -k pi-17.pem -t publisher.pub -i x={o} -o {o}",
    "{c} model.keep -k pi-17.pem -t publisher.pub --unsafe-plaintext -o {o}",
    "{c} model.keep -k admin.pem -r {o}",
    "{c} model.keep -k admin.pem -r pi-18.pub -o {o}",
    "{c} model.keep -k admin.pem -r pi-18.pub --posture {o} --not-after {o}",
    "{c} model.keep --signature {o} -t {o}",
    "{c} {o} -r {o} -s {o} -o {o}",
    "{c} model.onnx -r {o} -s publisher.pem -o new",
    "{c} model.onnx -r pi-17.pub -s {o} --passphrase-env {o} -o new -f",
    "{c} model.onnx -r pi-17.pub -s publisher.pem -o {o}",
    "{c} model.onnx -r pi-17.pub -s publisher.pem -o new -f --model-id {o} --family {o} --release {o}",
    "{c} model.onnx -r pi-17.pub -s publisher.pem -o new -f --contract {o} --entry {o}",
    "{c} model.onnx -r pi-17.pub -s publisher.pem -o new -f --certificates {o} --grant-signer {o}",
    "{c} {o} --old-key {o} --name {o} -r pi-17.pub -s publisher.pem -o new -f",
    "{c} x.npy --old-master {o} --old-device-id {o} --old-info {o} --name m"
    " -r pi-17.pub -s publisher.pem -o new -f",
    "{c} fleet:{o} --master {o} --device-id {o}",
    "{c} --signing {o}",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_odd_arguments_never_give_a_traceback(shop: CommandLine, name: str) -> None:
    for template in TEMPLATES:
        for odd in ODD:
            arguments = [name if word == "{c}" else word.replace("{o}", odd) for word in template.split()]
            result = shop(*arguments)
            assert result.code in DOCUMENTED, arguments
            assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "template",
    [
        "trust create -o new.json --expires {o} --publisher {o}",
        "trust create -o {o} --expires +1d --publisher publisher.pub={o} --revoke {o} -f",
        "trust create -o new.json --expires +1d --revoke-bundle {o} -f",
        "trust next {o} -o new.json -f",
        "trust next trust.json -o new.json --end {o} --trust-root {o} -f",
        "trust sign trust.json -s {o} --yes --since {o} -o new.json -f",
        "trust show {o} --trust-root {o}",
        "trust create -o new.json --expires +1d --floor {o} --void {o} --time-authority {o} -f",
        "trust next trust.json -o new.json --roots {o} --floor model={o} -f",
        "trust roots -o new.json --last {o} --root {o} --remove {o} -f",
        "trust ticket -o new.json --device {o} --generation {o} --void {o} --time {o} -f",
    ],
)
def test_odd_arguments_about_trust_files_neither(shop: CommandLine, template: str) -> None:
    shop.ok("modelkeep trust create -o trust.json --expires +1d --publisher publisher.pub=*")
    for odd in ODD:
        result = shop(*(word.replace("{o}", odd) for word in template.split()))
        assert result.code in DOCUMENTED, (template, odd)
        assert "Traceback" not in result.err
