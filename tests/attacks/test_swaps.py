"""Genuine pieces in the wrong place: files, segments and leaves, within and between bundles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelkeep.errors import MalformedError, TamperedError
from support.attacker import SEGMENT, Forgery, leaves_of
from support.workshop import Workshop

SIZE = 2 * SEGMENT + 777  # three segments


def _sealed(workshop: Workshop) -> Forgery:
    folder = workshop.folder / f"files-{os.urandom(4).hex()}"
    folder.mkdir()
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(os.urandom(SIZE))
    return Forgery(workshop.seal(folder))


def _exchange(one: bytearray, other: bytearray, start: int, end: int) -> None:
    one[start:end], other[start:end] = other[start:end], one[start:end]


def _swap_files(forgery: Forgery) -> None:
    files = forgery.files
    files["payload/1"], files["payload/2"] = files["payload/2"], files["payload/1"]


def _swap_files_and_leaves(forgery: Forgery) -> None:
    _swap_files(forgery)
    files = forgery.files
    files["leaves/1"], files["leaves/2"] = files["leaves/2"], files["leaves/1"]


def _swap_inner_manifest_with_file(forgery: Forgery) -> None:
    size = len(forgery.files["payload/0"])
    forgery.files["payload/0"][:] = forgery.files["payload/1"][:size]


def _swap_segments(forgery: Forgery) -> None:
    payload = forgery.files["payload/1"]
    payload[: 2 * SEGMENT] = payload[SEGMENT : 2 * SEGMENT] + payload[:SEGMENT]


def _swap_segments_and_leaves(forgery: Forgery) -> None:
    _swap_segments(forgery)
    forgery.files["leaves/1"][:] = leaves_of(bytes(forgery.files["payload/1"]))


def _repeat_a_segment(forgery: Forgery) -> None:
    payload = forgery.files["payload/1"]
    payload[SEGMENT : 2 * SEGMENT] = payload[:SEGMENT]


def _swap_segment_between_files(forgery: Forgery) -> None:
    _exchange(forgery.files["payload/1"], forgery.files["payload/2"], SEGMENT, 2 * SEGMENT)


def _swap_last_segment_between_files(forgery: Forgery) -> None:
    _exchange(forgery.files["payload/1"], forgery.files["payload/2"], 2 * SEGMENT, SIZE + SEGMENT)


@pytest.mark.parametrize(
    "swap",
    [
        _swap_files,
        _swap_files_and_leaves,
        _swap_inner_manifest_with_file,
        _swap_segments,
        _swap_segments_and_leaves,
        _repeat_a_segment,
        _swap_segment_between_files,
        _swap_last_segment_between_files,
    ],
)
def test_swaps_within_a_bundle_are_refused(workshop: Workshop, swap: Callable[[Forgery], None]) -> None:
    forgery = _sealed(workshop)
    swap(forgery)
    with pytest.raises(TamperedError, match="not the one that was signed"):
        workshop.read(forgery.write(workshop.folder / "swapped.keep"))


@pytest.mark.parametrize(
    "names",
    [
        ["payload/1"],
        ["leaves/1"],
        ["payload/1", "leaves/1"],
        ["payload/0", "payload/1", "payload/2", "leaves/0", "leaves/1", "leaves/2"],
        ["manifest.json"],
        ["manifest.json", "leaves/0", "leaves/1", "leaves/2"],
    ],
    ids="+".join,
)
def test_swaps_between_bundles_of_one_publisher_are_refused(workshop: Workshop, names: list[str]) -> None:
    forgery, donor = _sealed(workshop), _sealed(workshop)
    for name in names:
        forgery.files[name] = donor.files[name]
    with pytest.raises(TamperedError, match="not the one that was signed"):
        workshop.read(forgery.write(workshop.folder / "swapped.keep"))


def test_a_segment_of_another_bundle_is_refused(workshop: Workshop) -> None:
    forgery, donor = _sealed(workshop), _sealed(workshop)
    _exchange(forgery.files["payload/1"], donor.files["payload/1"], SEGMENT, 2 * SEGMENT)
    with pytest.raises(TamperedError, match="segment 1 is not the one that was signed"):
        workshop.read(forgery.write(workshop.folder / "swapped.keep"))


def _cut_at_a_segment(forgery: Forgery) -> None:
    del forgery.files["payload/2"][2 * SEGMENT :]


def _cut_leaves_and_payload(forgery: Forgery) -> None:
    _cut_at_a_segment(forgery)
    del forgery.files["leaves/2"][-32:]


def _append_a_segment(forgery: Forgery) -> None:
    forgery.files["payload/2"] += forgery.files["payload/1"][:SEGMENT]


def _drop_a_file(forgery: Forgery) -> None:
    del forgery.files["payload/2"], forgery.files["leaves/2"]


def _add_a_file(forgery: Forgery) -> None:
    forgery.files["payload/3"] = forgery.files["payload/1"]
    forgery.files["leaves/3"] = forgery.files["leaves/1"]


@pytest.mark.parametrize(
    "change", [_cut_at_a_segment, _cut_leaves_and_payload, _append_a_segment, _drop_a_file, _add_a_file]
)
def test_other_sizes_or_numbers_of_files_are_refused(
    workshop: Workshop, change: Callable[[Forgery], None]
) -> None:
    forgery = _sealed(workshop)
    change(forgery)
    with pytest.raises(TamperedError, match="not those that its manifest lists"):
        workshop.read(forgery.write(workshop.folder / "changed.keep"))


def test_a_bundle_cut_short_anywhere_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    whole = workshop.seal().read_bytes()
    cut = tmp_path / "cut.keep"
    for length in [0, 1, 511, 512, 513, len(whole) // 2, len(whole) - 1024, len(whole) - 512, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(MalformedError):
            workshop.read(cut)
