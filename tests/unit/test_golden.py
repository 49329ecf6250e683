"""Golden vectors: what is recorded comes back sealed, and no model is handed the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.arrays import parse_arrays
from modelkeep.bundle.access import Access, unlock
from modelkeep.errors import MalformedError, UsageError
from modelkeep.extraction import extract
from modelkeep.golden import PATH, Golden, GoldenCase, departures
from modelkeep.golden_limits import GoldenLimits, OutputRange
from modelkeep.inner_manifest import InnerManifest
from support.command_line import CommandLine
from support.workshop import Workshop

X = np.array([[1, 2, 3, 4]], np.float32)
CASES = Golden((GoldenCase({"x": X}, {"y": 2 * X}),))
EXACT = GoldenLimits(absolute=0, relative=0)


def judged(golden: Any, found: Any, limits: GoldenLimits = EXACT) -> list[str]:
    return list(departures(GoldenCase({}, {"y": golden}), {"y": found}, limits))


def test_sealed_cases_come_back_and_are_no_part_of_the_model(workshop: Workshop, tmp_path: Path) -> None:
    limits = GoldenLimits(0.5, 0.25, 1.5, (OutputRange("y", 0.0), OutputRange("y", maximum=9.0)))
    bundle = workshop.seal(golden=Golden(CASES.cases, limits))
    access = Access(workshop.identity(), workshop.verifier())
    with access, unlock(bundle, access) as unlocked:
        inner = unlocked.inner_manifest()
    assert inner.golden is not None and inner.golden.limits == limits
    assert (inner.golden.path, inner.golden.cases) == (PATH, 1)
    golden = Golden.from_bytes(workshop.read(bundle)[PATH], limits)
    assert golden.cases[0].outputs["y"].tolist() == (2 * X).tolist()
    with workshop.open(bundle) as session:
        assert session.run({"x": X})["y"].tolist() == (2 * X).tolist()
    written = extract(
        bundle,
        tmp_path / "plain",
        identity=workshop.identity(),
        verifier=workshop.verifier(),
        unsafe_plaintext=True,
    )
    assert [path.name for path in written.paths] == [next(iter(inner.model_files()))[1]]


def test_the_command_records_and_seals(workshop: Workshop, command: CommandLine, tmp_path: Path) -> None:
    run = command
    model = workshop.model()
    np.savez(tmp_path / "sample.npz", x=np.repeat(X, 3, axis=0))
    cases, limits = tmp_path / "cases.npz", tmp_path / "limits.json"
    assert run("golden", tmp_path / "sample.npz", "--stacked", "--model", model, "-o", cases).code == 0
    assert len(Golden.load(cases).cases) == 3
    limits.write_text('{"absolute": 0, "latency": 0.5, "ranges": {"y": {"maximum": 8}}}')
    to = ("-s", workshop.publisher_pem, "-r", workshop.device.with_suffix(".pub"))
    common = ("seal", model, *to, "--dry-run", "--golden", cases)
    assert "with 3 golden cases" in run(*common, "--golden-limits", limits).err
    limits.write_text('{"ranges": {"y": {"maximum": 7}}}')
    refused = run(*common, "--golden-limits", limits)
    assert refused.code == 2 and "golden case 0: y has 8, above 7" in refused.err
    for wrong in (
        '{"absolute": -1}',
        '{"ranges": {"y": {}}}',
        '{"more": 1}',
        "[1]",
        '{"relative": "x"}',
        "{",
    ):
        limits.write_text(wrong)
        assert run(*common, "--golden-limits", limits).code == 2, wrong


def test_sealing_refuses_cases_that_no_device_could_keep(workshop: Workshop) -> None:
    for case, why in (
        (GoldenCase({"z": X}, {}), "case 0: "),
        (GoldenCase({"x": X.astype(np.float64)}, {}), "float64"),
    ):
        with pytest.raises(UsageError, match=why):
            workshop.seal(golden=Golden((case,)))
    with pytest.raises(UsageError, match="that a runtime loads"):
        workshop.seal(golden=CASES, format="files")
    with pytest.raises(UsageError, match="1 to 1024"):
        Golden.record(lambda inputs: inputs, [])


def test_outputs_are_held_against_tolerances_and_ranges() -> None:
    nan, infinity = np.array([np.nan]), np.array([np.inf])
    assert judged(X, X) == judged(nan, nan) == judged(infinity, infinity) == []
    assert judged(X, X * 1.01, GoldenLimits(0, 0.02)) == judged(X, X + 0.5, GoldenLimits(0.5, 0)) == []
    assert "1.01 for 1" in judged(X[:, :1], X[:, :1] * 1.01)[0]
    assert judged(X, nan) and judged(infinity, -infinity) and judged(nan, X[0, :1]) and judged(X[0, :1], nan)
    assert judged(np.array(["a"]), np.array(["b"])) and not judged(np.array(["a"]), np.array(["a"]))
    assert judged([X, X], [X]) and judged([{1: 2.0}], [{1: 3.0}]) and judged([{1: 2.0}], [{2: 2.0}])
    assert not judged([{1: 2.0}], [{1: 2.0}])
    assert judged(np.array([255], np.uint8), np.array([0], np.uint8)), "integers must not wrap round"
    ranges = GoldenLimits(ranges=(OutputRange("y", 0.0, 4.0),))
    assert not judged(X, X, ranges)
    for wrong in (X - 2, X + 1, nan, infinity):
        assert judged(wrong, wrong, ranges)
    assert list(departures(GoldenCase({}, {"y": X}), {}, ranges)) == ["output 'y' is missing"] * 2


def test_files_that_hold_no_cases_are_refused(tmp_path: Path) -> None:
    for names in (["x"], ["1/inputs/x"], ["9" * 5000 + "/inputs/x"], ["0/other/x"], ["0/inputs/"], []):
        arrays: dict[str, Any] = dict.fromkeys(names, X)
        np.savez(tmp_path / "cases.npz", **arrays)
        with pytest.raises(MalformedError):
            Golden.load(tmp_path / "cases.npz")
    arrays = {"0/inputs/x": X}
    np.savez_compressed(tmp_path / "cases.npz", **arrays)
    compressed = (tmp_path / "cases.npz").read_bytes()
    huge = CASES.to_bytes().replace(b"(1, 4)", b"(9, 9)")
    for data in (compressed, huge, b"", b"PK", CASES.to_bytes()[:-9]):
        with pytest.raises(MalformedError):
            parse_arrays(data, "cases")
    assert zipfile.is_zipfile(tmp_path / "cases.npz")


def test_what_the_inner_manifest_says_is_read_strictly(workshop: Workshop) -> None:
    golden = Golden(CASES.cases, GoldenLimits(latency=1, ranges=(OutputRange("y", 0),)))
    data = workshop_inner(workshop, golden)
    assert InnerManifest.from_bytes(data).to_bytes() == data
    for old, new in (
        (b'"cases":1', b'"cases":0'),
        (b'"path":"golden.npz"', b'"path":"other.npz"'),
        (b'"ranges":[', b'"extra":['),
        (b'"minimum":"0x0.0p+0"', b'"minimum":"nan"'),
        (b'"latency":"0x1.0000000000000p+0"', b'"latency":"-0x1.0000000000000p+0"'),
    ):
        assert old in data
        with pytest.raises(MalformedError):
            InnerManifest.from_bytes(data.replace(old, new, 1))


def workshop_inner(workshop: Workshop, golden: Golden) -> bytes:
    access = Access(workshop.identity(), workshop.verifier())
    with access, unlock(workshop.seal(golden=golden), access) as unlocked:
        return unlocked.inner_manifest().to_bytes()
