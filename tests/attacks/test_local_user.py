"""Another user of the same machine: key files that he may read or change are not used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from modelkeep.errors import KeyStoreError
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.keys.identity import Identity
from modelkeep.trust import plain
from modelkeep.trust.signer import Signer
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
