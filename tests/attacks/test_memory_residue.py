"""What a reader with the same user id finds in the memory of a process after it closed a model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.attacker import payload_key, stolen_data_key
from support.workshop import MODEL_ID, Workshop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MARK = b"a weight that nobody may find "
SIZE = 5 * 2**20

# Waits, so that the test can look into its memory: once with the model open, once closed.
_VICTIM = """
import sys
from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.keys.identity import Identity
from modelkeep.memory import Pages
from modelkeep.trust.verifier import Verifier

def wait(word):
    print(word, flush=True)
    sys.stdin.readline()

def use():
    verifier = Verifier(sys.argv[2], model=sys.argv[4])
    with (
        Identity("file:" + sys.argv[3]) as identity,
        unlock_bundle(sys.argv[1], Access(identity, verifier)) as bundle,
        Pages.allocate(int(sys.argv[5])) as pages,
    ):
        bundle.decrypt(1, pages.view)
        wait("open")

use()
wait("closed")
"""


class Victim:
    """A process that opens a bundle, and closes it when told to."""

    def __init__(self, workshop: Workshop, bundle: Path) -> None:
        public = workshop.folder / "publisher.pub"
        public.write_bytes(workshop.publisher_public)
        arguments = [bundle, public, workshop.device, MODEL_ID, str(SIZE)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until(self, state: str) -> None:
        """Waits for the process to say `state`."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{state}\n"

    def go_on(self) -> None:
        """Lets the process take its next step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Waits for the process to end."""
        self._process.communicate("\n", timeout=30)

    def places_of(self, secret: bytes) -> list[str]:
        """Returns the `VmFlags` of every mapping in which `secret` lies."""
        return [flags for memory, flags in self._mappings() if secret in memory]

    def _mappings(self) -> Iterator[tuple[bytes, str]]:
        folder = Path("/proc", str(self._process.pid))
        maps = re.findall(
            r"^([0-9a-f]+)-([0-9a-f]+) rw.*?^VmFlags: ([^\n]*)$",
            (folder / "smaps").read_text(),
            re.MULTILINE | re.DOTALL,
        )
        descriptor = os.open(folder / "mem", os.O_RDONLY)
        try:
            for start, end, flags in maps:
                yield os.pread(descriptor, int(end, 16) - int(start, 16), int(start, 16)), flags
        finally:
            os.close(descriptor)


@pytest.fixture
def bundle(workshop: Workshop) -> Path:
    source = workshop.folder / "weights.bin"
    source.write_bytes((MARK * (SIZE // len(MARK) + 1))[:SIZE])
    return workshop.seal(source)


@pytest.fixture
def victim(workshop: Workshop, bundle: Path) -> Iterator[Victim]:
    process = Victim(workshop, bundle)
    try:
        process.wait_until("open")
        yield process
    finally:
        process.end()


def test_weights_are_gone_after_closing(victim: Victim) -> None:
    assert victim.places_of(MARK)
    victim.go_on()
    victim.wait_until("closed")
    assert victim.places_of(MARK) == []


def test_open_weights_lie_only_where_core_dumps_leave_them_out(victim: Victim) -> None:
    places = victim.places_of(MARK)
    assert places
    assert all("dd" in flags.split() for flags in places)


def test_the_payload_key_is_gone_after_closing(workshop: Workshop, bundle: Path, victim: Victim) -> None:
    key = payload_key(stolen_data_key(bundle, workshop.identity(), workshop.verifier()))
    places = victim.places_of(key)
    assert places
    assert all("dd" in flags.split() for flags in places)
    victim.go_on()
    victim.wait_until("closed")
    assert victim.places_of(key) == []
