"""Writes the test vectors of slots, trials and installations in the making into vectors/v1/updates.

Run as ``python vectors/generate_updates.py``. Keys and bundles are new each time.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from generate import MODEL

from modelkeep import canonical
from modelkeep.device.local_key import from_secret
from modelkeep.errors import KeepError
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates import trial_notes
from modelkeep.updates.installation import install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_notes import Notes, TrialEnd

FOLDER = Path(__file__).parent / "v1" / "updates"
BUNDLE = bytes(range(16))
LOCAL = bytes(range(32))
GONE = "gone"
FULL = Notes(
    BUNDLE, "start", 2, 9, 1, 4, "other", bytes(32), TrialEnd.REFUSED, "y has 8 for 12", 1_800_000_000
)


def text(data: bytes) -> str:
    """Returns base64."""
    return base64.b64encode(data).decode()


def outcome(about: str, data: bytes, read: Callable[[bytes], object]) -> dict[str, Any]:
    """Returns a vector: is this read?"""
    error = None
    try:
        read(data)
    except KeepError as found:
        error = type(found).__name__
    return {"about": about, "data": text(data), "error": error}


def edited(data: bytes, **members: Any) -> bytes:
    """Returns canonical JSON with other members; those that are `GONE` go."""
    changed = json.loads(data) | members
    return canonical.encode({name: value for name, value in changed.items() if value != GONE})


def read_slots(data: bytes) -> None:
    """Reads what a folder of slots says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "slots.json").write_bytes(data)
        Slots.open(folder, None)  # type: ignore[arg-type]  # nothing is opened


def slots() -> list[dict[str, Any]]:
    """Returns the vectors of `slots.json`."""
    good = canonical.encode({"format": "modelkeep/slots", "model": MODEL, "version": 1})
    changes = [
        ("as it is written", good),
        ("torn", good[:-9]),
        ("empty", b""),
        ("not canonical", good.replace(b":", b": ")),
        ("another format", edited(good, format="modelkeep/slot")),
        ("a newer version", edited(good, version=2)),
        ("a member that nobody knows", edited(good, active="a")),
        ("without a model", edited(good, model=GONE)),
    ]
    return [outcome(about, data, read_slots) for about, data in changes]


def notes() -> list[dict[str, Any]]:
    """Returns the vectors of what notes of trials say, without what authenticates it."""
    good, full = trial_notes.encode(Notes(BUNDLE)), trial_notes.encode(FULL)
    changes = [("of a release that was not tried", good), ("something of everything", full)]
    changes += [(f"end {end.value}", edited(full, end=end.value)) for end in TrialEnd]
    changes += [
        ("torn", full[:-40]),
        ("an end that nobody knows", edited(full, end="failed")),
        ("a reason of 2000 characters", edited(full, reason="x" * 2000)),
        ("a reason of 2001 characters", edited(full, reason="x" * 2001)),
        ("a count below 0", edited(full, crashed=-1)),
        ("an id that is too short", edited(full, bundle="00")),
        ("circumstances that are too short", edited(full, tried="00")),
        ("without what was postponed", edited(full, postponed=GONE)),
        ("a member that nobody knows", edited(full, newer=1)),
        ("a newer version", edited(full, version=2)),
    ]
    return [outcome(about, data, trial_notes.parse) for about, data in changes]


def trial_files() -> list[dict[str, Any]]:
    """Returns the vectors of `trial.json`, by the local key of the device: what they say, or nothing."""
    body = trial_notes.encode(FULL)
    good, foreign = trial_file(body, LOCAL), trial_file(body, bytes(32))
    other = trial_notes.encode(replace(FULL, crashed=3))
    state = trial_file(body, LOCAL, b"modelkeep/v1/state")
    changes = [
        ("as the device wrote it", good, body),
        ("edited", edited(good, body=text(other)), None),
        ("another code", edited(good, mac="00" * 32), None),
        ("of another device", foreign, None),
        ("written as a state", state, None),
        ("torn", good[:-30], None),
        ("what it says alone", body, None),
        ("authentic, and no notes", trial_file(b"{}", LOCAL), None),
    ]
    return [
        {"about": about, "local": LOCAL.hex(), "data": text(data), "body": body and text(body)}
        for about, data, body in changes
    ]


def trial_file(body: bytes, secret: bytes, context: bytes = b"modelkeep/v1/trial") -> bytes:
    """Returns what a device with this local key writes, made as the specification says."""
    key = bytearray(b"k" * 32)
    with closing(from_secret(memoryview(bytearray(secret)))) as local:
        wrapped = local.wrap(memoryview(key), context)
    mac = hmac.digest(key, body, "sha256").hex()
    return canonical.encode({"body": text(body), "key": text(wrapped), "mac": mac})


def ends() -> list[dict[str, Any]]:
    """Returns the vectors of what ends of tries come to: the counts after each, and what follows."""
    running = Notes(BUNDLE, boot="first", crashed=1, interrupted=8, damaged=1, postponed=4)
    vectors = [
        {"about": end.value, "end": end.value, "boot": None} | counts(running, running.ended(end, "why"))
        for end in TrialEnd
        if end is not TrialEnd.INTERRUPTED
    ]
    for about, boot in (("no end, in the same start", "first"), ("no end, in another start", "second")):
        vectors.append({"about": about, "end": None, "boot": boot} | counts(running, running.cut_off(boot)))
    tenth = replace(running, interrupted=9)
    vectors.append(
        {"about": "the tenth time", "end": None, "boot": "second"} | counts(tenth, tenth.cut_off("second"))
    )
    return vectors


def counts(before: Notes, after: Notes) -> dict[str, Any]:
    """Returns notes of before and after, but for the time."""
    encoded = (trial_notes.encode(each) for each in (before, replace(after, at=0)))
    return dict(zip(("before", "after"), map(text, encoded), strict=True))


class Journals:
    """Installations in the making, of which some was edited: how much of them is kept?"""

    def __init__(self, work: Path) -> None:
        self._work = work
        os.environ["MODELKEEP_STATE"] = str(work / "states")
        self._trusted = create_signing_key(work / "publisher.pem")
        self._now = int(time.time())
        self._devices = [
            format_recipient(FileStore().create(str(work / name), "p256")) for name in ("device", "other")
        ]

    def run(self) -> dict[str, Any]:
        """Writes the files, and returns the vectors."""
        bundle, other = self._seal("release", b"abc"), self._seal("other", b"xyz")
        half = self._half(bundle, "device")
        foreign = self._half(bundle, "other")
        FOLDER.joinpath("half.arriving").write_bytes(half)
        shutil.copy(self._state("device"), FOLDER / "device.state")
        FOLDER.joinpath("foreign.arriving").write_bytes(foreign)
        vectors = [self._kept(about, "half.arriving", half, edits) for about, edits in self._edits(half)]
        vectors.append(self._kept("of another device", "foreign.arriving", foreign, []))
        vectors.append(self._kept("of another release", "half.arriving", half, [], bundle=other.name))
        return {
            "identity": {"pem": (self._work / "device").read_text()},
            "trusted": self._trusted.decode(),
            "model": MODEL,
            "now": self._now,
            "minimum_epoch": 0,
            "state": "device.state",
            "kept": vectors,
        }

    def _seal(self, name: str, files: bytes) -> Path:
        source = self._work / f"{name}.files"
        source.mkdir()
        for letter in files.decode():
            (source / f"{letter}.bin").write_bytes(letter.encode() * 300)
        target = FOLDER / f"{name}.keep"
        signer = Signer.from_pem(self._work / "publisher.pem")
        seal(source, model=MODEL, to=self._devices, signer=signer).save(target, force=True)
        return target

    def _half(self, bundle: Path, device: str) -> bytes:
        """Returns the slot of a device that has two files and a half of four."""
        place = self._work / f"slots-{device}"
        Slots.init(place, MODEL)
        data = bundle.read_bytes()
        end = data.rindex(b"payload/2") + 700
        try:
            self._install(io.BytesIO(data[:end]), place, device)
        except KeepError:
            return (place / "a.keep").read_bytes()
        raise AssertionError

    def _install(self, source: Any, place: Path, device: str = "device") -> int:
        verifier = Verifier(self._trusted, model=MODEL)
        with Identity(f"file:{self._work / device}") as identity:
            return install(source, place, identity=identity, verifier=verifier).kept

    def _state(self, device: str) -> Path:
        with Identity(f"file:{self._work / device}") as identity:
            state = identity.device_state()
            assert state is not None
            with state:
                return state.path

    def _edits(self, half: bytes) -> list[tuple[str, list[tuple[int, str]]]]:
        journal = len(half) - 4 * 40
        first, second = (half.index(f"payload/{member}".encode()) + 512 for member in (0, 1))
        return [
            ("as a power cut left it", []),
            ("the first segment torn", [(first + 60, "00" * 20)]),
            ("the second file torn", [(second + 60, "00" * 20)]),
            ("an edited header of what arrived", [(journal + 10, "00" * 20)]),
            ("a header of what arrived that is none", [(journal, "00")]),
            ("an edited header of what was installed", [(second + 10, "00" * 20)]),
            ("headers of two files exchanged", self._exchanged(half, journal)),
            ("an edited install record", [(half.index(b'"wrapped"') + 15, "41414141")]),
            ("an edited frame", [(105, "39")]),
            ("an edited manifest", [(half.index(b"manifest.json") + 540, "30")]),
            ("a byte more", [(len(half), "00")]),
        ]

    def _exchanged(self, half: bytes, journal: int) -> list[tuple[int, str]]:
        headers = half[journal : journal + 40], half[journal + 40 : journal + 80]
        return [(journal, headers[1].hex()), (journal + 40, headers[0].hex())]

    def _kept(
        self, about: str, file: str, data: bytes, edits: list[tuple[int, str]], bundle: str = "release.keep"
    ) -> dict[str, Any]:
        place = self._work / "tried"
        shutil.rmtree(place, ignore_errors=True)
        Slots.init(place, MODEL)
        (place / "a.keep").write_bytes(apply(data, edits))
        shutil.copy(FOLDER / "device.state", self._state("device"))
        kept = self._install(FOLDER / bundle, place)
        return {"about": about, "arriving": file, "edits": edits, "bundle": bundle, "kept": kept}


def apply(data: bytes, edits: list[tuple[int, str]]) -> bytes:
    """Returns a file with some bytes put over others."""
    changed = bytearray(data)
    for offset, content in edits:
        new = bytes.fromhex(content)
        changed[offset : offset + len(new)] = new
    return bytes(changed)


def main() -> None:
    """Writes the index, and the files beside it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        index = {
            "format": "modelkeep/update-vectors",
            "version": 1,
            "slots": slots(),
            "notes": notes(),
            "trial_files": trial_files(),
            "ends": ends(),
            "journals": Journals(Path(work)).run(),
        }
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
