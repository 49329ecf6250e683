"""Readers of what updates bring and leave: golden vectors, notes of trials, installations in the making."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.bundle.access import Access
from modelkeep.device.authenticated import authenticated, body_of
from modelkeep.errors import TamperedError
from modelkeep.golden import Golden, GoldenCase
from modelkeep.golden_limits import GoldenLimits
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.keys.identity import Identity
from modelkeep.trust.verifier import Verifier
from modelkeep.updates import trial_notes
from modelkeep.updates.place import OwnPlace
from modelkeep.updates.reception import Reception, receiving
from modelkeep.updates.source import FileSource
from modelkeep.updates.trial_file import TrialFile
from modelkeep.updates.trial_notes import Notes, TrialEnd
from modelkeep.updates.unfinished import resume
from support.states import path_of

VECTORS = Path(__file__).parents[2] / "vectors" / "v1" / "updates"
LOCAL = HpkeHandle(ec.derive_private_key(17, ec.SECP256R1())).local_key()
CONTEXT = b"modelkeep/v1/trial"
_OPEN = ExitStack()
atexit.register(_OPEN.close)


def read_golden(data: bytes) -> None:
    """Reads golden vectors and writes them back."""
    golden = Golden.from_bytes(data, GoldenLimits())
    assert len(Golden.from_bytes(golden.to_bytes(), GoldenLimits()).cases) == len(golden.cases)


def read_trial_notes(data: bytes) -> None:
    """Reads notes of trials and writes them back."""
    notes = trial_notes.parse(data)
    assert trial_notes.parse(trial_notes.encode(notes)) == notes


def read_trial_file(data: bytes) -> None:
    """Reads notes of trials that somebody else wrote, which say nothing."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "trial.json").write_bytes(data)
        assert TrialFile(Path(folder)).read(LOCAL) is None
        body_of(LOCAL, data, CONTEXT, "trial notes", 2**16)


def read_unfinished(data: bytes) -> None:
    """Reads what is there of an installation, as for going on with it."""
    reception = _reception()
    with _file(data) as descriptor:
        found = resume(reception._wanted, OwnPlace(descriptor), reception.remembered)
        if found is None:
            return
        with found:
            for member in range(len(reception._wanted.sizes)):
                assert len(found.noted_header(member)) == 40 or found.is_complete
                with suppress(TamperedError):
                    found.cipher(member)


@functools.cache
def _reception() -> Reception:
    """Returns the front of the vectors' release, on a device that has begun to install it."""
    index = json.loads((VECTORS / "index.json").read_text())["journals"]
    folder = Path(_OPEN.enter_context(tempfile.TemporaryDirectory()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELKEEP_STATE", str(folder))
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text(index["identity"]["pem"])
        identity = Identity(f"file:{folder / 'key'}")
        path_of(identity).write_bytes((VECTORS / index["state"]).read_bytes())
        verifier = Verifier(index["trusted"].encode(), model=index["model"])
        source = FileSource(VECTORS / "release.keep")
        return _OPEN.enter_context(receiving(source, Access(identity, verifier)))


@contextmanager
def _file(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("installation")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


READERS: Mapping[str, Callable[[bytes], None]] = {
    "golden vectors": read_golden,
    "trial notes": read_trial_notes,
    "trial file": read_trial_file,
    "installation in the making": read_unfinished,
}


def good_documents() -> Mapping[str, Sequence[bytes]]:
    """Returns good documents for every reader here."""
    x = np.array([[1, 2, 3, 4]], np.float32)
    case = GoldenCase({"x": x, "words": np.array(["a", "bc"])}, {"y": 2 * x, "list": [x, x]})
    full = Notes(bytes(16), "start", 1, 2, 1, 3, "start", bytes(32), TrialEnd.REFUSED, "off by 0.3", 9)
    stranger = HpkeHandle(ec.derive_private_key(18, ec.SECP256R1())).local_key()
    index = json.loads((VECTORS / "index.json").read_text())
    return {
        "golden vectors": [Golden((case,)).to_bytes(), Golden((case, case)).to_bytes()],
        "trial notes": [trial_notes.encode(Notes(bytes(16))), trial_notes.encode(full)],
        "trial file": [
            authenticated(stranger, trial_notes.encode(full), CONTEXT),
            base64.b64decode(index["trial_files"][0]["data"]),
        ],
        "installation in the making": [(VECTORS / "half.arriving").read_bytes()],
    }
