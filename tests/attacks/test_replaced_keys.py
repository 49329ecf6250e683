"""Keys in a TPM that are replaced or removed, and power or the TPM's help that ends in between; live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelkeep.errors import KeyStoreError
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.keys.management import delete_key
from modelkeep.keys.registry import create_key
from support.power import killed_at
from support.swtpm import SoftwareTpm

BUNDLE = bytes(range(16))


def create(uri: str, *, force: bool = False) -> Grant:
    create_key(uri, force=force)
    return issue_to(uri)


def issue_to(uri: str) -> Grant:
    with Identity(uri) as identity, DataKey.from_buffer(bytearray(range(32))) as key:
        return issue(identity.recipient(), BUNDLE, key)


def opens(uri: str, grant: Grant) -> bool:
    with Identity(uri) as identity, identity.unwrap(identity.select([grant], BUNDLE), BUNDLE) as unwrapped:
        return bytes(unwrapped.data_key.view) == bytes(range(32))


def test_a_persistent_key_is_replaced_so_that_one_works_whenever_power_goes(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpm2_pytss import ESAPI

    from modelkeep.keys.tpm2.key_file import KeyFile

    path = tmp_path / "a.tpm"
    uri = f"tpm2:{path}?handle=0x81010017"
    grant, step, found = create(uri), 1, set()
    while killed_at(step, lambda: create_key(uri, force=True), (ESAPI, "evict_control")):
        tpm.restart(clean=False)
        monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
        is_old = issue_to(uri).header.key_id == grant.header.key_id
        found.add(is_old)
        assert opens(uri, grant if is_old else issue_to(uri)), f"step {step}"
        # Done again, it succeeds, and what was half done is gone.
        grant = create(uri, force=True)
        assert opens(uri, grant)
        assert KeyFile.read(path).private == b""
        step += 1
    assert found == {True, False}
    assert step > 6


@pytest.mark.parametrize("step", [1, 2])
def test_a_replacement_that_the_tpm_refuses_leaves_a_key_that_works(
    tpm: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    from tpm2_pytss import ESAPI, TSS2_Exception

    uri = f"tpm2:{tmp_path / 'a.tpm'}?handle=0x81010017"
    grant = create(uri)
    calls, really = iter(range(1, 9)), ESAPI.evict_control

    def refuse(*arguments: Any) -> Any:
        if next(calls) == step:
            raise TSS2_Exception(0x14B)
        return really(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ESAPI, "evict_control", refuse)
        with pytest.raises(KeyStoreError):
            create_key(uri, force=True)
    assert opens(uri, grant if step == 1 else issue_to(uri))


def test_deleting_a_key_leaves_somebody_elses_at_its_handle(tpm: SoftwareTpm, tmp_path: Path) -> None:
    first, second = (f"tpm2:{tmp_path / name}?handle=0x81010017" for name in ("a.tpm", "b.tpm"))
    create(first)
    (tmp_path / "kept").write_bytes((tmp_path / "a.tpm").read_bytes())
    delete_key(first)
    grant = create(second)
    (tmp_path / "kept").rename(tmp_path / "a.tpm")
    delete_key(first)
    assert opens(second, grant)
