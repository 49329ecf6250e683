"""A device from power on to a refused attacker: firmware, TPM and kernel are real programs, emulated by QEMU.

Run it with `make device-test`. The tests are one story and run in their order.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import main
from support.emulated import images
from support.emulated.images import VerityImage
from support.emulated.machine import INSECURE, SECURE, Hardware, Machine
from support.emulated.pieces import Pieces
from support.swtpm import manufacture
from support.workshop import MODEL_ID, Workshop

pytestmark = pytest.mark.emulated

POLICY = """format = "modelkeep/posture-policy"
version = 1
[prove]
key-protection = "tpm"
secure-boot = true
[claim]
root-verity = true
kernel-lockdown = true
"""
TRUST = f"-t publisher.pub --model-id {MODEL_ID}"
RUN = f"modelkeep run detector.installed -k tpm2:device.tpm {TRUST} -i x=x.npy --json"


@dataclass(frozen=True, slots=True)
class Bench:
    """What there is outside of the machine.

    Attributes:
        folder: all files.
        workshop: the publisher.
        hardware: what machines are built from.
        good, evil: disks with the boot image, signed by whom the firmware believes and by another one.
    """

    folder: Path
    workshop: Workshop
    hardware: Hardware
    good: Path
    evil: Path

    def machine(self, name: str, boot: Path, variables: Path = SECURE) -> Machine:
        """Returns a machine that is off."""
        return Machine(self.folder / name, self.hardware, boot, variables)

    def modelkeep(self, line: str, code: int = 0) -> None:
        """Runs a line on the granter's computer; `@` stands for the folder."""
        arguments = [word.replace("@", f"{self.folder}/") for word in line.split()]
        assert main(arguments) == code, line

    def fetch(self, machine: Machine, *names: str) -> None:
        """Copies files from the guest."""
        for name in names:
            (self.folder / name).write_bytes(machine.read(name))

    def send(self, machine: Machine, *names: str) -> None:
        """Copies files to the guest."""
        for name in names:
            machine.write(name, (self.folder / name).read_bytes())

    def ask(self, machine: Machine, name: str, more: str = "") -> None:
        """Asks the device a question of that name, and fetches its answer."""
        asked = f"posture ask @hello.json --origin acme --tpm-maker @maker.pem -o @{name}.json"
        self.modelkeep(f"{asked} --keep @{name}.kept")
        self.send(machine, f"{name}.json")
        attest = f"modelkeep keys attest tpm2:device.tpm --challenge {name}.json"
        machine.ok(f"{attest} {more} -o {name}.answer")
        self.fetch(machine, f"{name}.answer")

    def judge(self, answer: str, question: str, capture: pytest.CaptureFixture[str]) -> dict[str, Any]:
        """Returns the verdict on the answer to one question when it is held against another."""
        capture.readouterr()
        arguments = ["--asked", f"@{question}.kept", "--tpm-maker", "@maker.pem", "--policy", "@policy.toml"]
        line = " ".join(["posture", "judge", f"@{answer}.answer", *arguments, "--json"])
        main([word.replace("@", f"{self.folder}/") for word in line.split()])
        verdict: dict[str, Any] = json.loads(capture.readouterr().out)
        return verdict


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="device-") as name:
        folder = Path(name)
        workshop = Workshop(folder)
        pieces = Pieces()
        write_files(workshop)
        root = images.file_system(images.root_folder(pieces), folder / "root.ext4", 640)
        verity = images.behind_verity(root, workshop.signer)
        models = sealed_models(workshop)
        spare = flipped(models, folder / "flipped.ext4")
        data = images.file_system(None, folder / "data.ext4", 64)
        hardware = Hardware(folder / "maker" / "state", verity, models, data, spare)
        image = images.boot_image(pieces, verity.root_hash, folder)
        good = boot_disk(image, images.firmwares_signer(folder), "good")
        evil = boot_disk(image, images.another_signer(folder), "evil")
        yield Bench(folder, workshop, hardware, good, evil)


def write_files(workshop: Workshop) -> None:
    """Makes the TPM, and writes what granter and publisher have as files."""
    folder = workshop.folder
    manufacture(folder / "maker")
    shutil.copy(folder / "maker" / "authority" / "issuercert.pem", folder / "maker.pem")
    (folder / "policy.toml").write_text(POLICY)
    (folder / "publisher.pub").write_bytes(workshop.publisher_public)
    np.save(folder / "x.npy", np.ones((1, 65_536), np.float32))


def boot_disk(image: Path, signer: images.BootSigner, name: str) -> Path:
    """Returns a disk with a boot image that somebody signed."""
    signed = images.sign(image, signer, image.with_name(f"{name}.efi"))
    return images.boot_disk(signed, signed.with_suffix(".disk"))


def sealed_models(workshop: Workshop) -> VerityImage:
    """Returns an image with a model that is sealed for nobody but a granter."""
    granter = workshop.new_device("granter")
    folder = workshop.folder / "models"
    folder.mkdir()
    bundle = workshop.seal(workshop.model(2.0, size=65_536), to=[], admins=[granter.with_suffix(".pub")])
    shutil.copy(bundle, folder / "detector.keep")
    image = images.file_system(folder, workshop.folder / "models.ext4", 16)
    return images.behind_verity(image, workshop.signer)


def flipped(models: VerityImage, copy: Path) -> Path:
    """Returns a copy of the image with one bit of the sealed model changed."""
    data = bytearray(models.disk.read_bytes())
    bundle = (models.disk.parent / "models" / "detector.keep").read_bytes()
    middle = bundle[len(bundle) // 2 :][:64]
    assert data.count(middle) == 1
    data[data.index(middle)] ^= 1
    copy.write_bytes(data)
    return copy


@pytest.fixture(scope="module")
def device(bench: Bench) -> Iterator[Machine]:
    """The device, started as its maker means it to, until a test switches it off."""
    with bench.machine("device", bench.good) as machine:
        machine.wait_for_guest()
        bench.send(machine, "publisher.pub", "x.npy")
        machine.ok(open_disk("models", bench.hardware.models))
        yield machine


def open_disk(name: str, image: VerityImage, disk: str = "/dev/vdd") -> str:
    """Returns the line by which a guest opens and mounts an image."""
    return (
        f"veritysetup open {disk} {name} /dev/vde {image.root_hash} && mount -o ro /dev/mapper/{name} /{name}"
    )


def test_the_device_proves_what_it_is(
    bench: Bench, device: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    device.ok("modelkeep keys create tpm2:device.tpm > device.pub")
    device.ok("modelkeep keys attest tpm2:device.tpm -o hello.json")
    bench.fetch(device, "hello.json", "device.pub")
    bench.ask(device, "first")
    verdict = bench.judge("first", "first", capsys)
    assert verdict["accepted"], verdict
    findings = {each["name"]: each for each in verdict["findings"]}
    proven = {name for name, each in findings.items() if each["standing"] == "proven"}
    assert {"key-protection", "key-policy", "secure-boot", "pcr-7", "pcr-11"} <= proven
    # Firmware, kernel and stub wrote down everything that they measured.
    assert set(findings["explained-pcrs"]["value"]) >= {"0", "1", "2", "3", "4", "5", "6", "7", "11"}
    assert findings["root-verity"]["standing"] == "claimed"


def test_the_model_is_granted_installed_and_run(bench: Bench, device: Machine) -> None:
    grant = "grant @models/detector.keep -k file:@granter.pem -t @publisher.pub -r @device.pub"
    bench.modelkeep(f"{grant} --not-after +30d -o @detector.grants")
    bench.send(device, "detector.grants")
    install = f"modelkeep install /models/detector.keep --grant detector.grants -k tpm2:device.tpm {TRUST}"
    device.ok(f"{install} -o detector.installed")
    device.ok(f"{RUN} -o y.npz")
    bench.fetch(device, "y.npz")
    np.testing.assert_array_equal(np.load(bench.folder / "y.npz")["y"], np.load(bench.folder / "x.npy") * 2)


def test_a_flipped_bit_in_the_models_block_is_refused(bench: Bench, device: Machine) -> None:
    device.ok(open_disk("flipped", bench.hardware.models, "/dev/vdg"))
    # The kernel looks at a block when it is read: until then the status is that of a sound disk.
    assert "verified" in device.ok("veritysetup status flipped")
    install = f"modelkeep install /flipped/detector.keep --grant detector.grants -k tpm2:device.tpm {TRUST}"
    refused = device.run(f"{install} -o flipped.installed")
    assert (refused.code, "input/output error" in refused.err) == (6, True), refused
    assert device.run("test -e flipped.installed").code == 1
    assert "corrupted" in device.ok("veritysetup status flipped")


def test_an_answer_counts_once(bench: Bench, device: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    bench.ask(device, "second")
    assert bench.judge("second", "second", capsys)["accepted"]
    replayed = bench.judge("first", "second", capsys)
    assert not replayed["accepted"]
    # With the nonce of the new question written over the old one.
    answer = json.loads((bench.folder / "first.answer").read_bytes())
    answer["nonce"] = json.loads((bench.folder / "second.json").read_bytes())["nonce"]
    (bench.folder / "forged.answer").write_text(json.dumps(answer, separators=(",", ":"), sort_keys=True))
    forged = bench.judge("forged", "second", capsys)
    assert (forged["accepted"], forged["findings"]) == (False, []), forged


def test_a_changed_pcr_takes_the_key_away(bench: Bench, device: Machine) -> None:
    device.ok(RUN)
    device.ok(f"tpm2_pcrextend 7:sha256={'11' * 32}")
    refused = device.run(RUN)
    assert refused.code in {3, 6}, refused
    device.stop()


def test_another_signers_image_does_not_start(bench: Bench, device: Machine) -> None:
    with bench.machine("refused", bench.evil) as machine:
        machine.wait_for_console("Access Denied")
        assert "device:" not in machine.console


def test_without_secure_boot_it_starts_and_has_no_key(
    bench: Bench, device: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench.machine("insecure", bench.evil, INSECURE) as machine:
        machine.wait_for_guest()
        refused = machine.run(RUN)
        assert refused.code in {3, 6}, refused
        bench.ask(machine, "insecure", "--unapproved")
        verdict = bench.judge("insecure", "insecure", capsys)
        assert not verdict["accepted"]
        assert "secure-boot" in " ".join(verdict["refusals"])


def test_started_as_it_should_be_it_opens_the_model_again(bench: Bench, device: Machine) -> None:
    with bench.machine("again", bench.good) as machine:
        machine.wait_for_guest()
        machine.ok(RUN)
