"""What a device finds out about itself, on this system and on others as their files would be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.errors import UnavailableError
from modelkeep.posture.finding import Finding
from modelkeep.probes import android, block_device, kernel, memory, tpm2_state, uefi
from modelkeep.probes.local import claims, local_findings, posture_names
from modelkeep.probes.system import System
from support.command_line import CommandLine
from support.event_logs import VARIABLE, event, event_log, secure_boot

GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
VARIABLES = "sys/firmware/efi/efivars"


def system(root: Path, **files: str | bytes) -> System:
    """Returns a system with these files; `__` stands for a slash."""
    for name, content in files.items():
        write(root, name.replace("__", "/"), content)
    return System(root)


def write(root: Path, name: str, content: str | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def named(findings: object) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("on", "setup", "expected"), [(1, 0, True), (0, 0, False), (1, 1, False), (None, 0, False)]
)
def test_secure_boot_is_on_and_not_being_set_up(
    tmp_path: Path, on: int | None, setup: int, expected: bool
) -> None:
    if on is not None:
        write(tmp_path, f"{VARIABLES}/SecureBoot-{GLOBAL}", bytes([6, 0, 0, 0, on]))
    write(tmp_path, f"{VARIABLES}/SetupMode-{GLOBAL}", bytes([6, 0, 0, 0, setup]))
    assert named(uefi.findings(System(tmp_path)))["secure-boot"].value is expected


def test_a_variable_of_another_size_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, f"{VARIABLES}/SecureBoot-{GLOBAL}", b"\6\0\0\0\1\1")
    finding = named(uefi.findings(System(tmp_path)))["secure-boot"]
    assert (finding.value, finding.why) == (False, "SecureBoot unknown, SetupMode unknown")


def test_a_strict_kernel_is_told_from_a_loose_one(tmp_path: Path) -> None:
    strict = system(
        tmp_path / "strict",
        sys__kernel__security__lockdown="none [integrity] confidentiality\n",
        sys__module__module__parameters__sig_enforce="Y\n",
        sys__kernel__security__ima__runtime_measurements_count="812\n",
        proc__sys__kernel__yama__ptrace_scope="2\n",
        proc__swaps="Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n",
    )
    loose = system(
        tmp_path / "loose",
        sys__kernel__security__lockdown="[none] integrity confidentiality\n",
        sys__module__module__parameters__sig_enforce="N\n",
        sys__kernel__security__ima__runtime_measurements_count="1\n",
        proc__sys__kernel__yama__ptrace_scope="0\n",
        proc__sys__kernel__core_pattern="|/usr/lib/systemd/systemd-coredump %P\n",
        proc__swaps="Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
    )
    names = {"kernel-lockdown", "signed-modules", "ima", "ptrace-limited", "no-swap"}
    for each, expected in ((strict, True), (loose, False), (System(tmp_path / "nothing"), False)):
        found = named([*kernel.findings(each), *memory.findings(each)])
        assert {name: found[name].value for name in names} == dict.fromkeys(names, expected)
    assert named(kernel.findings(loose))["no-core-dumps"].value is False
    assert "/dev/sda2" in named(memory.findings(loose))["no-swap"].why


def test_core_dumps_and_locked_memory_follow_the_limits_of_the_process() -> None:
    script = (
        "import resource as r\n"
        "r.setrlimit(r.RLIMIT_CORE, (0, 0)); r.setrlimit(r.RLIMIT_MEMLOCK, (4096, 4096))\n"
        "from pathlib import Path\n"
        "from modelkeep.probes import kernel, memory\n"
        "from modelkeep.probes.system import System\n"
        "nothing = System(Path('/nowhere'))\n"
        "print([f.value for f in [*kernel.findings(nothing), *memory.findings(nothing)]\n"
        "       if f.name in ('no-core-dumps', 'memory-lock')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, False]\n"


def test_a_log_that_leads_to_the_pcrs_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    from modelkeep.posture.tpm2.event_log import parse, replay

    log = event_log([event(pcr, VARIABLE, secure_boot(on=True)) for pcr in range(8)])
    write(tmp_path, tpm2_state.EVENT_LOG, log)
    write(tmp_path, "sys/class/tpm/tpm0/tpm_version_major", "2\n")
    for index, value in replay(parse(log)).items():
        write(tmp_path, f"sys/class/tpm/tpm0/pcr-sha256/{index}", value.hex().upper() + "\n")
    found = named(tpm2_state.findings(System(tmp_path)))
    assert (found["tpm"].value, found["measured-boot"].value) == (True, True)
    write(tmp_path, "sys/class/tpm/tpm0/pcr-sha256/4", "00" * 32)
    assert "PCR 4" in named(tpm2_state.findings(System(tmp_path)))["measured-boot"].why
    write(tmp_path, tpm2_state.EVENT_LOG, b"nothing")
    assert named(tpm2_state.findings(System(tmp_path)))["measured-boot"].value is False
    (tmp_path / tpm2_state.EVENT_LOG).unlink()
    assert "needs root" in named(tpm2_state.findings(System(tmp_path)))["measured-boot"].why


def test_a_device_without_tpm_says_so(tmp_path: Path) -> None:
    (finding,) = tpm2_state.findings(System(tmp_path))
    assert (finding.name, finding.value) == ("tpm", False)


TABLE = f"0 417792 verity 1 254:2 254:3 4096 4096 52224 1 sha256 {'AB' * 32} {'cd' * 32}"


@pytest.mark.parametrize(
    ("table", "status", "expected"),
    [
        (TABLE, "0 417792 verity V", block_device.Verity("ab" * 32, True)),
        (TABLE, "0 417792 verity C", block_device.Verity("ab" * 32, False)),
        ("0 1 linear 8:1 0", "0 1 linear", None),
        (TABLE.replace("verity 1", "verity 0"), "0 417792 verity V", None),
        (TABLE, "", None),
        ("", "", None),
    ],
)
def test_lines_of_the_device_mapper_are_read(
    table: str, status: str, expected: block_device.Verity | None
) -> None:
    assert block_device.parse_verity(table, status) == expected


def test_layers_below_a_file_are_looked_at(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    root = tmp_path / "system"
    write(root, f"sys/dev/block/{number}/dm/uuid", "LVM-abc\n")
    write(root, f"sys/dev/block/{number}/slaves/dm-1/dev", "253:1\n")
    write(root, "sys/dev/block/253:1/dm/uuid", "CRYPT-LUKS2-abc-name\n")
    found = named(block_device.findings(System(root), tmp_path))
    assert found["model-encrypted"].value is True
    assert (found["model-verity"].value, found["model-verity"].why) == (False, "not on a dm-verity device")
    write(root, f"sys/dev/block/{number}/dm/uuid", "CRYPT-VERITY-abc-name\n")
    found = named(block_device.findings(System(root), tmp_path))
    assert "does not say" in found["model-verity"].why


def test_layers_that_go_round_in_a_ring_come_to_an_end(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    root = tmp_path / "system"
    write(root, f"sys/dev/block/{number}/slaves/self/dev", number)
    assert named(block_device.findings(System(root), tmp_path))["model-encrypted"].value is False


def test_names_are_those_that_are_as_one_wishes() -> None:
    findings = local_findings()
    assert posture_names(findings) == {finding.name for finding in findings if finding.value is True}
    assert all(not finding.proven for finding in findings)
    assert claims(findings)["secure-boot"] in (True, False)


def test_the_table_says_what_it_is_worth(command: CommandLine) -> None:
    shown = command.ok("modelkeep posture")
    assert "secure-boot" in shown.out
    assert "none of this is proof" in shown.err
    (command.folder / "model.keep").write_bytes(b"")
    listed = command.ok("modelkeep posture --json --model model.keep --verity-root 00").json["findings"]
    assert {"model-verity", "no-swap"} <= {each["name"] for each in listed}
    assert {each["standing"] for each in listed} == {"claimed"}
    assert command.shell("modelkeep posture --verity-root 00").code == 2
    assert command.shell("modelkeep posture --model nowhere.keep").code == 6


def adb(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a command called adb first on the path."""
    path = folder / "bin" / "adb"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_properties_that_are_absent_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adb(tmp_path, monkeypatch, 'case "$3" in *verifiedbootstate) echo green ;; *locked) echo 1 ;; esac')
    found = named(android.findings())
    assert {name: finding.value for name, finding in found.items()} == {
        "android-boot-state": True,
        "android-verity-mode": False,
        "android-flash-locked": True,
        "android-device-state": False,
        "android-boot-digest": "absent",
    }
    assert "absent" in found["android-verity-mode"].why


def test_a_device_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adb(tmp_path, monkeypatch, 'echo "error: device not found" >&2; exit 1')
    with pytest.raises(UnavailableError, match="device not found"):
        list(android.findings("emulator-5554"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="not installed"):
        list(android.findings())
