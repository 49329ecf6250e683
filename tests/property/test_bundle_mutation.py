"""A bundle with anything at all changed opens to what was sealed, or not."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.container.slots import lay_out
from modelkeep.errors import KeepError
from modelkeep.grants.constraints import Constraints
from modelkeep.inner_manifest import InnerManifest
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Manifest
from modelkeep.trust.verifier import Verifier
from support.attacker import Forgery
from support.workshop import Workshop

CONSTRAINTS = Constraints(not_before=1_000_000_000, not_after=4_000_000_000)
# Where a change may go unnoticed: how the signature is written, and what is for others.
FREE = ("model.sig", "grants/1")


@dataclass(frozen=True)
class Meaning:
    """Everything that an opened bundle says."""

    manifest: Manifest
    inner: InnerManifest
    files: tuple[bytes, ...]
    constraints: Constraints
    device_id: str
    signer: str | None


@dataclass(frozen=True)
class Subject:
    """A sealed bundle, a second one by the same publisher, and somebody who opens them."""

    path: Path
    identity: Identity
    verifier: Verifier
    regions: dict[str, range]
    genuine: bytes
    donor: bytes

    def opened(self, data: bytes) -> Meaning:
        """Returns what `data` says as a bundle."""
        self.path.write_bytes(data)
        with unlock_bundle(self.path, Access(self.identity, self.verifier)) as bundle:
            manifest = bundle.verified.manifest
            inner = bundle.inner_manifest()
            files = []
            for index, member in enumerate(manifest.members):
                content = bytearray(member.size)
                bundle.decrypt(index, memoryview(content))
                files.append(bytes(content))
            grant, signer = bundle.grant, str(bundle.verified.signer)
            return Meaning(manifest, inner, tuple(files), grant.constraints, grant.device_id, signer)

    def may_change(self, position: int) -> bool:
        """Returns whether a byte belongs to a part that nobody vouches for."""
        return any(position in self.regions[name] for name in FREE)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    workshop = Workshop(tmp_path_factory.mktemp("mutation"))
    recipients = [workshop.device.with_suffix(".pub"), workshop.new_device("other").with_suffix(".pub")]
    bundles = []
    for name in ("one", "two"):
        folder = workshop.folder / name
        folder.mkdir()
        (folder / "small.bin").write_bytes(name.encode() * 100)
        (folder / "large.bin").write_bytes(name.encode() * (2**20 // 3 + 50))
        bundles.append(workshop.seal(folder, to=recipients, constraints=CONSTRAINTS))
    return Subject(
        workshop.folder / "mutant.keep",
        workshop.identity(),
        workshop.verifier(),
        _regions(bundles[0]),
        *(bundle.read_bytes() for bundle in bundles),
    )


def _regions(bundle: Path) -> dict[str, range]:
    """Returns where every file, every header with its padding, and the end of the archive lie."""
    slots = lay_out({name: len(content) for name, content in Forgery(bundle).files.items()})
    regions = {}
    for name, slot in slots.items():
        regions[f"front of {name}"] = range(slot.data_offset - len(slot.front), slot.data_offset)
        regions[name] = range(slot.data_offset, slot.data_offset + slot.size)
        regions[f"padding of {name}"] = range(slot.data_offset + slot.size, slot.end)
    end = bundle.stat().st_size
    regions["end"] = range(end - 1024, end)
    return {name: region for name, region in regions.items() if region}


@dataclass(frozen=True)
class Edit:
    """One change: what, in which region (by number), how far into it, how long, and with which byte."""

    kind: str
    region: int
    place: int
    length: int
    value: int


KINDS = ("flip", "insert", "delete", "truncate", "repeat", "swap", "splice", "splice region", "zero")
LENGTHS = (1, 2, 16, 32, 511, 512, 513, 4096, 2**20)
# A million takes some 25 minutes of processor time.
MUTATIONS = int(os.environ.get("MODELKEEP_MUTATIONS", "50000"))

EDITS = st.lists(
    st.builds(
        Edit,
        st.sampled_from(KINDS),
        st.integers(0, 999),
        st.integers(0, 2**21),
        st.sampled_from(LENGTHS),
        st.integers(1, 255),
    ),
    min_size=1,
    max_size=3,
)


def _mutant(subject: Subject, edits: list[Edit]) -> bytes:
    data = bytearray(subject.genuine)
    regions = list(subject.regions.values())
    for edit in edits:
        region = regions[edit.region % len(regions)]
        _apply(data, edit, region, subject.donor)
    return bytes(data)


def _apply(data: bytearray, edit: Edit, region: range, donor: bytes) -> None:
    start = region.start + edit.place % len(region)
    piece = slice(start, start + edit.length)
    match edit.kind:
        case "flip" if start < len(data):
            data[start] ^= edit.value
        case "insert":
            data[start:start] = bytes([edit.value]) * edit.length
        case "delete":
            del data[piece]
        case "truncate":
            del data[start:]
        case "repeat":
            data[start:start] = data[piece]
        case "swap":
            other = slice(piece.stop, piece.stop + edit.length)
            data[start : other.stop] = data[other] + data[piece]
        case "splice":
            data[piece] = donor[piece]
        case "splice region":
            data[region.start : region.stop] = donor[region.start : region.stop]
        case "zero":
            data[piece] = bytes(len(data[piece]))


def _check(subject: Subject, mutant: bytes) -> None:
    try:
        meaning = subject.opened(mutant)
    except KeepError:
        return
    assert meaning == subject.opened(subject.genuine)
    assert len(mutant) == len(subject.genuine)
    assert all(subject.may_change(position) for position in _differences(mutant, subject.genuine))


def _differences(one: bytes, other: bytes) -> Iterator[int]:
    for start in range(0, len(one), 4096):
        if one[start : start + 4096] != other[start : start + 4096]:
            pairs = zip(one[start : start + 4096], other[start : start + 4096], strict=True)
            yield from (start + number for number, (a, b) in enumerate(pairs) if a != b)


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(edits=EDITS)
def test_a_mutated_bundle_never_opens_to_anything_else(subject: Subject, edits: list[Edit]) -> None:
    _check(subject, _mutant(subject, edits))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(edits=EDITS)
def test_a_mutated_bundle_never_opens_to_anything_else_at_length(subject: Subject, edits: list[Edit]) -> None:
    _check(subject, _mutant(subject, edits))


@pytest.mark.slow
def test_a_mutated_bundle_never_opens_to_anything_else_on_all_processors(subject: Subject) -> None:
    # Forked: what a subject holds cannot be sent to another process.
    context = multiprocessing.get_context("fork")
    processes = os.cpu_count() or 1
    running = [
        context.Process(target=_check_many, args=(subject, number, MUTATIONS // processes))
        for number in range(processes)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * processes


def _check_many(subject: Subject, number: int, count: int) -> None:
    own = replace(subject, path=subject.path.with_name(f"mutant-{number}.keep"))
    seed = os.urandom(8).hex()
    source = random.Random(seed)
    for done in range(count):
        mutant = _mutant(own, [_edit(source) for _ in range(source.randint(1, 3))])
        try:
            _check(own, mutant)
        except BaseException:
            print(f"mutant {done} of seed {seed}", file=sys.stderr)
            raise


def _edit(source: random.Random) -> Edit:
    length = source.choice(LENGTHS)
    return Edit(
        source.choice(KINDS), source.randrange(1000), source.randrange(2**21), length, source.randint(1, 255)
    )


@pytest.mark.parametrize(
    "region", ["manifest.json", "front of manifest.json", "grants/0", "leaves/1", "payload/0"]
)
def test_every_sixteenth_byte_of_what_counts_is_vouched_for(subject: Subject, region: str) -> None:
    for position in subject.regions[region][::16]:
        mutant = bytearray(subject.genuine)
        mutant[position] ^= 1
        with pytest.raises(KeepError):
            subject.opened(bytes(mutant))


@pytest.mark.slow
def test_every_byte_outside_the_large_streams_is_vouched_for(subject: Subject) -> None:
    for name, region in subject.regions.items():
        for position in region if len(region) < 10_000 and name not in FREE else ():
            mutant = bytearray(subject.genuine)
            mutant[position] ^= 1
            with pytest.raises(KeepError):
                subject.opened(bytes(mutant))
