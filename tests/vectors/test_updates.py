"""The committed vectors of slots, notes of trials, and installations in the making."""

from __future__ import annotations

import base64
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelkeep import errors
from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.device.contents import Stage
from modelkeep.device.local_key import from_secret
from modelkeep.updates import trial_notes
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_file import TrialFile
from modelkeep.updates.trial_notes import TrialEnd
from support.states import path_of
from support.vectors import identity_of, verifier_of

FOLDER = Path(__file__).parents[2] / "vectors" / "v1" / "updates"
INDEX = json.loads((FOLDER / "index.json").read_text())
JOURNALS = INDEX["journals"]


def about(vector: dict[str, Any]) -> str:
    return str(vector["about"])


def check(vector: dict[str, Any], read: Any) -> None:
    if vector["error"] is None:
        read()
        return
    with pytest.raises(getattr(errors, vector["error"])) as caught:
        read()
    assert type(caught.value).__name__ == vector["error"]


@pytest.mark.parametrize("vector", INDEX["slots"], ids=about)
def test_slots(vector: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "slots.json").write_bytes(base64.b64decode(vector["data"]))
    check(vector, lambda: SlotFolder.read(tmp_path))


@pytest.mark.parametrize("vector", INDEX["notes"], ids=about)
def test_notes(vector: dict[str, Any]) -> None:
    data = base64.b64decode(vector["data"])
    check(vector, lambda: trial_notes.parse(data))
    if vector["error"] is None:
        assert trial_notes.encode(trial_notes.parse(data)) == data


@pytest.mark.parametrize("vector", INDEX["trial_files"], ids=about)
def test_trial_file(vector: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "trial.json").write_bytes(base64.b64decode(vector["data"]))
    expected = None if vector["body"] is None else trial_notes.parse(base64.b64decode(vector["body"]))
    with closing(from_secret(memoryview(bytearray.fromhex(vector["local"])))) as local:
        assert TrialFile(tmp_path).read(local) == expected


@pytest.mark.parametrize("vector", INDEX["ends"], ids=about)
def test_end(vector: dict[str, Any]) -> None:
    before, after = (trial_notes.parse(base64.b64decode(vector[name])) for name in ("before", "after"))
    if vector["end"] is None:
        assert before.cut_off(vector["boot"]) == after
    else:
        assert replace(before.ended(TrialEnd(vector["end"]), "why"), at=0) == after


@pytest.mark.parametrize("vector", JOURNALS["kept"], ids=about)
def test_journal(vector: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, slots = FOLDER / vector["bundle"], tmp_path / "slots"
    SlotFolder(slots, JOURNALS["model"]).create()
    (slots / "a.keep").write_bytes(edited((FOLDER / vector["arriving"]).read_bytes(), vector["edits"]))
    monkeypatch.setenv("MODELKEEP_STATE", str(tmp_path / "state"))
    verifier = verifier_of(JOURNALS)
    with Access(identity_of(JOURNALS, tmp_path, monkeypatch), verifier, stage=Stage.TRIAL) as access:
        path_of(access.identity).parent.mkdir(mode=0o700)
        shutil.copy(FOLDER / JOURNALS["state"], path_of(access.identity))
        report = install(bundle, slots, identity=access.identity, verifier=verifier)
        assert report.kept == vector["kept"]
        Slots.open(slots, access).begin_trial(report.slot or "")
        with unlock(bundle, access) as arrived, unlock(report.path, access) as installed:
            for index, member in enumerate(arrived.manifest.members):
                found = [bytearray(member.size), bytearray(member.size)]
                arrived.decrypt(index, memoryview(found[0]))
                installed.decrypt(index, memoryview(found[1]))
                assert found[0] == found[1]


def edited(data: bytes, edits: list[tuple[int, str]]) -> bytes:
    """Returns a file with some bytes put over others."""
    changed = bytearray(data)
    for offset, content in edits:
        new = bytes.fromhex(content)
        changed[offset : offset + len(new)] = new
    return bytes(changed)
