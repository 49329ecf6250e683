"""What guards counted, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from modelkeep.guard.sequence import BINS
from modelkeep.guard.telemetry import Histogram, Telemetry
from modelkeep.guard.words import rounded_percent

_MOST = 12
_EVENTS = {"reject": "rejected", "flag": "flagged"}


def status_lines(telemetry: Telemetry) -> Iterator[str]:
    """Yields what happened, the counts first."""
    begun, ended = (datetime.fromtimestamp(moment, UTC) for moment in (telemetry.begun, telemetry.ended))
    yield f"from {begun:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC, profile {telemetry.profile.hex()[:16]}"
    yield from _stages(telemetry)
    for score in telemetry.scores:
        if sum(score.seen):
            yield _strange(score)
    yield from _shifted(telemetry)


def _stages(telemetry: Telemetry) -> Iterator[str]:
    for name, checked in sorted(telemetry.counts.items()):
        stage, _, event = name.partition(".")
        if event != "checked":
            continue
        events = (
            f"{count} {word} ({rounded_percent(count / max(checked, 1))})"
            for event, word in _EVENTS.items()
            if (count := telemetry.counts.get(f"{stage}.{event}", 0))
        )
        yield f"{stage}: {checked} checked, {', '.join(events) or 'no alarm'}"
    if not telemetry.counts:
        yield "nothing was checked"


def _strange(score: Histogram) -> str:
    usual, seen = (rounded_percent(sum(each[-1:]) / sum(each)) for each in (score.usual, score.seen))
    return f"{score.name}: {seen} are stranger than 99 of 100 clean ones ({usual} is usual)"


def _shifted(telemetry: Telemetry) -> Iterator[str]:
    shifted = telemetry.shifted()
    if not shifted:
        yield "no feature has shifted by more than chance"
        return
    yield f"{len(shifted)} of {len(telemetry.features)} features have shifted by more than chance:"
    for each in shifted[:_MOST]:
        yield f"  {each.name}: {100 * each.shift:.0f} % lie elsewhere, {_where(each)}"
    if len(shifted) > _MOST:
        yield f"  and {len(shifted) - _MOST} more"


def _where(histogram: Histogram) -> str:
    usual, seen = (
        sum(place * count for place, count in enumerate(each)) / sum(each)
        for each in (histogram.usual, histogram.seen)
    )
    if abs(seen - usual) < BINS / 32:
        return "neither higher nor lower"
    return "higher" if seen > usual else "lower"
