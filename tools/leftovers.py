"""What stays in memory after a model is closed: looks from the outside and writes docs/leftovers.md.

    python tools/leftovers.py               # every runtime that is installed

For each kind of model, runtime and way to open it, a process opens a sealed model whose weights are marked,
runs it, closes it, does the same once more and waits; this one reads all of its memory through /proc and
counts weights.
In process mode, the memory of the isolated process is read, too, and that of the process it was copied from.
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

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tools import marked_models  # noqa: E402 - tools are no package that is installed
from tools.memory_scan import Found, look  # noqa: E402

DOCUMENT = ROOT / "docs" / "leftovers.md"
MODEL_ID = "leftovers/marked"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to open a model.

    Attributes:
        kind: of model.
        name: of the runtime, for people.
        module: what must be installed.
        suffix: of the model's main file.
        options: of the session, plain data.
        isolation: ``in-process``, ``process`` or ``secret``.
    """

    kind: str
    name: str
    module: str
    suffix: str
    options: Mapping[str, Any]
    isolation: str = "in-process"

    @property
    def file(self) -> str:
        """The main file, in the folder of all models."""
        return f"{self.kind}{self.suffix}/net{self.suffix}"


_WAYS: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("ONNX Runtime, fast", "onnxruntime", ".onnx", {}),
    ("ONNX Runtime, single-copy", "onnxruntime", ".onnx", {"profile": "single-copy"}),
    ("OpenVINO, IR", "openvino", ".xml", {}),
    ("OpenVINO, ONNX", "openvino", ".onnx", {"runtime": "openvino"}),
)
_LITERT: tuple[str, str, str, Mapping[str, Any]] = ("LiteRT", "ai_edge_litert", ".tflite", {})
# Halves would not be found: they lack the mark.
_SINGLE = {f"use_fp16_{what}": False for what in ("storage", "packed", "arithmetic")}
_NCNN: tuple[str, str, str, Mapping[str, Any]] = ("ncnn", "ncnn", ".param", _SINGLE)
_EXECUTORCH: tuple[str, str, str, Mapping[str, Any]] = ("ExecuTorch, XNNPACK", "executorch", ".pte", {})
CASES = (
    *(Case(kind, *way) for way in _WAYS for kind in marked_models.KINDS),
    Case("products", *_LITERT),
    Case("products", *_NCNN),
    Case("products", *_EXECUTORCH),
    *(Case("products", *way, "process") for way in (*_WAYS, _LITERT, _NCNN, _EXECUTORCH)),
    *(Case(kind, *_WAYS[1], "secret") for kind in marked_models.KINDS),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one case left.

    Attributes:
        case: which.
        weights: how many the model has.
        opened: with the model open, in the process that computes.
        closed: after closing, in the process that opened it and the one that isolated ones are copied from.
        gone: whether the isolated process had ended by then.
    """

    case: Case
    weights: int
    opened: Found
    closed: Found
    gone: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed model.

    Attributes:
        bundle: its file.
        key: of its payload.
        weights: how many it has.
    """

    bundle: Path
    key: bytes
    weights: int


def measure(case: Case, sealed: Sealed, keys: Path) -> Finding:
    """Opens a bundle in another process and looks into its memory, open and closed."""
    with _victim(case, sealed.bundle, keys) as (process, staying, isolated):
        # Exactly one computes: a tool that looks at another one finds nothing, and all seems well.
        (computing,) = staying if case.isolation == "in-process" else isolated
        opened = look(computing, sealed.key)
        _say(process, "")
        _wait(process)
        gone = not any(Path("/proc", str(pid)).exists() for pid in isolated)
        closed = [look(pid, sealed.key) for pid in staying]
        return Finding(case, sealed.weights, opened, _sum(closed), gone)


def _sum(found: Sequence[Found]) -> Found:
    return Found(sum(each.weights for each in found), sum(each.keys for each in found))


@contextmanager
def _victim(
    case: Case, bundle: Path, keys: Path
) -> Iterator[tuple[subprocess.Popen[str], list[int], list[int]]]:
    """Yields a process, the ids of those that outlive its session, and of those that must not."""
    shape = [1 if isinstance(length, str) else length for length in marked_models.shape(case.kind)]
    settings = json.dumps({"isolation": case.isolation, "options": dict(case.options), "shape": shape})
    command = [sys.executable, __file__, "--victim", str(bundle), str(keys), settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            staying, isolated = json.loads(_wait(process))
            yield process, staying, isolated
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
    """Opens a model, runs it and closes it; once more, but closes it when told to."""
    import os

    from modelkeep.isolation import ProcessIsolation
    from modelkeep.keys.identity import Identity
    from modelkeep.opening import open_session
    from modelkeep.trust.verifier import Verifier
    from support.processes import children, fork_servers

    wanted = json.loads(settings)
    isolation = ProcessIsolation(secret=True) if wanted["isolation"] == "secret" else wanted["isolation"]

    def opened() -> Any:
        session = open_session(
            bundle,
            identity=Identity(f"file:{keys}/device.pem"),
            verifier=Verifier(f"{keys}/publisher.pub", model=MODEL_ID),
            isolation=isolation,
            **wanted["options"],
        )
        assert session.contract is not None
        (taken,) = session.contract.inputs
        session.run({taken.name: np.ones(wanted["shape"], np.float32)})
        return session

    opened().close()
    session = opened()
    print(json.dumps([[os.getpid(), *fork_servers()], [*children()]]), flush=True)
    sys.stdin.readline()
    session.close()
    print("closed", flush=True)
    sys.stdin.readline()


def prepare(folder: Path, cases: Sequence[Case]) -> dict[str, Sealed]:
    """Makes keys and sealed models, by main file."""
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
    for kind, file in sorted({(case.kind, case.file) for case in cases}):
        weights = marked_models.write(kind, folder / file)
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
            sealed[file] = Sealed(bundle, bytes(unlocked.payload_key), weights)
    return sealed


def installed(cases: Sequence[Case]) -> list[Case]:
    """Returns the cases whose runtime is there."""
    return [case for case in cases if importlib.util.find_spec(case.module)]


def measure_all(cases: Sequence[Case]) -> Iterator[Finding]:
    """Measures each case in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sealed = prepare(folder, cases)
        for case in cases:
            yield measure(case, sealed[case.file], folder)


def document(findings: Sequence[Finding]) -> str:
    """Returns the page with the table of what was found."""
    rows = [_row(each) for each in findings]
    kinds = [f"- {name}: {make.__doc__}" for name, make in marked_models.KINDS.items()]
    return "\n".join([_HEAD.rstrip("\n"), *rows, _KINDS, *kinds, _FOOT])


def _row(finding: Finding) -> str:
    case, opened, closed = finding.case, finding.opened, finding.closed
    copies = [f"{found.weights / finding.weights:.2f}" for found in (opened, closed)]
    cells = (
        case.kind,
        case.name,
        case.isolation,
        copies[0],
        opened.keys,
        copies[1],
        closed.weights,
        closed.keys,
    )
    return f"| {' | '.join(map(str, cells))} |"


_HEAD = """# What is left in memory

Written by `make leftovers`. A model with marked weights is opened, run and closed, twice; another process
with the right to read all memory counts the weights at every address. Every weight ends with the same
twelve bits, and four such numbers in a row are weights, in whatever order a runtime arranged them. One copy
means as many as the model has. "Key" is the key of the payload, from which the keys of all files are
derived. While a model is open, the process that computes is read; after closing, the one that opened it
and the one that isolated processes are copied from, because the isolated process itself no longer exists.

| Model | Runtime | Isolation | Copies, open | Key, open | Copies, closed | Weights, closed | Key, closed |
|---|---|---|---|---|---|---|---|
"""
_KINDS = """
The models:
"""
_FOOT = """
What is not found is not thereby proved gone: weights that a runtime converts to another type, combines
with others, or copies to a GPU look different. In process mode the kernel takes back every page of the
process, whatever they hold. Threads of the caller that ran the model may keep the last 64 KiB that
matrix products worked on in their stacks; the thread that closes the session clears its own, and those
of threads that the runtime ended. A few dozen numbers are chance: in process mode they are found in a
process that never held a weight.
"""
# Fewer than one weight in two hundred; or so few numbers that chance makes as many.
NOTHING, CHANCE = 0.005, 64


def clean(finding: Finding) -> bool:
    """Returns whether nothing is left: the table shows 0.00."""
    few = finding.closed.weights < max(NOTHING * finding.weights, CHANCE)
    return few and not finding.closed.keys and finding.gone


def main() -> None:
    """Measures what is installed and writes the page."""
    if sys.argv[1:2] == ["--victim"]:
        be_victim(*sys.argv[2:])
        return
    findings = list(measure_all(installed(CASES)))
    DOCUMENT.write_text(document(findings))
    print(document(findings))
    if not all(clean(each) for each in findings):
        sys.exit("something is left")


if __name__ == "__main__":
    main()
