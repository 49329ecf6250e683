"""What installing while it arrives costs, against writing the same bytes down and hashing them.

Prints CPU seconds of both, interleaved, the memory, and what a kill costs: what is fetched again, and how
fast what is there is checked. `python -m benches.updating [MEBIBYTES] [FOLDER]`.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import modelkeep as mk
from modelkeep.channels.channel import ByteStream
from modelkeep.updates.recheck import Recheck
from modelkeep.updates.source import FileSource

_MEBIBYTE = 2**20
_MODEL = "bench/model"


class KillingSource(FileSource):
    """A file whose reader is killed when it has read so much."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self._after = after

    def open(self, offset: int) -> ByteStream:
        return _Killing(super().open(offset), self._after)


class _Killing:
    def __init__(self, file: ByteStream, left: int) -> None:
        self._left = left
        self._read = file.read
        self.close = file.close

    def read(self, size: int) -> bytes | None:
        piece = self._read(size)
        self._left -= len(piece or b"")
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece


def main(mebibytes: int, folder: Path) -> None:
    os.environ["MODELKEEP_STATE"] = str(folder / "states")
    _make(folder, mebibytes)
    for digest in ("leaves", "files"):
        bundle = folder / f"{digest}.keep"
        for _ in range(3):
            hashed, installed = _hash_while_write(bundle, folder / "copy"), _alone("install", folder, digest)
            print(f"{digest}: hash while write {hashed:.2f} s CPU, install {installed}")
        size = bundle.stat().st_size
        after = size * 7 // 10
        _alone("kill", folder, digest, after)
        print(f"{digest}, killed after {after} bytes of {size}: {_alone('resume', folder, digest, after)}")


def _make(folder: Path, mebibytes: int) -> None:
    recipient = mk.create_key(f"file:{folder / 'device.pem'}")
    (folder / "publisher.pub").write_bytes(mk.create_signing_key(folder / "publisher.pem"))
    weights = folder / "weights.bin"
    with weights.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(_MEBIBYTE))
    for digest in ("leaves", "files"):
        draft = mk.seal(
            weights,
            model=_MODEL,
            to=[recipient],
            signer=mk.Signer.from_pem(folder / "publisher.pem"),
            digest=mk.Coverage(digest),
        )
        draft.save(folder / f"{digest}.keep")
        time.sleep(1)  # two of one second are one place
    weights.unlink()


def _hash_while_write(source: Path, target: Path) -> float:
    begin, digest, piece = time.process_time(), hashlib.sha256(), memoryview(bytearray(_MEBIBYTE))
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        while count := reader.readinto(piece):
            digest.update(piece[:count])
            writer.write(piece[:count])
        os.fsync(writer.fileno())
    target.unlink()
    return time.process_time() - begin


def _alone(*words: object) -> str:
    command = [sys.executable, "-m", "benches.updating", "--alone", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _one(what: str, folder: Path, digest: str, after: int = 0) -> str:
    bundle, target = folder / f"{digest}.keep", folder / f"{what}-{digest}.keep".replace("resume", "kill")
    source = KillingSource(bundle, after) if what == "kill" else FileSource(bundle)
    spent = _timed_recheck()
    install = mk.install  # imported before the time is taken
    begin = time.process_time()
    report = install(
        source,
        target,
        identity=f"file:{folder / 'device.pem'}",
        verifier=mk.Verifier(folder / "publisher.pub", model=_MODEL),
        force=True,
    )
    used = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    words = f"{used:.2f} s CPU, {memory:.0f} MB"
    if report.kept:
        again = after - report.kept
        rate = report.kept / sum(spent) / 1e9
        words += f"; fetched again {again / _MEBIBYTE:.2f} MiB, rechecked at {rate:.2f} GB per CPU second"
    return words


def _timed_recheck() -> list[float]:
    spent: list[float] = []
    run = Recheck.run

    def timed(self: Recheck) -> int:
        begin = time.process_time()
        try:
            return run(self)
        finally:
            spent.append(time.process_time() - begin)

    Recheck.run = timed  # type: ignore[method-assign]
    return spent


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        print(_one(sys.argv[2], Path(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:])))
    else:
        with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, Path(place))
