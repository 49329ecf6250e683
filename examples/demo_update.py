"""An update end to end: a TPM, a power cut, a bad release, a swap under load, a repository, an old disk.

Needs the extras onnx, tpm2 and updates, and the program `swtpm`: `make demo-update` sees to them. Ends with a
status other than zero when anything is not as it should be.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from narration import check, conclude, expect, row, title

import modelkeep as mk

MODEL_ID = "demo/scale"
X = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
WEIGHTS_BESIDE = 48 * 2**20
MODELKEEP = [sys.executable, "-m", "modelkeep"]

# y = x * w with x, y and w float32 [batch, 4], as ONNX; the four weights stand in the middle.
ONNX = bytes.fromhex(
    "08083a660a0e0a01780a017712017922034d756c12057363616c652a19080410014201774a10%s5a180a017812130a110801"
    "120d0a07120562617463680a02080462180a017912130a110801120d0a07120562617463680a02080442040a001011"
    % ("00" * 16)
)


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="modelkeep-demo-") as name,
        tpm(Path(name)),
        serving(Path(name)) as url,
    ):
        demo = Demo(Path(name), url)
        demo.begin()
        demo.first_release()
        demo.second_release()
        demo.bad_release()
        Fleet(demo).show()
        demo.old_release()
    return conclude()


class Demo:
    """A publisher, a web server that nobody trusts, and a device; all of them in one folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.slots = folder / "slots"
        self.device = ("-k", f"tpm2:{folder / 'device.tpm'}")
        self.trust = ("-t", str(folder / "publisher.pub"), "--model-id", MODEL_ID)
        self.kept = folder / "kept"

    def begin(self) -> None:
        title("A device: its key is in a TPM, which also counts; a folder with two slots")
        self.modelkeep("keys", "create", "--kind", "signing", "publisher.pem", output="publisher.pub")
        self.modelkeep("keys", "create", self.device[1], output="device.pub")
        self.modelkeep("slots", "init", "slots", "--model-id", MODEL_ID)

    def first_release(self) -> None:
        title("Release 1: golden vectors are sealed with it, and tried on the device before it counts")
        self.seal(1, weight=2.0)
        self.install(1)
        self.trial()
        self.expect_factor(2.0)
        shutil.copytree(self.slots, self.kept / "slots")
        shutil.copytree(self.folder / "state", self.kept / "state")

    def second_release(self) -> None:
        title("Release 2: killed in the middle of the download; the next start goes on where it was")
        self.seal(2, weight=3.0)
        self.kill_in_the_middle()
        self.expect_factor(2.0)
        self.install(2)
        self.swap_under_load()

    def swap_under_load(self) -> None:
        title("Release 2 takes over under load")
        with mk.watch(self.slots, interval=0.05, **self.opening()) as model, Load(model) as load:
            load.wait_for(2.0)
            self.trial()
            load.wait_for(3.0)
        check(not load.faults, f"dropped: {load.faults[:1]}")
        row("requests", f"{len(load.answers)} answered, {len(load.faults)} dropped")

    def bad_release(self) -> None:
        title("Release 3 computes something else than its publisher saw: it goes, release 2 stays")
        self.seal(3, weight=4.0, golden_weight=4.1)
        self.install(3)
        self.trial(code=3)
        self.expect_factor(3.0)
        self.install(3, code=3)

    def old_release(self) -> None:
        title("Release 1 is put back: as a bundle, as the disk of that day, slots and state and all")
        self.install(1, code=3)
        for name in ("slots", "state"):
            shutil.rmtree(self.folder / name)
            shutil.copytree(self.kept / name, self.folder / name)
        expect("an old disk", mk.RefusedError, self.factor)

    def seal(self, epoch: int, weight: float, golden_weight: float | None = None) -> None:
        model = self.folder / f"release-{epoch}"
        model.mkdir()
        (model / "model.onnx").write_bytes(ONNX.replace(bytes(16), struct.pack("<f", weight) * 4))
        (model / "weights.bin").write_bytes(os.urandom(WEIGHTS_BESIDE))
        case = mk.GoldenCase({"x": X}, {"y": X * np.float32(golden_weight or weight)})
        draft = mk.seal(
            model,
            model=MODEL_ID,
            epoch=epoch,
            entry="model.onnx",
            to=[self.folder / "device.pub"],
            signer=mk.Signer.from_pem(self.folder / "publisher.pem"),
            golden=mk.Golden((case,), mk.GoldenLimits(latency=1.0)),
        )
        draft.save(self.folder / f"{epoch}.keep")

    def install(self, epoch: int, code: int = 0) -> None:
        address = f"{self.url}/{epoch}.keep"
        self.modelkeep("install", address, *self.device, *self.trust, "-o", "slots", code=code)

    def trial(self, code: int = 0) -> None:
        self.modelkeep("trial", "slots", *self.device, *self.trust, code=code)

    def kill_in_the_middle(self) -> None:
        arguments = [*self.device, *self.trust, "-o", "slots", "--bandwidth", str(24 * 2**20)]
        command = [*MODELKEEP, "install", f"{self.url}/2.keep", *arguments]
        with subprocess.Popen(command, cwd=self.folder) as process:
            while self.written() < WEIGHTS_BESIDE // 2 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        row("killed", f"with {self.written() / 2**20:.0f} MiB of release 2 in its slot")

    def written(self) -> int:
        """Returns how many bytes of the slot that takes a release are not zero yet, about."""
        slot = self.slots / "b.keep"
        if not slot.exists():
            return 0
        data = np.fromfile(slot, np.uint8)[::4096]
        return int(np.count_nonzero(data)) * 4096

    def factor(self) -> float:
        with mk.open(self.slots, **self.opening()) as session:
            return float(session.run({"x": X})["y"][0, 0])

    def opening(self) -> dict[str, Any]:
        verifier = mk.Verifier(self.folder / "publisher.pub", model=MODEL_ID)
        return {"identity": self.device[1], "verifier": verifier}

    def expect_factor(self, wanted: float) -> None:
        found = self.factor()
        row("the device opens", f"the model that multiplies with {found:g}")
        check(found == wanted, f"it should multiply with {wanted:g}")

    def modelkeep(self, *arguments: str, code: int = 0, output: str | None = None) -> str:
        command = [*MODELKEEP, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        shown = [each for each in arguments if not each.startswith(("-t", "-k", "tpm2:", "/"))]
        print(f"  $ modelkeep {' '.join(shown[:4])}")
        for line in done.stderr.splitlines():
            print(f"    {line}")
        check(done.returncode == code, f"modelkeep {arguments[0]} ended with {done.returncode}")
        if output is not None:
            (self.folder / output).write_text(done.stdout)
        return done.stderr


class Fleet:
    """The same publisher with a repository, which the device follows from then on."""

    ROLES = ("-s", "models.pem", "-s", "phase.pem", "-s", "online.pem")
    PLACES = ("alice.channel", "alice.trust", "models", "phase", "online", "publisher")

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.repository = demo.folder / "repository"

    def show(self) -> None:
        title("A repository: one ceremony; release 4 goes to everybody")
        self.found()
        self.publish(4, weight=5.0)
        self.update("updated", 5.0)
        old = shutil.copytree(self.repository, self.demo.folder / "old")
        title("Release 5 is bad: the device returns by itself; the publisher withdraws it, release 6 follows")
        self.publish(5, weight=6.0, golden_weight=6.1)
        self.update("returned", 5.0, code=3)
        self.update("failed before", 5.0)
        self.repo("withdraw", "repository", "5.keep", *self.ROLES)
        self.publish(6, weight=7.0)
        self.update("updated", 7.0)
        title("The repository of the day of release 4 is put in its place: nothing is taken from there")
        self.update("version", 7.0, place=old.name, code=3)

    def found(self) -> None:
        kinds = {"alice.trust": "root"}
        for place in self.PLACES[:-1]:
            made = ("--kind", kinds.get(place, "channel"), f"{place}.pem")
            self.demo.modelkeep("keys", "create", *made, output=f"{place}.pub")
        keys = [word for place in self.PLACES for word in ("--key", f"{place}={place}.pub")]
        plan = ["--person", "alice", "--threshold", "1", "--no-spare", "--models", "demo/*"]
        digest = self.repo("init", "repository", *plan, *keys)["digest"]
        signers = ["--trust-signer", "alice.trust.pem", "-s", "alice.channel.pem", *self.ROLES]
        check(self.repo("init", "repository", *signers, "--yes", str(digest))["published"], "no repository")

    def publish(self, epoch: int, weight: float, golden_weight: float | None = None) -> None:
        self.demo.seal(epoch, weight, golden_weight)
        self.repo("publish", "repository", f"{epoch}.keep", *self.ROLES, "--share", "100%")

    def update(self, wanted: str, factor: float, *, place: str = "repository", code: int = 0) -> None:
        follows = ("--repository", f"{self.demo.url}/{place}", "--root", "repository/metadata/1.root.json")
        told = self.demo.modelkeep(
            "update", "slots", *follows, *self.demo.device, *self.demo.trust, code=code
        )
        check(wanted in told, f"the update should say: {wanted}")
        self.demo.expect_factor(factor)

    def repo(self, *arguments: str) -> Any:
        self.demo.modelkeep("repo", *arguments, "--json", output="result.json")
        return json.loads((self.demo.folder / "result.json").read_text())


class Load:
    """Threads that call a model all the time, as clients do."""

    def __init__(self, model: mk.Watched, threads: int = 3) -> None:
        self.answers: list[float] = []
        self.faults: list[Exception] = []
        self._model, self._done = model, threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self) -> Load:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._done.set()
        for each in self._threads:
            each.join()

    def wait_for(self, factor: float) -> None:
        deadline = time.monotonic() + 60
        while factor not in self.answers[-10:] and time.monotonic() < deadline:
            time.sleep(0.01)
        check(factor in self.answers, f"the model that multiplies with {factor:g} never took over")

    def _work(self) -> None:
        while not self._done.is_set():
            try:
                self.answers.append(float(self._model.run({"x": X})["y"][0, 0]))
            except Exception as fault:
                self.faults.append(fault)
            time.sleep(0.001)


class Ranges(SimpleHTTPRequestHandler):
    """A web server that gives files from some place on."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(size - start))
        self.send_header("ETag", f'"{path.name}"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        # A client that is killed, or has seen enough, is nothing to speak of.
        with contextlib.suppress(ConnectionError), path.open("rb") as file:
            file.seek(start)
            self.copyfile(file, self.wfile)

    def log_message(self, *_details: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def tpm(folder: Path) -> Iterator[None]:
    """Runs a software TPM of its own, and has everything here use it."""
    (folder / "tpm").mkdir()
    port = free_pair()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'tpm'}"]
    command += ["--server", f"type=tcp,port={port}", "--ctrl", f"type=tcp,port={port + 1}"]
    os.environ["MODELKEEP_TPM2_TCTI"] = f"swtpm:host=127.0.0.1,port={port}"
    os.environ["MODELKEEP_STATE"] = str(folder / "state")
    with subprocess.Popen([*command, "--flags", "not-need-init,startup-clear"]) as process:
        wait_for(port + 1)
        try:
            yield
        finally:
            process.kill()


def free_pair() -> int:
    """Returns a port that is free, as is the next one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            port: int = first.getsockname()[1]
            with socket.create_server(("127.0.0.1", port + 1)):
                return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit("swtpm does not start")


if __name__ == "__main__":
    sys.exit(main())
