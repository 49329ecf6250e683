"""Granting to a whole fleet: one grant a line, on all processors, in the order of the device list.

The output is appended in batches, each durable before the next begins. Started again after a crash, the
work goes on behind the last whole grant.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO, NamedTuple

from modelkeep.bundle.access import Access, IdentityLike, unlock_bundle
from modelkeep.errors import MalformedError, UnavailableError, UsageError
from modelkeep.granting import grant_issuer
from modelkeep.grants import grant_lines, sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.device_list import LONGEST_LINE, Entry, is_device, parse_device, read_device
from modelkeep.grants.first_reading import FirstReading
from modelkeep.grants.grant import Grant
from modelkeep.grants.grant_lines import Line
from modelkeep.grants.header import GrantHeader
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.namesakes import Namesakes
from modelkeep.grants.recipient_text import short_name
from modelkeep.storage import opened
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.signers import SignerLike, as_signer

BATCH = 2000
# Starting a process takes as long as making some thousand grants.
ALONE_BELOW = 5000

Progress = Callable[[int], None]


class BulkGrants(NamedTuple):
    """What a run of `grant_all` came to.

    Attributes:
        total: how many grants the output holds.
        new: how many of them this run added.
        recipients: what those of the list are called who may open.
        admins: what those are called who may open and grant.
        constraints: what every grant demands.
    """

    total: int
    new: int
    recipients: tuple[str, ...]
    admins: tuple[str, ...]
    constraints: Constraints


def grant_all(
    path: str | os.PathLike[str],
    devices: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    constraints: Constraints | None = None,
    grant_file: str | os.PathLike[str] | None = None,
    grant_signer: SignerLike | None = None,
    with_admins: bool = False,
    processes: int | None = None,
    progress: Progress = lambda _count: None,
) -> BulkGrants:
    """Issues a grant for every device of a list; returns what that came to.

    Args:
        path: the bundle.
        devices: the list; see `modelkeep.grants.device_list`.
        output: file of grants, one a line; if it exists, it is what an earlier run left.
        identity: somebody whose own grant allows delegation.
        constraints: what every grant demands beyond the own one.
        verifier: whom to trust; see `modelkeep.granting.grant`.
        grant_file: where the own grant is, when neither embedded nor in the sidecar.
        grant_signer: signs the grants, for bundles that accept signed grants only.
        with_admins: whether the list may name some who may grant to others; refused without.
        processes: how many work; by default one for each processor.
        progress: told how many devices were finished since the last call.

    Raises:
        RefusedError: the own grant does not allow delegation, or its constraints are not met.
        MalformedError: a line of the list is not a device; the message says which.
        UsageError: the output holds grants for other devices, or under other terms; the list names nobody,
            or admins that were not expected, or it was changed meanwhile.
        UnavailableError: another run is adding to the output.
        StorageError: something cannot be read or written.
    """
    with (
        Access(identity, verifier, grant_file) as access,
        unlock_bundle(path, access, delegating=True) as unlocked,
    ):
        issuer = grant_issuer(unlocked, constraints, as_signer(grant_signer), delegates=with_admins)
        # Processes start while the whole list is read, which is before anything is written.
        with _workers(issuer, processes or os.cpu_count() or 1, many=_are_many(devices)) as run:
            first = FirstReading()
            recipients, admins = _roll(devices, first, with_admins=with_admins)
            found, size = _finished(output, first.held(_lines(devices)), issuer)
            progress(found)
            done = found
            for grants in run(_batches(first.held(_lines(devices)), skip=found)):
                size = sidecar.append_encoded(output, grants, expected_start=size)
                done += len(grants)
                progress(len(grants))
    terms = replace(issuer.terms, delegate=False)
    return BulkGrants(done, done - found, tuple(recipients), tuple(admins), terms)


def _roll(
    devices: str | os.PathLike[str], first: FirstReading, *, with_admins: bool
) -> tuple[list[str], list[str]]:
    """Returns what those of a list are called who may open, and those who may grant besides."""
    recipients: list[str] = []
    admins: list[str] = []
    names, now = Namesakes(), time.time()
    for line in _lines(devices):
        first.note(line)
        recipient, terms = grant_lines.read(line, partial(_noted, names))
        name = short_name(recipient)
        _check_terms(line[0], name, terms, now, with_admins=with_admins)
        (admins if terms.delegate else recipients).append(name)
    if not recipients and not admins:
        raise UsageError(
            f"{os.fspath(devices)}: names no device", hint="one line for each, as keys create prints it"
        )
    return recipients, admins


def _noted(names: Namesakes, line: bytes) -> Entry:
    # Whether its key is one is left to whoever grants, or it would be the slowest part of a long list.
    entry = read_device(line)
    names.add(*entry)
    return entry


def _check_terms(number: int, name: str, terms: Constraints, now: float, *, with_admins: bool) -> None:
    if terms.not_after is not None and terms.not_after < now:
        raise UsageError(
            f"device list: line {number}: not_after has passed, so {name} could not open",
            hint="leave the line out, or give it a later end",
        )
    if terms.delegate and not with_admins:
        raise UsageError(
            f"device list: line {number}: would let {name} grant to others",
            hint="pass --with-admins if that is meant",
        )


def count_devices(devices: str | os.PathLike[str]) -> int:
    """Returns how many devices a list names.

    Raises:
        StorageError: cannot be read.
    """
    return sum(1 for _line in _lines(devices))


def _are_many(devices: str | os.PathLike[str]) -> bool:
    return sum(1 for _line in itertools.islice(_lines(devices), ALONE_BELOW)) == ALONE_BELOW


Batches = Iterator[list[Line]]
Work = Callable[[Batches], Iterator[list[bytes]]]


@contextmanager
def _workers(issuer: GrantIssuer, processes: int, *, many: bool) -> Iterator[Work]:
    """Gives a function that turns batches of lines into batches of grants, in order."""
    if processes == 1 or not many:
        yield lambda batches: (_signed(issuer, grant_lines.issued(issuer, batch)) for batch in batches)
        return
    arguments = (issuer.bundle, bytes(issuer.data_key.view), issuer.terms)
    # Spawned, not forked: a fork would copy whatever else this process holds.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, grant_lines.start, arguments) as pool:
        _submit(pool, [])
        try:
            yield lambda batches: (_signed(issuer, grants) for grants in _ordered(pool, batches, processes))
        except BrokenProcessPool:
            raise UnavailableError(
                "a process that makes grants has ended",
                hint="run the same command again; it goes on where it stopped",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _ordered(pool: ProcessPoolExecutor, batches: Batches, processes: int) -> Iterator[list[bytes]]:
    # Not Executor.map, which reads all of its input before it gives the first result.
    waiting = [_submit(pool, batch) for batch in itertools.islice(batches, 2 * processes)]
    while waiting:
        grants = waiting.pop(0).result()
        waiting += [_submit(pool, batch) for batch in itertools.islice(batches, 1)]
        yield grants


def _submit(pool: ProcessPoolExecutor, batch: list[Line]) -> Future[list[bytes]]:
    # May start a process, which keeps what is held back: Ctrl-C is for this one, which ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(grant_lines.run, batch)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signed(issuer: GrantIssuer, grants: list[bytes]) -> list[bytes]:
    # Here, since the key may be one that no other process can use.
    if issuer.signer is None:
        return grants
    return [
        Grant.from_bytes(grant).signed_by(issuer.signer, issuer.fingerprint).to_bytes() for grant in grants
    ]


def _lines(devices: str | os.PathLike[str]) -> Iterator[Line]:
    with opened(devices) as file:
        yield from ((number, line) for number, line in _numbered(file) if is_device(line))


def _numbered(file: BinaryIO) -> Iterator[Line]:
    for number in itertools.count(1):
        line = file.readline(LONGEST_LINE + 1)
        # Comments, too: what lies beyond would be read as a line of its own, which no editor shows.
        if len(line) > LONGEST_LINE:
            raise MalformedError(f"device list: line {number}: longer than {LONGEST_LINE} bytes")
        if not line:
            return
        yield number, line


def _batches(lines: Iterator[Line], *, skip: int) -> Batches:
    left = itertools.islice(lines, skip, None)
    while batch := list(itertools.islice(left, BATCH)):
        yield batch


def _finished(output: str | os.PathLike[str], lines: Iterator[Line], issuer: GrantIssuer) -> tuple[int, int]:
    """Returns how many devices an earlier run has finished, and the size of their grants.

    Every grant is held against its line of the list and the terms: a rerun with another list or under
    other terms must not look as if it had done something.
    """
    count, size = 0, 0
    expected = partial(_expected, issuer)
    for encoded in sidecar.encoded(output):
        line = next(lines, None)
        grant = Grant.from_bytes(encoded)
        if line is None or (grant.header, grant.issuer) != grant_lines.read(line, expected):
            raise UsageError(
                f"{os.fspath(output)}: grant {count + 1} is not what this list and these terms would give",
                hint="choose another output, or remove the file to start anew",
            )
        count, size = count + 1, size + len(encoded) + 1
    return count, size


def _expected(issuer: GrantIssuer, line: bytes) -> tuple[GrantHeader, bytes | None]:
    device = parse_device(line)
    return issuer.header(device.recipient, device.constraints), issuer.fingerprint
