"""`modelkeep keys` and `modelkeep doctor`, with keys in files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelkeep.cli import doctor_command
from modelkeep.cli.parser import build_parser
from modelkeep.keys.advice import advise
from modelkeep.keys.management import Protection, StoreReport
from support.command_line import CommandLine

RUN = "modelkeep run model.keep -t publisher.pub -i x=x.npy"


def test_created_key_is_listed_shown_and_deleted(command: CommandLine) -> None:
    made = command.ok("modelkeep keys create file:pi-17.pem > pi-17.pub")
    assert command.ok("modelkeep keys list").out == "file:pi-17.pem\n"
    shown = json.loads(command.ok("modelkeep keys show file:pi-17.pem --json").out)
    assert shown["public"] == made.out.strip()
    assert "file permissions alone" in shown["protection"]
    assert shown["level"] == "software"
    assert command("keys", "delete", "file:pi-17.pem").code == 2
    assert (command.folder / "pi-17.pem").exists()
    command.ok("modelkeep keys delete file:pi-17.pem --yes")
    assert json.loads(command.ok("modelkeep keys list --json").out) == {"keys": []}


def test_shown_lines_are_for_people(command: CommandLine) -> None:
    command.ok("modelkeep keys create file:pi-17.pem --kind x25519")
    shown = command.ok("modelkeep keys show file:pi-17.pem").out
    assert shown.startswith("public       hpke-x25519 ")


def test_key_under_a_passphrase_says_so(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_PASSPHRASE", "secret")
    uri = "file:pi-17.pem?passphrase-env=DEVICE_PASSPHRASE"
    command.ok(f"modelkeep keys create '{uri}'")
    assert json.loads(command.ok(f"modelkeep keys show '{uri}' --json").out)["passphrase"] == "yes"


def test_rotated_key_opens_what_the_old_one_may_grant(shop: CommandLine) -> None:
    rotated = shop.ok("modelkeep keys rotate file:admin.pem file:admin-2.pem model.keep -t publisher.pub")
    assert rotated.out.split()[2] == "admin"
    shop.ok(f"{RUN} -k file:admin-2.pem")
    shop.ok("modelkeep keys delete file:admin.pem --yes")
    shop.ok(f"{RUN} -k file:admin-2.pem")
    shop.ok("modelkeep grant model.keep -k file:admin-2.pem -t publisher.pub -r pi-18.pub")


def test_replaced_device_asks_whoever_may_grant(shop: CommandLine) -> None:
    rotated = shop.shell(
        "modelkeep keys rotate file:pi-17.pem file:pi-17-new.pem model.keep -t publisher.pub > new.pub"
    )
    assert "the old key may not grant it" in rotated.err
    assert shop.shell(f"{RUN} -k file:pi-17-new.pem").code == 4
    shop.ok(f"{RUN} -k file:pi-17.pem")
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r new.pub")
    shop.ok(f"{RUN} -k file:pi-17-new.pem")


def test_lost_publisher_key_is_replaced_by_one_that_devices_trust_besides(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind signing publisher-2.pem > publisher-2.pub")
    shop.ok("modelkeep seal model.onnx -r pi-17.pub -s publisher-2.pem --model-id model -o next.keep")
    run = "modelkeep run next.keep -k file:pi-17.pem -i x=x.npy"
    assert shop.shell(f"{run} -t publisher.pub").code == 3
    shop.ok(f"{run} -t publisher.pub -t publisher-2.pub")


def test_keys_that_are_bound_to_no_state_get_no_approval(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind approving authority.pem > authority.pub")
    refused = shop.shell("modelkeep keys approve file:pi-17.pem -s authority.pem")
    assert (refused.code, "do not support 'approve'" in refused.err) == (2, True)
    assert shop.shell("modelkeep keys approve -s authority.pem").code == 2


def test_approval_is_made_without_a_tpm(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind approving authority.pem > authority.pub")
    (shop.folder / "values.json").write_text(json.dumps({"7": "00" * 32, "11": "11" * 32}))
    shop.ok("modelkeep keys approve -s authority.pem --values values.json -o approval.json")
    assert json.loads((shop.folder / "approval.json").read_text())["pcrs"] == [7, 11]
    for broken in ("{}", '{"7": "00"}', '{"24": "' + "00" * 32 + '"}'):
        (shop.folder / "values.json").write_text(broken)
        assert shop.shell("modelkeep keys approve -s authority.pem --values values.json -o a.json").code == 5


def test_doctor_names_every_store_and_what_is_better(command: CommandLine) -> None:
    reports = json.loads(command.ok("modelkeep doctor --json").out)["stores"]
    assert set(reports) >= {"file", "kernel", "keyring", "pkcs11", "systemd", "tpm2"}
    assert reports["file"]["usable"] is True
    assert reports["file"]["level"] == "software"
    assert "tpm2:" in reports["file"]["advice"]
    words = command.ok("modelkeep doctor").out
    assert "file permissions" in words
    assert "best here: " in words
    assert "better:    " in words
    # These tests run where AES has instructions; without them it is the other way around.
    assert "suite:     aes is the faster one here\n" in words


def test_doctor_advises_the_other_suite_where_aes_has_no_instructions(command: CommandLine) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("OpenSSL takes this mask on x86 alone")
    # Hides AES-NI and what else makes AES-GCM fast from OpenSSL.
    masked = {**os.environ, "OPENSSL_ia32cap": "~0x200000200000000:~0x60000000000"}
    program = "from modelkeep.payload.fastest_suite import fastest_suite; print(fastest_suite().name)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, env=masked
    )
    assert done.stdout == "CHACHA20_POLY1305_HKDF_1MB\n"


STORES = {
    "file": StoreReport("file", True, Protection.FILE, "files"),
    "kernel": StoreReport("kernel", True, Protection.SYSTEM, "the kernel's keyring"),
    "systemd": StoreReport("systemd", True, Protection.SYSTEM, "credentials"),
    "no tpm": StoreReport("tpm2", False, Protection.TPM, "no TPM", "switch it on"),
    "tpm": StoreReport("tpm2", True, Protection.TPM, "a TPM"),
    "swtpm": StoreReport("tpm2", True, Protection.SOFTWARE_TPM, "a TPM"),
    "no token": StoreReport("pkcs11", False, Protection.HARDWARE, "no library"),
    "no pkcs11": StoreReport("pkcs11", False, None, "cannot be loaded", "install it"),
    "tee": StoreReport("pkcs11", True, Protection.TEE, "OP-TEE"),
    "token": StoreReport("pkcs11", True, Protection.HARDWARE, "a token"),
}
NO_TPM, NO_TOKEN = "tpm2 (TPM): no TPM; switch it on", "pkcs11 (HSM): no library"


@pytest.mark.parametrize(
    ("present", "best", "better"),
    [
        ((), None, []),
        (("no tpm",), None, [NO_TPM]),
        (("file", "no tpm", "no token"), "file", [NO_TPM, NO_TOKEN]),
        (("file", "kernel", "systemd", "no tpm"), "systemd", [NO_TPM]),
        (("kernel", "file"), "file", ["take a device with a TPM 2.0, a TEE, or a token"]),
        (("kernel",), "kernel", ["take a device with a TPM 2.0, a TEE, or a token"]),
        (("kernel", "swtpm"), "tpm2", ["take a device with a TPM 2.0, a TEE, or a token"]),
        (("file", "swtpm"), "tpm2", ["take a device with a TPM 2.0, a TEE, or a token"]),
        (("kernel", "tpm", "no token"), "tpm2", [NO_TOKEN]),
        (("tpm", "no pkcs11"), "tpm2", ["pkcs11: cannot be loaded; install it"]),
        (("tpm", "tee"), "pkcs11", []),
        (("tpm", "token", "kernel"), "pkcs11", []),
    ],
)
def test_advice_names_the_best_store_and_what_would_be_better(
    tmp_path: Path, present: tuple[str, ...], best: str | None, better: list[str]
) -> None:
    advice = advise([STORES[name] for name in present], devices=tmp_path)
    assert (advice.best.scheme if advice.best else None, list(advice.better)) == (best, better)


@pytest.mark.parametrize(("store", "is_told"), [("kernel", True), ("tpm", True), ("tee", False)])
def test_tee_that_no_store_knows_of_is_told(tmp_path: Path, store: str, *, is_told: bool) -> None:
    (tmp_path / "tee0").touch()
    assert ("libckteec.so" in str(advise([STORES[store]], devices=tmp_path).better)) is is_told


def test_best_possible_device_is_told_so(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_command, "examine_stores", lambda: (STORES["token"],))
    words = command.ok("modelkeep doctor").out
    assert "best here: pkcs11 (HSM)\nbetter:    nothing that modelkeep knows of\n" in words
    monkeypatch.setattr(doctor_command, "examine_stores", lambda: (STORES["no tpm"],))
    assert "best here" not in command.ok("modelkeep doctor").out
    assert command.ok("modelkeep doctor --json").json["best"] is None


@pytest.mark.parametrize("action", ["list", "create", "show", "rotate", "approve", "delete"])
def test_every_action_has_help(action: str) -> None:
    with pytest.raises(SystemExit) as done:
        build_parser().parse_args(["keys", action, "--help"])
    assert done.value.code == 0


def test_kind_of_key_that_a_store_does_not_have_is_refused(command: CommandLine) -> None:
    refused = command.shell("modelkeep keys create file:publisher.pem --kind quote")
    assert (refused.code, "unknown kind" in refused.err) == (2, True)


def test_fleet_keys_are_shown_by_nobody_and_not_rotated(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind master fleet:master.key")
    shop.ok("modelkeep keys create fleet:pi.key --master master.key --device-id pi-17")
    assert shop.shell("modelkeep keys show fleet:pi.key").code == 2
    refused = shop.shell("modelkeep keys rotate fleet:pi.key file:new.pem")
    assert (refused.code, "are not rotated" in refused.err) == (2, True)
    assert not (shop.folder / "new.pem").exists()


def test_output_goes_with_an_approval_made_elsewhere(shop: CommandLine) -> None:
    line = "modelkeep keys approve file:pi-17.pem -s authority.pem -o approval.json"
    assert shop.shell(line).code == 2
    assert shop.shell("modelkeep keys approve file:pi-17.pem --approval missing.json").code == 6


def test_store_that_cannot_be_loaded_is_reported_with_its_extra(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: Any = None
    for name in [name for name in sys.modules if name.startswith("modelkeep.keys.pkcs11")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pkcs11", missing)
    report = command.ok("modelkeep doctor --json").json["stores"]["pkcs11"]
    assert (report["usable"], report["protection"]) == (False, None)
    assert "modelkeep[pkcs11]" in report["advice"]


def test_a_rotation_that_cannot_be_done_makes_no_key(shop: CommandLine) -> None:
    line = "modelkeep keys rotate file:admin.pem file:new.pem model.keep missing.keep -t publisher.pub"
    refused = shop.shell(line)
    assert refused.code == 6
    assert not (shop.folder / "new.pem").exists()
    shop.ok("modelkeep keys rotate file:admin.pem file:new.pem model.keep -t publisher.pub > new.pub")
