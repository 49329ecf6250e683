"""Another user of the same machine: key files that he may read or change are not used."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelkeep.dsse import APPROVAL_LABEL
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.keys.identity import Identity
from modelkeep.trust import plain
from modelkeep.trust.signer import Signer
from modelkeep.trust.signers import open_signer
from modelkeep.trust.signing_keys import create_signing_key
from support.workshop import Workshop

LOOSE = [0o604, 0o640, 0o660, 0o602, 0o620, 0o644, 0o777]


@pytest.mark.parametrize("mode", LOOSE, ids=oct)
@pytest.mark.parametrize("kind", ["p256", "x25519", "mlkem768-x25519"])
def test_a_device_key_that_others_may_touch_is_refused(workshop: Workshop, kind: str, mode: int) -> None:
    path = workshop.new_device("loose", kind)
    path.chmod(mode)
    with pytest.raises(KeyStoreError, match="others may read or change"):
        workshop.identity(path)


@pytest.mark.parametrize("mode", LOOSE, ids=oct)
def test_a_signing_key_that_others_may_touch_is_refused(workshop: Workshop, mode: int) -> None:
    workshop.publisher_pem.chmod(mode)
    with pytest.raises(KeyStoreError, match="others may read or change this key"):
        Signer.from_pem(workshop.publisher_pem)


@pytest.mark.parametrize("mode", LOOSE, ids=oct)
def test_a_plain_signing_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    create_signing_key(tmp_path / "plain.pem", "plain")
    (tmp_path / "plain.pem").chmod(mode)
    with pytest.raises(KeyStoreError, match="others may read or change this key"):
        plain.sign(tmp_path / "plain.pem", tmp_path / "plain.pem")


@pytest.mark.parametrize("name", ["master", "device"])
def test_a_fleet_key_that_others_may_touch_is_refused(tmp_path: Path, name: str) -> None:
    create_master(str(tmp_path / "master"))
    create_device(str(tmp_path / "device"), str(tmp_path / "master"), "pi-1")
    (tmp_path / name).chmod(0o640)
    with pytest.raises(KeyStoreError, match="others may read or change"):
        Identity(f"fleet:{tmp_path / name}?device=pi-1")


def test_new_keys_are_private_whatever_the_umask(workshop: Workshop, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_signing_key(tmp_path / "signing.pem")
        create_master(str(tmp_path / "master"))
        keys = [tmp_path / "signing.pem", tmp_path / "master", workshop.new_device("new")]
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600] * 3


def test_a_pipe_in_the_place_of_a_key_does_not_hold_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.pem", 0o600)
    with pytest.raises(KeyStoreError, match="not a regular file"):
        Identity(f"file:{tmp_path / 'key.pem'}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_not_used_by_root(workshop: Workshop) -> None:
    passphrase = workshop.folder / "passphrase"
    passphrase.write_text("correct horse")
    for path in (workshop.device, workshop.publisher_pem, passphrase):
        path.chmod(0o600)
        os.chown(path, 65534, 65534)
    for attempt in (
        workshop.identity,
        lambda: Signer.from_pem(workshop.publisher_pem),
        lambda: Identity(f"passphrase:?file={passphrase}"),
    ):
        with pytest.raises(KeyStoreError, match="belongs to another user") as refusal:
            attempt()
        assert "chown" in (refusal.value.hint or "")


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640], ids=oct)
def test_a_passphrase_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "passphrase").write_text("correct horse")
    (tmp_path / "passphrase").chmod(mode)
    with pytest.raises(KeyStoreError, match="others may read or change"):
        Identity(f"passphrase:?file={tmp_path / 'passphrase'}")


@pytest.mark.parametrize("mode", [0o440, 0o444], ids=oct)
def test_a_secret_that_an_orchestrator_mounts_read_only(workshop: Workshop, mode: int) -> None:
    workshop.device.chmod(mode)
    bundle = workshop.seal()
    with read_only(workshop.device) as mounted:
        if mode == 0o440:
            workshop.open(bundle, identity=workshop.identity(mounted)).close()
            return
        with pytest.raises(KeyStoreError, match="more than this user and its group") as refusal:
            workshop.identity(mounted)
    assert "mode 0400, or 0440" in (refusal.value.hint or "")


@contextmanager
def read_only(path: Path) -> Iterator[Path]:
    """Mounts a file over itself, read-only."""
    mount = ["mount", "--bind", "-o", "ro", str(path), str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting takes root and a kernel that lets it")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_device_key_does_not_sign_and_a_signing_key_opens_nothing(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match="this key opens models, and is not for anything else"):
        Signer.from_pem(workshop.device)
    with pytest.raises(UsageError, match="this key opens models"):
        plain.sign(workshop.device, workshop.device)
    for kind, words in (
        ("signing", "signs bundles"),
        ("plain", "signs plain files"),
        ("approving", "approves"),
    ):
        create_signing_key(workshop.folder / f"{kind}.pem", kind)
        with pytest.raises(UsageError, match=f"this key {words}"):
            workshop.identity(workshop.folder / f"{kind}.pem")
        if kind != "signing":
            with pytest.raises(UsageError, match=f"this key {words}"):
                Signer.from_pem(workshop.folder / f"{kind}.pem")


def test_a_plain_signature_does_not_approve_a_boot_state(workshop: Workshop) -> None:
    create_signing_key(workshop.folder / "plain.pem", "plain")
    wanted = workshop.folder / "boot-state"
    wanted.write_bytes(bytes(32) + APPROVAL_LABEL)
    with pytest.raises(UsageError, match="what signatures of another kind cover"):
        plain.sign(wanted, workshop.folder / "plain.pem")
    for other in ("plain.pem", "publisher.pem"):
        with pytest.raises(UsageError, match="is not for anything else"):
            open_signer(workshop.folder / other, purpose=Purpose.APPROVE)
