"""The few figures that README shows, between two marks."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from benches.report import loaded
from benches.runner import Result, Row
from benches.sizes import size_label

BEGIN, END = "<!-- figures: make bench writes them -->", "<!-- end of figures -->"
_COLUMNS = (
    (
        "open",
        "open into memory",
        {
            "modelkeep, installed": "modelkeep:OpenInstalled",
            "modelkeep": "modelkeep:Open",
            "its floor: the same by bare calls": "floor:Open",
            "read all, one `AESGCM` call": "tutorial:Open",
            "Tink for Python": "tink_python:Open",
            "age": "age:Open",
            "`file.read()`, no cryptography": "plain:Read",
        },
    ),
    (
        "seal",
        "seal, synced",
        {
            "modelkeep, `--digest leaves`": "modelkeep:SealLeaves",
            "modelkeep": "modelkeep:Seal",
            "its floor": "floor:Seal",
            "read all, one `AESGCM` call": "tutorial:Seal",
            "Tink for Python": "tink_python:Seal",
            "age": "age:Seal",
            "`cat`, no cryptography": "plain:CopyFile",
        },
    ),
    (
        "verify",
        "verify, no key",
        {
            "modelkeep, BLAKE3 leaves alone": "modelkeep:VerifyLeaves",
            "modelkeep, all digests": "modelkeep:Verify",
            "its floor": "floor:Verify",
            "`openssl dgst -verify`": "openssl:Verify",
            "`model_signing verify`": "model_signing:VerifyCommand",
            "`cat` to `/dev/null`": "plain:ReadAway",
        },
    ),
)


def figures(results: Sequence[Result], others: float) -> str:
    """Returns what stands between the marks.

    Args:
        results: what was measured, with the tables `open`, `seal` and `verify`.
        others: share of the processors that other programs used meanwhile, 0 to 1.
    """
    largest = max(result.work for result in results if result.table.key == "open")
    smallest = min(result.work for result in results if result.table.key == "open")
    doubt = " (**too loaded: indicative only**)" if loaded(others) else ""
    words = (
        f"Medians in GB/s for a file of {size_label(largest)}, warm cache, {len(os.sched_getaffinity(0))} "
        f"processors of a virtual machine, which others used to {others:.0%}{doubt}. "
        "Everything is end to end: key files, signature, grant, digests. The whole table, the machine, "
        "small files and how to read it: [docs/benchmarks.md](docs/benchmarks.md)."
    )
    lines = [words, "", *_table(results, largest), "", _costs(results, largest, smallest)]
    return "\n".join(lines)


def replaced(text: str, new: str) -> str:
    """Returns a page with `new` between its marks."""
    front, _, rest = text.partition(BEGIN)
    _, mark, end = rest.partition(END)
    if not mark:
        raise ValueError(f"no place for figures: {BEGIN} ... {END}")
    return f"{front}{BEGIN}\n{new}\n{END}{end}"


def _table(results: Sequence[Result], work: int) -> list[str]:
    columns = [
        [f"{name} | {_rate(_row(results, key, peer, work), work)}" for name, peer in rows.items()]
        for key, _, rows in _COLUMNS
    ]
    height = max(map(len, columns))
    padded = [column + [" | "] * (height - len(column)) for column in columns]
    head = " | | ".join(f"{title} | GB/s" for _, title, _ in _COLUMNS)
    lines = [" | | ".join(cells) for cells in zip(*padded, strict=True)]
    return [f"| {head} |", "|---|---:|---|---|---:|---|---|---:|", *(f"| {line} |" for line in lines)]


def _costs(results: Sequence[Result], largest: int, smallest: int) -> str:
    opened, sealed = (_row(results, key, f"modelkeep:{key.title()}", largest) for key in ("open", "seal"))
    small, floor = (_row(results, "open", peer, smallest) for peer in ("modelkeep:Open", "floor:Open"))
    over, most = (_peak(opened) - largest) / 1e6, _peak(sealed) / 1e6
    return (
        f"Memory: the model's size plus {over:.0f} MB to open, {most:.0f} MB in all to seal. Small files pay "
        f"for keys and signatures: {size_label(smallest)} open in {_milliseconds(small)} ms in a new "
        f"process, in {_milliseconds(floor)} ms by bare calls."
    )


def _row(results: Sequence[Result], key: str, peer: str, work: int) -> Row:
    return next(
        row
        for result in results
        if result.table.key == key and result.work == work
        for row in result.rows
        if row.contestant.peer == peer
    )


def _rate(row: Row, work: int) -> str:
    if row.failure is not None:
        return "-"
    return f"{work / statistics.median(sample.wall for sample in row.samples) / 1e9:.2f}"


def _milliseconds(row: Row) -> str:
    if row.failure is not None:
        return "-"
    return f"{statistics.median(sample.wall for sample in row.samples) * 1e3:.1f}"


def _peak(row: Row) -> int:
    return max((sample.peak for sample in row.samples), default=0)
