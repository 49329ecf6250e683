"""What stays in memory after a model is closed: looks from the outside and writes docs/leftovers.md.

    python tools/leftovers.py               # every runtime that is installed

For each runtime and way to open it, a process opens a sealed model whose weights are marked, runs it,
closes it and waits; this one reads all of its memory through /proc and counts windows of the weights.
In process mode, the memory of the isolated process is read, too.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "leftovers.md"
MODEL_ID = "leftovers/marked"
WINDOW = 16
_CHUNK = 16 * 2**20
_WIDTH, _LAYERS = 512, 4  # 4 MiB of weights


@dataclass(frozen=True, slots=True)
class Case:
    """One way to open a model.

    Attributes:
        name: for people.
        module: what must be installed.
        file: main file of the model, in the folder of all models.
        options: of the session, plain data.
        isolation: ``in-process``, ``process`` or ``secret``.
    """

    name: str
    module: str
    file: str
    options: Mapping[str, Any]
    isolation: str = "in-process"


_IN_PROCESS = (
    Case("ONNX Runtime, fast", "onnxruntime", "onnx/net.onnx", {}),
    Case("ONNX Runtime, single-copy", "onnxruntime", "onnx/net.onnx", {"profile": "single-copy"}),
    Case("LiteRT", "ai_edge_litert", "litert/net.tflite", {}),
    Case("OpenVINO, IR", "openvino", "openvino/net.xml", {}),
    Case("OpenVINO, ONNX", "openvino", "onnx/net.onnx", {"runtime": "openvino"}),
)
CASES = (
    *_IN_PROCESS,
    *(Case(case.name, case.module, case.file, case.options, "process") for case in _IN_PROCESS),
    Case("ONNX Runtime, single-copy", "onnxruntime", "onnx/net.onnx", {"profile": "single-copy"}, "secret"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one moment.

    Attributes:
        copies: hits of weight windows, as they lie in the file or transposed, by number of windows.
        keys: places of the payload key.
    """

    copies: float
    keys: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What one case left.

    Attributes:
        case: which.
        opened: with the model open, in the process that computes.
        closed: after closing, in the process that opened it.
        gone: whether the isolated process had ended by then.
    """

    case: Case
    opened: Found
    closed: Found
    gone: bool


class Windows:
    """Pieces of 16 bytes to look for, at any place that is a multiple of one byte."""

    def __init__(self, weights: Sequence[NDArray[np.float32]]) -> None:
        rows = [np.ascontiguousarray(turned).reshape(-1, 4) for each in weights for turned in (each, each.T)]
        words = np.concatenate(rows).view(np.uint32)
        pairs = _pairs(words[:, 0], words[:, 1])
        order = np.argsort(pairs)
        self._pairs, self._rest = pairs[order], words[order, 2:]
        self._likely = np.zeros(2**16, bool)
        self._likely[words[:, 0] >> 16] = True
        self.count = len(words) // 2  # each weight is looked for in two orders

    def hits(self, chunk: bytes) -> int:
        """Returns how many windows lie in `chunk`."""
        return sum(self._hits_at(chunk, shift) for shift in range(4))

    def _hits_at(self, chunk: bytes, shift: int) -> int:
        count = (len(chunk) - shift) // 4
        words = np.frombuffer(chunk, np.uint32, max(count, 0), shift)
        places = np.flatnonzero(self._likely[words[:-3] >> 16])
        pairs = _pairs(words[places], words[places + 1])
        matches = np.searchsorted(self._pairs, pairs).clip(max=len(self._pairs) - 1)
        found = self._pairs[matches] == pairs
        found &= self._rest[matches, 0] == words[places + 2]
        found &= self._rest[matches, 1] == words[places + 3]
        return int(found.sum())


def _pairs(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return first.astype(np.uint64) << np.uint64(32) | second


def look(pid: int, windows: Windows, key: bytes) -> Found:
    """Reads all memory of a process; what the kernel hides even from root is not counted.

    Raises:
        PermissionError: this user may not read that process.
    """
    hits = keys = 0
    for chunk in _memory(pid):
        hits += windows.hits(chunk)
        keys += chunk.count(key)
    return Found(hits / windows.count, keys)


def _memory(pid: int) -> Iterator[bytes]:
    """Gives the memory in chunks that overlap by a window less one byte."""
    maps = Path("/proc", str(pid), "maps").read_text().splitlines()
    with Path("/proc", str(pid), "mem").open("rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split("-"))
            # Programs and libraries as they are on the disk hold nothing of a model.
            from_disk = len(rest) == 4 and rest[3].startswith("/") and not rest[3].startswith("/memfd:")
            if mode.startswith("rw") or (mode.startswith("r") and not from_disk):
                yield from _region(memory, start, end)


def _region(memory: Any, start: int, end: int) -> Iterator[bytes]:
    overlap = 2 * WINDOW
    for place in range(start, end, _CHUNK):
        try:
            memory.seek(place)
            yield memory.read(min(_CHUNK + overlap, end - place))
        except (OSError, OverflowError, ValueError):  # secret memory, and the kernel's own pages
            continue


def marked_weights() -> list[NDArray[np.float32]]:
    """Returns layers of random weights [outputs, inputs], the same each time."""
    random = np.random.default_rng(20260)
    shape = (_WIDTH, _WIDTH)
    return [random.standard_normal(shape, np.float32) / _WIDTH**0.5 for _ in range(_LAYERS)]


def measure(case: Case, bundle: Path, keys: Path, windows: Windows, key: bytes) -> Finding:
    """Opens `bundle` in another process and looks into its memory, open and closed."""
    with _victim(case, bundle, keys) as (process, pids):
        opened = look(pids[-1], windows, key)
        _say(process, "")
        _wait(process)
        gone = len(pids) == 1 or not Path("/proc", str(pids[-1])).exists()
        return Finding(case, opened, look(pids[0], windows, key), gone)


@contextmanager
def _victim(case: Case, bundle: Path, keys: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    settings = json.dumps({"isolation": case.isolation, "options": dict(case.options)})
    command = [sys.executable, __file__, "--victim", str(bundle), str(keys), settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(_wait(process))
        finally:
            process.kill()


def _wait(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the process that holds the model failed")
    return line


def _say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def be_victim(bundle: str, keys: str, settings: str) -> None:
    """Opens a model, runs it, and closes it when told to."""
    import os

    from modelkeep.isolation import ProcessIsolation
    from modelkeep.keys.identity import Identity
    from modelkeep.session import open_session
    from modelkeep.trust.verifier import Verifier

    wanted = json.loads(settings)
    isolation = ProcessIsolation(secret=True) if wanted["isolation"] == "secret" else wanted["isolation"]
    session = open_session(
        bundle,
        identity=Identity(f"file:{keys}/device.pem"),
        verifier=Verifier(f"{keys}/publisher.pub", model=MODEL_ID),
        isolation=isolation,
        **wanted["options"],
    )
    session.run({"x": np.ones((1, _WIDTH), np.float32)})
    tasks = Path("/proc/self/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    print(json.dumps([os.getpid(), *children]), flush=True)
    sys.stdin.readline()
    session.close()
    print("closed", flush=True)
    sys.stdin.readline()


def prepare(folder: Path, cases: Sequence[Case]) -> dict[str, tuple[Path, bytes]]:
    """Makes keys and sealed models; returns main file -> bundle and payload key."""
    from modelkeep.bundle.access import Access, unlock
    from modelkeep.grants.recipient_text import format_recipient
    from modelkeep.keys.file import FileStore
    from modelkeep.keys.identity import Identity
    from modelkeep.sealing import seal
    from modelkeep.trust.signer import Signer
    from modelkeep.trust.signing_keys import create_signing_key
    from modelkeep.trust.verifier import Verifier

    recipient = FileStore().create(str(folder / "device.pem"), "p256")
    (folder / "device.pub").write_text(format_recipient(recipient) + "\n")
    (folder / "publisher.pub").write_bytes(create_signing_key(folder / "publisher.pem"))
    signer = Signer.from_pem(folder / "publisher.pem")
    sealed = {}
    for file in sorted({case.file for case in cases}):
        _write_model(folder / file)
        bundle = folder / f"{Path(file).parent}.keep"
        draft = seal(
            (folder / file).parent,
            model=MODEL_ID,
            to=[folder / "device.pub"],
            signer=signer,
            entry=Path(file).name,
        )
        draft.save(bundle)
        identity = Identity(f"file:{folder}/device.pem")
        verifier = Verifier(folder / "publisher.pub", model=MODEL_ID)
        with unlock(bundle, Access(identity, verifier)) as unlocked:
            sealed[file] = bundle, bytes(unlocked.payload_key)
    return sealed


def _write_model(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".tflite":
        sys.path.insert(0, str(ROOT / "tests"))
        from support.tflite_models import dense_model

        path.write_bytes(dense_model(marked_weights()))
        return
    onnx_file = path.with_suffix(".onnx")
    onnx_file.write_bytes(onnx_model(marked_weights()))
    if path.suffix == ".xml":
        openvino: Any = importlib.import_module("openvino")
        openvino.save_model(openvino.Core().read_model(str(onnx_file)), str(path), compress_to_fp16=False)
        onnx_file.unlink()


def onnx_model(weights: Sequence[NDArray[np.float32]]) -> bytes:
    """Returns a model of matrix products and ReLUs from ``x`` to ``y``, both [batch, width]."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, before = [], "x"
    for index in range(len(weights)):
        after = "y" if index == len(weights) - 1 else f"h{index}"
        nodes.append(helper.make_node("MatMul", [before, f"w{index}"], [f"m{index}"]))
        nodes.append(helper.make_node("Relu", [f"m{index}"], [after]))
        before = after
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", _WIDTH]) for name in "xy"]
    tensors = [numpy_helper.from_array(each.T.copy(), f"w{index}") for index, each in enumerate(weights)]
    graph = helper.make_graph(nodes, "marked", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def installed(cases: Sequence[Case]) -> list[Case]:
    """Returns the cases whose runtime is there."""
    return [case for case in cases if importlib.util.find_spec(case.module)]


def measure_all(cases: Sequence[Case]) -> Iterator[Finding]:
    """Measures each case in fresh processes."""
    windows = Windows(marked_weights())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sealed = prepare(folder, cases)
        for case in cases:
            bundle, key = sealed[case.file]
            yield measure(case, bundle, folder, windows, key)


def document(findings: Sequence[Finding]) -> str:
    """Returns the page with the table of what was found."""
    rows = [
        f"| {each.case.name} | {each.case.isolation} | {each.opened.copies:.2f} | {each.opened.keys} "
        f"| {each.closed.copies:.2f} | {each.closed.keys} |"
        for each in findings
    ]
    return "\n".join([_HEAD.rstrip("\n"), *rows, _FOOT])


_HEAD = """# What is left in memory

Written by `make leftovers`. A model with marked weights is opened, run and closed; another process with
the right to read all memory counts pieces of 16 bytes of the weights, as they lie in the file and
transposed, at every address. One copy means that every piece was found once. "Key" is the key of the
payload, from which the keys of all files are derived. While a model is open, the process that computes is
read; after closing, the one that opened it, because the isolated process no longer exists.

| Runtime | Isolation | Copies, open | Key, open | Copies, closed | Key, closed |
|---|---|---|---|---|---|
"""
_FOOT = """
What is not found is not thereby posture gone: weights that a runtime packs in an order of its own, converts
to another type, or copies to a GPU look different. In process mode the kernel takes back every page
of the process, whatever they hold.
"""


def main() -> None:
    """Measures what is installed and writes the page."""
    if sys.argv[1:2] == ["--victim"]:
        be_victim(*sys.argv[2:])
        return
    findings = list(measure_all(installed(CASES)))
    DOCUMENT.write_text(document(findings))
    print(document(findings))
    if any(each.closed.copies or each.closed.keys or not each.gone for each in findings):
        sys.exit("something is left")


if __name__ == "__main__":
    main()
