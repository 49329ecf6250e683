"""Golden vectors on a device: every case through contract, model and guard.

Source: spec/golden-v1.md, "A trial".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from modelkeep.bundle.unlocked import Unlocked
from modelkeep.errors import InputError, MalformedError
from modelkeep.golden import LARGEST_FILE, Golden, GoldenCase, departures, notices_stuck
from modelkeep.golden_limits import GoldenLimits
from modelkeep.memory import Pages
from modelkeep.session import Session

_RUNS = 3


class SealedGolden(NamedTuple):
    """Golden vectors as they were sealed.

    Attributes:
        golden: cases and limits.
        guard: whether the guard raised an alarm on stuck inputs at the publisher's.
    """

    golden: Golden
    guard: bool


def golden_of(bundle: Unlocked) -> SealedGolden | None:
    """Returns the golden vectors of something unlocked, or None without any.

    Raises:
        TamperedError: they are not what was installed.
        MalformedError: they are damaged although authentic.
    """
    inner = bundle.inner_manifest()
    if inner.golden is None:
        return None
    index = [file.path for file in inner.files].index(inner.golden.path) + 1
    size = bundle.manifest.members[index].size
    if size > LARGEST_FILE:
        raise MalformedError("golden vectors: larger than 64 MiB")
    with Pages.allocate(size) as pages:
        bundle.decrypt(index, pages.view)
        golden = Golden.from_bytes(bytes(pages.view), inner.golden.limits)
    if len(golden.cases) != inner.golden.cases:
        raise MalformedError("golden vectors: other cases than the inner manifest says")
    return SealedGolden(golden, inner.golden.guard)


def problems(session: Session, sealed: SealedGolden) -> Iterator[str]:
    """Yields in words what a session does not do as the publisher saw it.

    Raises:
        KeepError: what running raises, but for inputs that are refused.
    """
    for place, case in enumerate(sealed.golden.cases):
        for problem in _of_case(session, case, sealed.golden.limits):
            yield f"golden case {place}: {problem}"
        if sealed.guard and (session.guard is None or not notices_stuck(session.guard, case)):
            yield f"golden case {place}: the guard lets inputs pass that are stuck"


def _of_case(session: Session, case: GoldenCase, limits: GoldenLimits) -> Iterator[str]:
    fastest = None
    for _ in range(1 if limits.latency is None else _RUNS):
        start = time.perf_counter()
        try:
            outputs = session.run(case.inputs)
        except InputError as error:
            yield f"its inputs are refused: {error}"
            return
        seconds = time.perf_counter() - start
        fastest = seconds if fastest is None else min(fastest, seconds)
    yield from departures(case, outputs, limits)
    if limits.latency is not None and fastest is not None and fastest > limits.latency:
        yield f"took {1000 * fastest:.3g} ms, more than {1000 * limits.latency:.3g}"
