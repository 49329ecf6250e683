"""Every committed installation opens with the state beside it, or is refused as its entry says."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from modelkeep import errors
from modelkeep.bundle.access import Access, unlock
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.container import names
from modelkeep.container.order import INSTALLATION, Order
from modelkeep.device.local_key import from_secret
from support.states import path_of
from support.vectors import identity_of, verifier_of

FOLDER = Path(__file__).parents[2] / "vectors" / "v1" / "installs"
INDEX = json.loads((FOLDER / "index.json").read_text())


def content_of(unlocked: Unlocked) -> dict[str, dict[str, Any]]:
    """Returns digest and size of every file."""
    found = {}
    for index, file in enumerate(unlocked.inner_manifest().files, start=1):
        content = bytearray(unlocked.manifest.members[index].size)
        unlocked.decrypt(index, memoryview(content))
        found[file.path] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return found


@pytest.mark.parametrize("vector", INDEX["bundles"], ids=lambda vector: str(vector["name"]))
def test_installation(vector: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt() -> None:
        with unlock(FOLDER / vector["bundle"], access) as unlocked:
            assert content_of(unlocked) == vector["files"]
            assert unlocked.provenance.device_id == vector["device_id"]

    monkeypatch.setenv("MODELKEEP_STATE", str(tmp_path / "state"))
    with Access(identity_of(vector, tmp_path, monkeypatch), verifier_of(vector)) as access:
        if "state" in vector:
            path_of(access.identity).parent.mkdir(mode=0o700)
            shutil.copy(FOLDER / vector["state"], path_of(access.identity))
        if vector["error"] is None:
            attempt()
            return
        with pytest.raises(errors.KeepError) as caught:
            attempt()
        assert type(caught.value).__name__ == vector["error"]


def test_tag_of_what_is_sealed_to_a_tpm_is_made_as_the_specification_says() -> None:
    # No file can show it: what is beside the tag opens in one TPM alone.
    secret, body, context = bytes(range(32)), b"kept | public | private", b"context"
    local = HKDF(hashes.SHA256(), 32, None, b"modelkeep/v1/local").derive(secret)
    key = HKDFExpand(hashes.SHA256(), 32, b"modelkeep/v1/sealed" + context).derive(local)
    with closing(from_secret(memoryview(secret))) as device:
        assert device.authenticate(body, context) == hmac.digest(key, body, "sha256")


LIMITS = {
    "install.json": 65_536,
    "manifest.json": 2**20,
    "model.sig": 8 * 2**20,
    "signatures/0": 2**17,
}


@pytest.mark.parametrize("name", LIMITS)
def test_sizes_of_an_installation_end_where_the_specification_says(name: str) -> None:
    order, larger = Order(INSTALLATION), Order(INSTALLATION)
    for earlier in (names.INSTALL, names.MANIFEST, names.SIGNATURE, names.SECOND_SIGNATURE):
        if earlier == name:
            order.check(name, LIMITS[name])
            with pytest.raises(errors.MalformedError, match="larger than allowed"):
                larger.check(name, LIMITS[name] + 1)
            return
        order.check(earlier, 1)
        larger.check(earlier, 1)
