"""Numbers and documents made to exhaust memory, time or arithmetic."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.container import tar
from modelkeep.errors import KeepError, KeyStoreError, MalformedError, TamperedError
from modelkeep.grants import passphrase
from modelkeep.grants.grant import LARGEST_GRANT, Grant
from modelkeep.grants.header import HIGHEST_LOG_N
from modelkeep.grants.passphrase import PassphraseRecipient
from modelkeep.manifest import LARGEST_MEMBER
from modelkeep.memory import Pages
from modelkeep.trust import oms
from support.attacker import Forgery
from support.workshop import MODEL_ID, Workshop

MEGABYTE = 2**20
# A small device: room for Python, the libraries and one bundle of a few megabytes.
ADDRESS_SPACE = 900 * MEGABYTE

_OPEN = """
import resource, sys
from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.errors import KeepError
from modelkeep.keys.identity import Identity
from modelkeep.memory import Pages
from modelkeep.trust.verifier import Verifier
verifier, identity = Verifier(sys.argv[2], model=sys.argv[4]), Identity("file:" + sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[5]),) * 2)
try:
    with unlock_bundle(sys.argv[1], Access(identity, verifier)) as opened:
        inner = opened.inner_manifest()
        pages = Pages.allocate(opened.verified.manifest.members[1].size)
        opened.decrypt(1, pages.view)
except KeepError as error:
    print(type(error).__name__)
else:
    print("opened")
"""


def _open_on_a_small_device(workshop: Workshop, bundle: Path) -> str:
    public = workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    arguments = [bundle, public, workshop.device, MODEL_ID, str(ADDRESS_SPACE)]
    command = [sys.executable, "-c", _OPEN, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_small_device_opens_an_ordinary_bundle(workshop: Workshop) -> None:
    assert _open_on_a_small_device(workshop, workshop.seal()) == "opened"


def test_an_unsigned_document_cannot_exhaust_the_memory(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["model.sig"] = bytearray(b"[" + b"{}," * (oms.LARGEST_DOCUMENT // 3 - 2) + b"{}]")
    bundle = forgery.write(workshop.folder / "bomb.keep")
    assert _open_on_a_small_device(workshop, bundle) == "MalformedError"


def test_an_oversized_document_is_refused_unread(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["model.sig"] = bytearray(oms.LARGEST_DOCUMENT + 1)
    with pytest.raises(MalformedError, match="larger than allowed"):
        workshop.open(forgery.write(workshop.folder / "bomb.keep"))


def test_a_sparse_file_of_a_terabyte_does_not_take_a_terabyte(workshop: Workshop) -> None:
    """A publisher signs a member of 2^40 bytes, and sends an archive that is nearly all holes."""
    forgery = Forgery(workshop.seal())
    size = 2**40
    segments = -(-(size + 40) // (MEGABYTE - 16))
    sizes = {name: len(content) for name, content in forgery.files.items()}
    sizes |= {"leaves/1": 32 * segments, "payload/1": size + 40 + 16 * segments}
    forgery.edit_member(1, size=size)
    sizes["manifest.json"] = len(forgery.files["manifest.json"])
    forgery.sign(workshop.signer)
    sizes["model.sig"] = len(forgery.files["model.sig"])
    bundle = _write_sparse(workshop.folder / "sparse.keep", forgery, sizes)
    assert _open_on_a_small_device(workshop, bundle) == "UnavailableError"


def _write_sparse(path: Path, forgery: Forgery, sizes: dict[str, int]) -> Path:
    with path.open("wb") as file:
        for name, size in sizes.items():
            if name.startswith("payload/"):
                file.write(tar.pad_before(file.tell()))
            file.write(tar.header(name, size))
            end = file.tell() + tar.round_up(size)
            if len(forgery.files[name]) == size:
                file.write(forgery.files[name])
            file.seek(end)
        file.write(tar.END)
    return path


@pytest.mark.parametrize(
    ("size", "refusal"),
    [
        (2**60, MalformedError),
        (2**63, MalformedError),
        (2**53 - 1, MalformedError),
        (LARGEST_MEMBER, TamperedError),
        (-1, MalformedError),
        (0, TamperedError),
    ],
)
def test_a_manifest_that_claims_a_monstrous_file_is_refused(
    workshop: Workshop, size: int, refusal: type[KeepError]
) -> None:
    forgery = Forgery(workshop.seal())
    members = forgery.manifest
    members["members"][1]["size"] = size
    # As text, since the project's own encoder refuses some of these numbers.
    text = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    forgery.files["manifest.json"] = bytearray(text)
    forgery.sign(workshop.signer)
    with pytest.raises(refusal):
        workshop.open(forgery.write(workshop.folder / "huge.keep"))


@pytest.mark.parametrize("name", ["epoch", "sealed_at", "version"])
@pytest.mark.parametrize(
    "value", [b"9" * 5000, b"1e400", b"-1", b"9007199254740992"], ids=lambda value: value[:8]
)
def test_monstrous_numbers_are_refused(workshop: Workshop, name: str, value: bytes) -> None:
    forgery = Forgery(workshop.seal())
    old = b'"%s":%d' % (name.encode(), forgery.manifest[name])
    new = b'"%s":%s' % (name.encode(), value)
    assert old in forgery.files["manifest.json"]
    forgery.files["manifest.json"] = forgery.files["manifest.json"].replace(old, new)
    forgery.sign(workshop.signer)
    with pytest.raises(MalformedError):
        workshop.open(forgery.write(workshop.folder / "huge.keep"))


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
@pytest.mark.parametrize("name", ["manifest.json", "model.sig", "grants/0"])
def test_deep_nesting_is_refused(workshop: Workshop, name: str, opening: bytes) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files[name] = bytearray(opening * (8000 // len(opening)))
    if name == "manifest.json":
        forgery.sign(workshop.signer)
    with pytest.raises(MalformedError):
        workshop.open(forgery.write(workshop.folder / "deep.keep"))


@pytest.mark.parametrize(
    "cost",
    [{"log_n": 40}, {"log_n": 21}, {"log_n": 13}, {"r": 2**30}, {"p": 2**30}, {"p": 2}, {"log_n": 2**60}],
    ids=str,
)
def test_a_costly_passphrase_grant_is_refused_before_any_work(
    workshop: Workshop, cost: dict[str, int]
) -> None:
    forgery = Forgery(workshop.seal())
    scrypt: dict[str, Any] = {"log_n": 17, "p": 1, "r": 8, "salt": "00" * 16} | cost
    grant = json.loads(forgery.files["grants/0"])
    header = json.loads(base64.b64decode(grant["header"])) | {"type": "passphrase", "scrypt": scrypt}
    text = json.dumps(header, separators=(",", ":"), sort_keys=True)
    grant["header"] = base64.b64encode(text.encode()).decode()
    with pytest.raises(MalformedError):
        Grant.from_bytes(canonical.encode(grant))


def test_too_many_grants_are_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    for number in range(1025):
        forgery.files[f"grants/{number}"] = forgery.files["grants/0"]
    with pytest.raises(MalformedError, match="too many files under grants"):
        workshop.open(forgery.write(workshop.folder / "many.keep"))


def test_an_oversized_grant_is_refused_unread(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["grants/0"] = bytearray(LARGEST_GRANT + 1)
    with pytest.raises(MalformedError, match="larger than allowed"):
        workshop.open(forgery.write(workshop.folder / "large.keep"))


def test_a_sidecar_without_line_ends_is_not_read_into_memory(workshop: Workshop) -> None:
    bundle = workshop.seal(to=[workshop.new_device("other").with_suffix(".pub")])
    sidecar = bundle.with_name(f"{bundle.name}.grants")
    sidecar.touch()
    os.truncate(sidecar, 2**40)
    assert _open_on_a_small_device(workshop, bundle) == "MalformedError"


def test_a_passphrase_grant_beyond_the_memory_of_the_device_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cost is within the format's bounds, but this device has 512 MB."""
    monkeypatch.setattr(passphrase, "available_memory", lambda: 512 * 2**20)
    refused = pytest.raises(KeyStoreError, match=r"not enough memory for scrypt \(1024 MiB\)")
    with Pages.allocate(8) as secret, refused:
        PassphraseRecipient(secret, HIGHEST_LOG_N).wrap(bytearray(104), b"context")
