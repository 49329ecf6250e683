"""Granting to a whole fleet: one grant a line, on all processors, in the order of the device list.

The output is appended in batches, each durable before the next begins. Started again after a crash, the
work goes on behind the last whole grant.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from modelkeep.bundle.access import unlock_bundle
from modelkeep.bundle.bundle import UnlockedBundle
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import KeepError, MalformedError, UnavailableError, UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.device_list import LONGEST_LINE, is_device, parse_device
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.keys.identity import Identity
from modelkeep.storage import words_for
from modelkeep.trust.verifier import BundleVerifier, UnsafeUnsigned

BATCH = 2000
# Starting a process takes as long as making some thousand grants.
ALONE_BELOW = 5000

Progress = Callable[[int], None]


def grant_all(
    path: str | os.PathLike[str],
    devices: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    identity: Identity,
    constraints: Constraints | None = None,
    verifier: BundleVerifier | None = None,
    grant_file: str | os.PathLike[str] | None = None,
    grant_signer: EcdsaSigner | None = None,
    processes: int | None = None,
    progress: Progress = lambda _count: None,
) -> int:
    """Issues a grant for every device of a list; returns how many the output holds.

    Args:
        path: the bundle.
        devices: the list; see `modelkeep.grants.device_list`.
        output: file of grants, one a line; if it exists, it is what an earlier run left.
        identity: somebody whose own grant allows delegation.
        constraints: what every grant demands beyond the own one.
        verifier: whom to trust; see `modelkeep.granting.grant`.
        grant_file: where the own grant is, when neither embedded nor in the sidecar.
        grant_signer: signs the grants, for bundles that accept signed grants only.
        processes: how many work; by default one for each processor.
        progress: told how many devices were finished since the last call.

    Raises:
        RefusedError: the own grant does not allow delegation, or its constraints are not met.
        MalformedError: a line of the list is not a device; the message says which.
        UsageError: the output holds other grants.
        UnavailableError: another run is adding to the output.
        StorageError: something cannot be read or written.
    """
    chosen = verifier or UnsafeUnsigned()
    with unlock_bundle(
        path, identity=identity, verifier=chosen, grant_file=grant_file, delegating=True
    ) as unlocked:
        terms = _Terms(unlocked, constraints or Constraints(), grant_signer)
        done, size = _finished(output, devices, terms.bundle)
        progress(done)
        with _workers(terms, processes or os.cpu_count() or 1, count_devices(devices) - done) as run:
            for grants in run(_batches(devices, skip=done)):
                size = sidecar.append_encoded(output, grants, expected_start=size)
                done += len(grants)
                progress(len(grants))
    return done


def count_devices(devices: str | os.PathLike[str]) -> int:
    """Returns how many devices a list names.

    Raises:
        StorageError: cannot be read.
    """
    return sum(1 for _line in _lines(devices))


class _Terms:
    """Under which terms grants are made; everything a worker needs but the device."""

    def __init__(
        self, unlocked: UnlockedBundle, constraints: Constraints, signer: EcdsaSigner | None
    ) -> None:
        unlocked.check_grant_signer(signer)
        self.bundle = unlocked.manifest.bundle
        self.data_key = unlocked.grant.data_key
        # Delegation is asked for device by device.
        wanted = replace(constraints, delegate=True)
        self.constraints = unlocked.grant.constraints.delegated(wanted)
        self.signer = signer


Line = tuple[int, bytes]
Batches = Iterator[list[Line]]
Work = Callable[[Batches], Iterator[list[bytes]]]


@contextmanager
def _workers(terms: _Terms, processes: int, count: int) -> Iterator[Work]:
    """Gives a function that turns batches of lines into batches of grants, in order."""
    arguments = (bytes(terms.data_key.view), terms.bundle, terms.constraints)
    if processes == 1 or count < ALONE_BELOW:
        with _Issuer(*arguments) as issuer:
            yield lambda batches: (_signed(issuer.grants(batch), terms.signer) for batch in batches)
        return
    # Spawned, not forked: a fork would copy whatever else this process holds.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, arguments) as pool:
        try:
            yield lambda batches: (
                _signed(grants, terms.signer) for grants in _ordered(pool, batches, processes)
            )
        except BrokenProcessPool:
            raise UnavailableError(
                "a process that makes grants has ended",
                hint="run the same command again; it goes on where it stopped",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _ordered(pool: ProcessPoolExecutor, batches: Batches, processes: int) -> Iterator[list[bytes]]:
    # Not Executor.map, which reads all of its input before it gives the first result.
    waiting = [pool.submit(_run, batch) for batch in itertools.islice(batches, 2 * processes)]
    while waiting:
        grants = waiting.pop(0).result()
        waiting += [pool.submit(_run, batch) for batch in itertools.islice(batches, 1)]
        yield grants


class _Issuer:
    """Makes grants in one process."""

    def __init__(self, data_key: bytes, bundle: bytes, constraints: Constraints) -> None:
        self._data_key = DataKey.from_buffer(bytearray(data_key))
        self._bundle, self._constraints = bundle, constraints

    def __enter__(self) -> _Issuer:
        return self

    def __exit__(self, *_details: object) -> None:
        self._data_key.close()

    def grants(self, batch: Iterable[Line]) -> list[bytes]:
        return [self._grant(number, line) for number, line in batch]

    def _grant(self, number: int, line: bytes) -> bytes:
        try:
            device = parse_device(line)
            constraints = self._constraints.narrow(device.constraints)
            return issue(device.recipient, self._bundle, self._data_key, constraints).to_bytes()
        except KeepError as error:
            raise MalformedError(f"device list: line {number}: {error}", hint=error.hint) from None


_issuer: _Issuer | None = None


def _start(data_key: bytes, bundle: bytes, constraints: Constraints) -> None:
    global _issuer  # noqa: PLW0603 - how a worker process keeps what it was started with
    _issuer = _Issuer(data_key, bundle, constraints)


def _run(batch: list[Line]) -> list[bytes]:
    assert _issuer is not None
    return _issuer.grants(batch)


def _signed(grants: list[bytes], signer: EcdsaSigner | None) -> list[bytes]:
    if signer is None:
        return grants
    return [Grant.from_bytes(grant).signed_by(signer).to_bytes() for grant in grants]


def _lines(devices: str | os.PathLike[str]) -> Iterator[Line]:
    with words_for(devices), Path(devices).open("rb") as file:
        yield from (
            (number, line) for number, line in enumerate(_short_lines(file), start=1) if is_device(line)
        )


def _short_lines(file: BinaryIO) -> Iterator[bytes]:
    # A line that never ends must not fill the memory; its parser will complain of its length.
    while line := file.readline(LONGEST_LINE + 1):
        yield line


def _batches(devices: str | os.PathLike[str], *, skip: int) -> Batches:
    lines = itertools.islice(_lines(devices), skip, None)
    while batch := list(itertools.islice(lines, BATCH)):
        yield batch


def _finished(
    output: str | os.PathLike[str], devices: str | os.PathLike[str], bundle: bytes
) -> tuple[int, int]:
    """Returns how many devices an earlier run has finished, and the size of their grants.

    Looks only at the last one.
    """
    count, size, last = sidecar.last(output)
    if last is None:
        return 0, 0
    grant = Grant.from_bytes(last)
    line = next(itertools.islice(_lines(devices), count - 1, None), None)
    expected = None if line is None else parse_device(line[1]).recipient.header(bundle, Constraints()).key_id
    if grant.header.bundle != bundle or grant.header.key_id != expected:
        raise UsageError(
            f"{os.fspath(output)}: holds other grants than this device list would give",
            hint="choose another output, or remove the file to start anew",
        )
    return count, size
