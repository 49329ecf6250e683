"""A bundle that arrives as a stream: judged before its payload, checked as it comes."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.unwrapping import unwrap
from modelkeep.errors import (
    NotForThisDeviceError,
    StorageError,
)
from modelkeep.manifest import Coverage, LeafAlgorithm
from support.arriving import Arriving, first_payload, payload_of
from support.attacker import Forgery
from support.command_line import outside
from support.workshop import MODEL_ID, Workshop

CONTENT = bytes(range(251)) * 10_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "empty.bin").write_bytes(b"")
    (folder / "weights.bin").write_bytes(CONTENT)
    return folder


@pytest.fixture
def bundle(workshop: Workshop, source: Path) -> Path:
    return workshop.seal(source)


@pytest.mark.parametrize("leaf", list(LeafAlgorithm))
@pytest.mark.parametrize("digest", list(Coverage))
def test_gives_every_segment_as_it_was_sealed(
    workshop: Workshop, source: Path, leaf: LeafAlgorithm, digest: Coverage
) -> None:
    bundle = workshop.seal(source, leaf=leaf, digest=digest)
    with Bundle(bundle) as opened:
        expected = {
            int(name.partition("/")[2]): opened.read(name) for name in opened.sizes if name[:7] == "payload"
        }
    assert payload_of(Arriving(bundle.read_bytes()), workshop.verifier()) == expected


def test_verdict_and_data_key_are_there_before_the_first_byte_of_payload(
    workshop: Workshop, bundle: Path
) -> None:
    front = Arriving(bundle.read_bytes()[: first_payload(bundle)])
    arrival = ArrivingBundle(front).verify(workshop.verifier())
    assert arrival.signed.manifest.model == MODEL_ID
    with unwrap(arrival.signed, workshop.identity(), arrival.embedded_grants()) as unwrapped:
        assert len(unwrapped.data_key.view) == 32
    with pytest.raises(NotForThisDeviceError):
        unwrap(arrival.signed, workshop.identity(workshop.new_device("other")), arrival.embedded_grants())


def test_further_signatures_and_grants_for_others_are_read_and_forgotten(
    workshop: Workshop, bundle: Path
) -> None:
    forgery = Forgery(bundle)
    forgery.files |= {f"signatures/{index}": bytearray(b"who knows") for index in range(3)}
    data = forgery.write(workshop.folder / "more.keep").read_bytes()
    assert payload_of(Arriving(data), workshop.verifier())


def test_broken_streams_have_words(workshop: Workshop) -> None:
    class Broken(io.RawIOBase):
        def read(self, _size: int = -1, /) -> bytes:
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(StorageError, match="the stream broke: connection reset"):
        ArrivingBundle(Broken())
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as pipe, pytest.raises(StorageError, match="does not wait"):
        ArrivingBundle(pipe)
    os.close(writing)


def test_command_verifies_what_arrives_through_a_pipe(workshop: Workshop, bundle: Path) -> None:
    changed = Forgery(bundle)
    changed.files["payload/2"][2000] ^= 1
    refused = changed.write(workshop.folder / "changed.keep")
    trusted = workshop.folder / "publisher.pub"
    trusted.write_bytes(workshop.publisher_public)
    for path, words in ((bundle, "ok: acme/detector epoch 1"), (refused, "is not the one that was signed")):
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            done = outside("verify", "-", "-t", trusted, stdin=cat.stdout)
        assert (words in done.stderr, done.returncode == 0) == (True, path == bundle)
