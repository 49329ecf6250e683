"""Keys on the command line: every kind, made, used and kept apart."""

from __future__ import annotations

import subprocess

import pytest

from modelkeep.cli import suite_hint
from modelkeep.manifest import Suite
from support.command_line import CommandLine, files
from support.needs import require

SEAL = "modelkeep seal model.onnx -s publisher.pem -o m.keep"
RUN = "modelkeep run m.keep -t publisher.pub -i x=x.npy"


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("", "hpke-p256"),
        ("--kind p256", "hpke-p256"),
        ("--kind x25519", "hpke-x25519"),
        ("--kind mlkem768-x25519", "hpke-mlkem768-x25519"),
    ],
)
def test_every_kind_of_device_key_opens_what_is_sealed_for_it(
    shop: CommandLine, option: str, kind: str
) -> None:
    made = shop.ok(f"modelkeep keys create {option} file:new.pem > new.pub")
    assert made.out.startswith(f"{kind} ")
    assert made.out.endswith(" new\n")
    shop.ok(f"{SEAL} -r new.pub")
    shop.ok(f"{RUN} -k file:new.pem")
    assert shop.shell(f"{RUN} -k file:pi-18.pem").code == 4


def test_a_device_without_instructions_for_aes_says_so_beside_its_key(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert suite_hint.COMMENT not in shop.ok("modelkeep keys create fast.pem").out
    monkeypatch.setattr(suite_hint, "fastest_suite", lambda: Suite.CHACHA20_POLY1305_HKDF_1MB)
    made = shop.ok("modelkeep keys create slow.pem > slow.pub")
    assert made.out.splitlines()[1:] == ["# suite: chacha"]
    assert "chacha" not in shop.ok("modelkeep keys create --kind root root.pem").out
    assert "--suite chacha" in shop.ok(f"{SEAL} -r slow.pub -r pi-17.pub").err
    for chosen in ("aes", "chacha"):
        assert "--suite" not in shop.ok(f"{SEAL} -f -r slow.pub --suite {chosen}").err
    assert "--suite" not in shop.ok(f"{SEAL} -f -r pi-17.pub").err
    shop.ok(f"{SEAL} -f --suite chacha -r slow.pub")
    shop.ok(f"{RUN} -k slow.pem")


def test_a_path_without_a_scheme_is_a_file_and_the_device_can_have_another_name(shop: CommandLine) -> None:
    made = shop.ok("modelkeep keys create key.pem --device-id press-4 > press-4.pub")
    assert made.out.split()[2] == "press-4"
    shop.ok(f"{SEAL} -r press-4.pub")
    shop.ok(f"{RUN} -k key.pem")


def test_a_bad_device_name_is_refused_and_prints_no_key(command: CommandLine) -> None:
    refused = command("keys", "create", "key.pem", "--device-id", "press 4")
    assert (refused.code, refused.out) == (2, "")


def test_fleet_devices_get_a_key_of_their_own_and_never_the_master(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind master fleet:master.key")
    shop.ok("modelkeep keys create fleet:pi.key --master master.key --device-id pi-17")
    master, device = (shop.folder / name for name in ("master.key", "pi.key"))
    assert master.stat().st_mode & 0o077 == device.stat().st_mode & 0o077 == 0
    assert master.read_bytes().split()[1] not in device.read_bytes()
    shop.ok(f"{SEAL} -r 'fleet:master.key?device=pi-17'")
    shop.ok(f"{RUN} -k fleet:pi.key")
    shop.ok(f"{RUN} -k 'fleet:master.key?device=pi-17'")
    assert shop.shell(f"{RUN} -k 'fleet:master.key?device=pi-18'").code == 4


@pytest.mark.parametrize(
    "line",
    [
        "modelkeep keys create fleet:pi.key --master master.key",
        "modelkeep keys create fleet:pi.key --master master.key --device-id 'pi 17'",
        "modelkeep keys create file:pi.pem --master master.key --device-id pi-17",
        "modelkeep keys create --kind master fleet:master.key",
        "modelkeep keys create fleet:pi.key",
        "modelkeep keys create passphrase:",
        "modelkeep keys create enigma:rotor",
        "modelkeep keys create --kind signing fleet:x.key",
        "modelkeep keys create --kind signing --master x.key x.pem",
        "modelkeep keys create --kind rsa x.pem",
    ],
)
def test_keys_that_cannot_be_made_are_usage_errors(command: CommandLine, line: str) -> None:
    command.ok("modelkeep keys create --kind master fleet:master.key")
    assert command.shell(line).code == 2
    assert files(command.folder) == {"master.key"}


def test_a_passphrase_opens_a_bundle_of_its_own(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PASSPHRASE", "correct horse battery staple")
    key = "'passphrase:?env=MODEL_PASSPHRASE'"
    shop.ok(f"{SEAL} -r {key}")
    shop.ok(f"{RUN} -k {key}")
    monkeypatch.setenv("MODEL_PASSPHRASE", "correct horse battery stable")
    assert shop.shell(f"{RUN} -k {key}").code == 3
    monkeypatch.delenv("MODEL_PASSPHRASE")
    assert shop.shell(f"{RUN} -k {key}").code == 6


def test_a_passphrase_does_not_share_a_bundle(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "correct horse battery staple")
    refused = shop.shell(f"{SEAL} -r 'passphrase:?env=PW' -r pi-17.pub")
    assert refused.code == 2
    assert "m.keep" not in files(shop.folder)


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_bundles_are_signed_on_every_curve(shop: CommandLine, curve: str) -> None:
    shop.ok(f"modelkeep keys create --kind signing-{curve} file:signing.pem > signing.pub")
    shop.ok("modelkeep seal model.onnx -r pi-17.pub -s file:signing.pem -o m.keep")
    shop.ok("modelkeep verify m.keep -t signing.pub")


def test_an_encrypted_signing_key_takes_its_passphrase_from_the_environment(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("openssl")
    encrypt = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-in",
        "publisher.pem",
        "-passout",
        "pass:hush",
        "-out",
        "locked.pem",
    ]
    subprocess.run(encrypt, check=True, capture_output=True)
    (shop.folder / "locked.pem").chmod(0o600)
    seal = "modelkeep seal model.onnx -r pi-17.pub -s locked.pem -o m.keep"
    assert shop.shell(seal).code == 6
    assert shop.shell(f"{seal} --passphrase-env HUSH").code == 2
    monkeypatch.setenv("HUSH", "hush")
    shop.ok(f"{seal} --passphrase-env HUSH")
    shop.ok("modelkeep verify m.keep -t publisher.pub")


def test_plain_signatures_are_those_of_openssl(command: CommandLine) -> None:
    require("openssl")
    (command.folder / "data.csv").write_text("1,2,3\n")
    command.ok("modelkeep keys create --kind plain plain.pem > plain.pub")
    command.ok("modelkeep sign data.csv -s file:plain.pem")
    check = ["openssl", "dgst", "-sha256", "-verify", "plain.pub", "-signature", "data.csv.sig", "data.csv"]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    sign = ["openssl", "dgst", "-sha256", "-sign", "plain.pem", "-out", "theirs.sig", "data.csv"]
    subprocess.run(sign, check=True)
    verify = "modelkeep verify data.csv --signature theirs.sig -t plain.pub"
    assert command.ok(f"{verify} --json").json == {"path": "data.csv", "verified": True}
    (command.folder / "data.csv").write_text("1,2,4\n")
    assert command.shell(verify).code == 3


def test_keys_for_bundles_and_for_plain_files_do_not_stand_in_for_each_other(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind plain plain.pem > plain.pub")
    assert shop.shell("modelkeep sign model.onnx -s publisher.pem").code == 2
    assert shop.shell("modelkeep seal model.onnx -r pi-17.pub -s plain.pem -o m.keep").code == 2
    assert {"model.onnx.sig", "m.keep"} & files(shop.folder) == set()


def test_grants_can_be_signed_so_that_a_bundle_accepts_no_others(shop: CommandLine) -> None:
    shop.ok("modelkeep keys create --kind signing granter.pem > granter.pub")
    shop.ok(f"{SEAL} --admin admin.pub --grant-signer file:granter.pem")
    grant = "modelkeep grant m.keep -k file:admin.pem -t publisher.pub -r pi-18.pub"
    assert shop.shell(grant).code in (2, 3)
    shop.ok(f"{grant} --grant-signer file:granter.pem")
    shop.ok(f"{RUN} -k file:pi-18.pem")


def test_the_address_of_a_signing_key_says_where_its_passphrase_is(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSH", "correct horse")
    key = "'file:locked.pem?passphrase-env=HUSH'"
    shop.ok(f"modelkeep keys create --kind signing {key} > locked.pub")
    seal = "modelkeep seal model.onnx -r pi-17.pub -o locked.keep -s"
    assert "?passphrase-file=PATH" in shop.shell(f"{seal} locked.pem").err
    assert "given twice" in shop.shell(f"{seal} {key} --passphrase-env HUSH").err
    shop.ok(f"{seal} {key}")
    shop.ok("modelkeep verify locked.keep -t locked.pub")
