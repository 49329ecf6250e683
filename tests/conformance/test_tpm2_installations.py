"""What a TPM keeps for installations, and what comes of it when the TPM cannot help; live."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelkeep.device.local_key import LocalKey
from modelkeep.errors import KeyStoreError, TamperedError
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key
from support.device import Device
from support.swtpm import SoftwareTpm, loaded
from support.workshop import Workshop

KEY, CONTEXT = bytes(range(32)), b"a context"
TAG_AND_WRAP = 72


def local_key(uri: str) -> LocalKey:
    create_key(uri)
    return Identity(uri).local_key()


@contextmanager
def loaded_object(tpm: SoftwareTpm, path: Path, wrapped: bytes) -> Iterator[tuple[Any, Any, Any]]:
    """Loads the sealed object in `wrapped` and meets its policy; yields TPM, object and session."""
    from modelkeep.keys.tpm2.device import connected
    from modelkeep.keys.tpm2.key_file import KeyFile
    from modelkeep.keys.tpm2.sealed_object import SealedObject, _load
    from modelkeep.keys.tpm2.session import under_policy

    sealed = SealedObject.from_bytes(wrapped[TAG_AND_WRAP:])
    with (
        connected(tpm.tcti) as opened,
        under_policy(opened, KeyFile.read(path), None, lambda parent: _load(opened, parent, sealed)) as both,
    ):
        yield opened, *both


def test_sealed_object_is_fixed_says_the_tpm(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import ESYS_TR, TPM2_ALG, TPM2B_DATA, TPMA_OBJECT, TPMT_SYM_DEF_OBJECT, TSS2_Exception

    wrapped = local_key(f"tpm2:{tmp_path / 'key.tpm'}").wrap(memoryview(KEY), CONTEXT)
    with loaded_object(tpm, tmp_path / "key.tpm", wrapped) as (opened, data, session):
        answer = opened.esapi.read_public(data)
        area = answer[0].publicArea
        assert area.type == TPM2_ALG.KEYEDHASH
        assert area.objectAttributes & TPMA_OBJECT.FIXEDTPM
        assert area.objectAttributes & TPMA_OBJECT.FIXEDPARENT
        assert not area.objectAttributes & TPMA_OBJECT.USERWITHAUTH
        nothing = TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL)
        with pytest.raises(TSS2_Exception):
            opened.esapi.duplicate(data, ESYS_TR.NULL, TPM2B_DATA(), nothing, session1=session)


def test_sealed_object_without_its_policy_is_refused(tpm: SoftwareTpm, tmp_path: Path) -> None:
    wrapped = local_key(f"tpm2:{tmp_path / 'key.tpm'}").wrap(memoryview(KEY), CONTEXT)
    with (
        pytest.raises(KeyStoreError, match="needs its policy"),
        loaded_object(tpm, tmp_path / "key.tpm", wrapped) as (opened, data, _session),
    ):
        opened.esapi.unseal(data)


def test_secret_crosses_the_bus_encrypted(tpm: SoftwareTpm, tmp_path: Path) -> None:
    from tpm2_pytss import TPMA_SESSION

    wrapped = local_key(f"tpm2:{tmp_path / 'key.tpm'}").wrap(memoryview(KEY), CONTEXT)
    with loaded_object(tpm, tmp_path / "key.tpm", wrapped) as (opened, _data, session):
        attributes = opened.esapi.trsess_get_attributes(session)
    assert attributes & TPMA_SESSION.ENCRYPT
    assert attributes & TPMA_SESSION.DECRYPT


def test_every_installation_has_a_secret_of_its_own(tpm: SoftwareTpm, tmp_path: Path) -> None:
    local = local_key(f"tpm2:{tmp_path / 'key.tpm'}")
    first, second = (local.wrap(memoryview(KEY), CONTEXT) for _ in range(2))
    assert first[TAG_AND_WRAP:] != second[TAG_AND_WRAP:]
    assert local.unwrap(first, CONTEXT) == local.unwrap(second, CONTEXT) == KEY


def test_nothing_stays_loaded_after_sealing_and_refusing(tpm: SoftwareTpm, tmp_path: Path) -> None:
    local = local_key(f"tpm2:{tmp_path / 'key.tpm'}")
    wrapped = local.wrap(memoryview(KEY), CONTEXT)
    assert local.unwrap(wrapped, CONTEXT) == KEY
    with pytest.raises(TamperedError):
        local.unwrap(wrapped, b"another context")
    tpm.extend(7, b"\x11" * 32)
    with pytest.raises(KeyStoreError):
        local.unwrap(wrapped, CONTEXT)
    assert loaded(tpm.tcti) == []


def test_locked_tpm_loses_no_installation(
    tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpm2_pytss import ESAPI

    monkeypatch.setenv("RIGHT", "right")
    monkeypatch.setenv("WRONG", "wrong")
    path = f"tpm2:{tmp_path / 'disk' / 'device.tpm'}"
    device = Device(workshop, tmp_path, f"{path}?auth-env=RIGHT")
    device.install(epoch=1)
    for _ in range(6):
        with pytest.raises(KeyStoreError, match="passphrase|locked"):
            Identity(f"{path}?auth-env=WRONG").local_key()
    with pytest.raises(KeyStoreError, match="locked") as refusal:
        device.open()
    assert "lockout" in (refusal.value.hint or "")
    with pytest.raises(KeyStoreError, match="locked"):
        device.install(epoch=2)
    with ESAPI(tpm.tcti) as esapi:
        esapi.dictionary_attack_lock_reset()
    device.open()
    device.install(epoch=2)
    device.open()


def test_full_nv_loses_no_installation(tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path) -> None:
    from tpm2_pytss import ESAPI

    device = Device(workshop, tmp_path)
    filler = fill(tpm, 0x01C10000)
    # There is no room for the counter that the first installation makes.
    with pytest.raises(KeyStoreError, match="no space left"):
        device.install(epoch=1)
    assert not device.installed.exists()
    with ESAPI(tpm.tcti) as esapi:
        esapi.nv_undefine_space(esapi.tr_from_tpmpublic(filler))
    device.install(epoch=1)
    device.open()
    # What is there already needs no room.
    fill(tpm, 0x01C20000)
    device.install(epoch=2)
    device.open()


def fill(tpm: SoftwareTpm, index: int) -> int:
    """Fills the TPM's memory with large and small things, and returns the index of the first."""
    from tpm2_pytss import ESAPI, TPM2_ALG, TPM2_NT, TPM2B_NV_PUBLIC, TPMA_NV, TPMS_NV_PUBLIC, TSS2_Exception

    ordinary = TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE
    upcoming = itertools.count(index)
    # The last room is for counters alone.
    kinds = (2048, ordinary), (64, ordinary), (8, ordinary), (8, ordinary | (TPM2_NT.COUNTER << 4))
    with ESAPI(tpm.tcti) as esapi:
        for size, attributes in kinds:
            with pytest.raises(TSS2_Exception):
                for place in upcoming:
                    public = TPMS_NV_PUBLIC(
                        nvIndex=place, nameAlg=TPM2_ALG.SHA256, attributes=attributes, dataSize=size
                    )
                    esapi.nv_define_space(b"", TPM2B_NV_PUBLIC(public))
    return index


@pytest.mark.parametrize("operation", ["unseal", "create", "load", "policy_pcr", "flush_context"])
def test_tpm_that_goes_away_in_the_middle_is_named(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    from tpm2_pytss import ESAPI

    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    local = local_key(uri)
    wrapped = local.wrap(memoryview(KEY), CONTEXT)
    genuine = getattr(ESAPI, operation)

    def pull_the_plug(esapi: Any, *arguments: Any, **options: Any) -> Any:
        tpm.stop(clean=False)
        return genuine(esapi, *arguments, **options)

    with monkeypatch.context() as now:
        now.setattr(ESAPI, operation, pull_the_plug)
        with pytest.raises(KeyStoreError, match="cannot be reached"):
            local.wrap(memoryview(KEY), CONTEXT) if operation == "create" else local.unwrap(wrapped, CONTEXT)
    tpm.start()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    assert Identity(uri).local_key().unwrap(wrapped, CONTEXT) == KEY


def test_interrupts_leave_nothing_loaded(tpm: SoftwareTpm, tmp_path: Path) -> None:
    local = local_key(f"tpm2:{tmp_path / 'key.tpm'}")
    wrapped = local.wrap(memoryview(KEY), CONTEXT)
    for _ in range(25):
        interruption = threading.Thread(target=interrupt_soon)
        with pytest.raises(KeyboardInterrupt):
            interruption.start()
            while True:
                local.unwrap(wrapped, CONTEXT)
        interruption.join()
        assert loaded(tpm.tcti) == []
    assert local.unwrap(wrapped, CONTEXT) == KEY


def interrupt_soon() -> None:
    time.sleep(random.uniform(0.001, 0.03))
    os.kill(os.getpid(), signal.SIGINT)


def test_signals_wait_for_the_tpm(tpm: SoftwareTpm) -> None:
    from modelkeep.keys.tpm2.device import connected

    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        with connected(tpm.tcti):
            signal.raise_signal(signal.SIGUSR1)
            assert seen == []
        assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_interrupts_that_somebody_else_handles_reach_them(tpm: SoftwareTpm) -> None:
    from modelkeep.keys.tpm2.device import connected

    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with connected(tpm.tcti):
            signal.raise_signal(signal.SIGINT)
            assert seen == []
        assert seen == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with connected(tpm.tcti):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


WORK = """
import sys, time
from pathlib import Path
from modelkeep.errors import KeyStoreError
from modelkeep.keys.identity import Identity

wrapped, done = Path(sys.argv[2]).read_bytes(), 0
while done < 10:
    try:
        local = Identity(sys.argv[1]).local_key()
        assert local.unwrap(wrapped, b"a context") == bytes(range(32))
        done += 1
    except KeyStoreError as error:
        # Without a resource manager, two processes have the room of one.
        assert "no room" in str(error), error
        time.sleep(0.01)
"""


def test_two_processes_without_a_resource_manager_are_told_when_there_is_no_room(
    tpm: SoftwareTpm, tmp_path: Path
) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    (tmp_path / "wrapped").write_bytes(local_key(uri).wrap(memoryview(KEY), CONTEXT))
    command = [sys.executable, "-c", WORK, uri, str(tmp_path / "wrapped")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for each in both:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors
    assert loaded(tpm.tcti) == []


def test_threads_take_turns_at_the_tpm(tpm: SoftwareTpm, tmp_path: Path) -> None:
    uri = f"tpm2:{tmp_path / 'key.tpm'}"
    shared = local_key(uri)
    contexts = [b"context %d" % number for number in range(12)]

    def work(context: bytes) -> bool:
        wrapped = shared.wrap(memoryview(KEY), context)
        return Identity(uri).local_key().unwrap(wrapped, context) == KEY

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, contexts))
    assert loaded(tpm.tcti) == []


def test_what_is_sealed_is_wrapped_with_something_random(tpm: SoftwareTpm, tmp_path: Path) -> None:
    local = local_key(f"tpm2:{tmp_path / 'device.tpm'}")
    wrapped = [local.wrap(memoryview(KEY), CONTEXT) for _ in range(2)]
    # The key's wrapping depends on the sealed secret alone.
    assert wrapped[0][32:TAG_AND_WRAP] != wrapped[1][32:TAG_AND_WRAP]
