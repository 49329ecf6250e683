"""A whole disk that comes back: state and installation together, against the counter of a software TPM."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelkeep.errors import KeyStoreError, RollbackError
from support.device import Device
from support.swtpm import SoftwareTpm
from support.workshop import Workshop


@pytest.fixture
def device(tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path) -> Device:
    return Device(workshop, tmp_path)


def test_restoring_the_whole_disk_of_a_device_with_a_counter(
    device: Device, tpm: SoftwareTpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.install(epoch=1)
    device.open()
    kept = device.keep_disk()
    device.install(epoch=2)
    device.open()
    device.bring_back(kept)
    with pytest.raises(RollbackError, match="not the newest state"):
        device.open()
    with pytest.raises(RollbackError, match="not the newest state"):
        device.install(epoch=1)
    tpm.restart()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    with pytest.raises(RollbackError):
        device.open()


def test_deleting_the_state_of_a_device_with_a_counter(device: Device) -> None:
    device.install(epoch=2)
    shutil.rmtree(device.state.parent)
    with pytest.raises(RollbackError, match="was lost"):
        device.install(epoch=1)


def test_a_new_counter_in_the_place_of_the_old_one(device: Device, tpm: SoftwareTpm) -> None:
    from modelkeep.keys.tpm2.key_counter import KeyCounter

    device.install(epoch=1)
    kept = device.keep_disk()
    device.install(epoch=2)
    device.bring_back(kept)
    counter = KeyCounter(device.recipient.public, tpm.tcti)
    before = counter.value()
    counter.delete()
    with pytest.raises(RollbackError):
        device.open()
    assert before is not None
    assert counter.advance() > before
    with pytest.raises(RollbackError):
        device.open()


def test_a_number_that_can_be_written_in_the_place_of_the_counter(device: Device, tpm: SoftwareTpm) -> None:
    from tpm2_pytss import ESAPI, TPM2_ALG, TPM2B_NV_PUBLIC, TPMA_NV, TPMS_NV_PUBLIC

    from modelkeep.keys.tpm2.key_counter import KeyCounter, index_of

    device.install(epoch=1)
    counter = KeyCounter(device.recipient.public, tpm.tcti)
    kept, number = device.keep_disk(), counter.value()
    assert number is not None
    device.install(epoch=2)
    device.bring_back(kept)
    counter.delete()
    attributes = TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE
    place = index_of(device.recipient.public)
    public = TPMS_NV_PUBLIC(nvIndex=place, nameAlg=TPM2_ALG.SHA256, attributes=attributes, dataSize=8)
    with ESAPI(tpm.tcti) as esapi:
        index = esapi.nv_define_space(b"", TPM2B_NV_PUBLIC(public))
        esapi.nv_write(index, number.to_bytes(8, "big"))
    with pytest.raises(KeyStoreError, match="no counter"):
        device.open()


def test_removing_the_counter_of_a_tpm_whose_owner_has_a_password(
    tpm: SoftwareTpm, workshop: Workshop, tmp_path: Path
) -> None:
    from tpm2_pytss import ESAPI, ESYS_TR, TPM2B_SENSITIVE_CREATE

    from modelkeep.keys.tpm2.creation import USUAL_PARENT
    from modelkeep.keys.tpm2.key_counter import KeyCounter
    from modelkeep.keys.tpm2.templates import storage_primary

    with ESAPI(tpm.tcti) as esapi:
        created = esapi.create_primary(TPM2B_SENSITIVE_CREATE(), storage_primary())
        primary = created[0]
        esapi.evict_control(ESYS_TR.OWNER, primary, USUAL_PARENT)
        esapi.flush_context(primary)
    device = Device(workshop, tmp_path)
    device.install(epoch=1)
    with ESAPI(tpm.tcti) as esapi:
        esapi.hierarchy_change_auth(ESYS_TR.OWNER, b"the owner's password")
    with pytest.raises(KeyStoreError, match="owner|authorisation"):
        KeyCounter(device.recipient.public, tpm.tcti).delete()
    device.install(epoch=2)
    device.open()
