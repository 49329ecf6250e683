"""Files beyond 2, 4 and 8 GiB, and very many: sealing takes little memory, opening takes the model's size."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile

import pytest

import modelkeep as mk
from support.workshop import Workshop

pytestmark = pytest.mark.slow

GIB = 2**30

# Not ru_maxrss: that of a child begins with what its parent has.
PEAK = """
import re
from pathlib import Path
def peak():
    return re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
"""

SEAL = f"""{PEAK}
import sys
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
source, device, publisher, target = sys.argv[1:]
seal(source, model="acme/detector", to=[device], signer=Signer.from_pem(publisher)).save(target)
print(peak())
"""

OPEN = f"""{PEAK}
import sys
from modelkeep.bundle.access import Access, unlock
from modelkeep.keys.identity import Identity
from modelkeep.memory import Pages
from modelkeep.trust.verifier import Verifier
bundle, device, publisher = sys.argv[1:]
verifier = Verifier(open(publisher, "rb").read(), model="acme/detector")
with unlock(bundle, Access(Identity("file:" + device), verifier)) as opened:
    opened.verified.check_digests()
    size = opened.verified.manifest.members[1].size
    with Pages.allocate(size) as pages:
        opened.decrypt(1, pages.view)
        print(peak())
        for position in (0, 2**30 + 5, size - 8):
            print(bytes(pages.view[position : position + 8]).hex())
"""

INSTALL = f"""{PEAK}
import sys
import modelkeep as mk
bundle, device, publisher, target = sys.argv[1:]
verifier = mk.Verifier(open(publisher, "rb").read(), model="acme/detector")
mk.install(bundle, target, identity="file:" + device, verifier=verifier)
print(peak())
"""


def run(script: str, *arguments: object) -> list[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    return done.stdout.split()


@pytest.mark.parametrize("size", [3 * GIB + 12_345, 9 * GIB + 1])
def test_a_big_file_is_sealed_in_little_memory_and_opens(workshop: Workshop, size: int) -> None:
    source, public = workshop.folder / "weights.bin", workshop.folder / "publisher.pub"
    public.write_bytes(workshop.publisher_public)
    marks = {position: os.urandom(8) for position in (0, GIB + 5, size - 8)}
    with source.open("wb") as file:
        for position, mark in marks.items():
            os.pwrite(file.fileno(), mark, position)
    target = workshop.folder / "big.keep"
    (sealing,) = run(SEAL, source, workshop.device.with_suffix(".pub"), workshop.publisher_pem, target)
    assert int(sealing) < 200 * 1024
    with tarfile.open(target) as archive:
        assert archive.getmember("payload/1").size > size
    opening, *found = run(OPEN, target, workshop.device, public)
    assert found == [mark.hex() for mark in marks.values()]
    assert int(opening) < size / 1024 + 200 * 1024
    (installing,) = run(INSTALL, target, workshop.device, public, workshop.folder / "installed.keep")
    assert int(installing) < 200 * 1024
    for path in (target, source, workshop.folder / "installed.keep"):
        path.unlink()


def test_a_model_of_10000_files_is_sealed_installed_and_read(workshop: Workshop) -> None:
    folder = workshop.folder / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"part-{number}.bin").write_bytes(number.to_bytes(4, "big"))
    bundle, installed = workshop.seal(folder), workshop.folder / "installed.keep"
    with workshop.identity() as identity:
        mk.install(bundle, installed, identity=identity, verifier=workshop.verifier())
        for sealed in (bundle, installed):
            # Not `open_files`: two descriptors for each are more than most limits allow.
            with mk.unlock(sealed, mk.Access(identity, workshop.verifier())) as unlocked:
                files = {file: index for index, file in unlocked.inner_manifest().model_files()}
                assert len(files) == 10_000
                with mk.Pages.allocate(4) as pages:
                    unlocked.decrypt(files["part-9999.bin"], pages.view)
                    assert bytes(pages.view) == (9999).to_bytes(4, "big")
