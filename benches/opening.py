"""How long a small sealed model takes to open, beside the plain load by the same runtime.

    python benches/opening.py MODEL ...        # .onnx, .tflite, or .xml beside its .bin

Plain and sealed loads take turns in one process, after two of each that do not count, with one thread.
The bundle is in the cache of the system, and so is the plain file. Of each ratio the median is printed:
processor time, which a busy machine disturbs less, and time on the wall.

Then the steps of an opening that are not the runtime's, and their floor: the same bytes read, digested and
decrypted by bare calls. Processor time, the least of all rounds.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import modelkeep as mk
from modelkeep.bundle.access import Access, unlock
from support.workshop import Workshop

ROUNDS, WARM_UP = 25, 2
SEGMENT = 2**20


class Taken(NamedTuple):
    """Milliseconds of one load."""

    processor: float
    wall: float


def onnx_settings() -> dict[str, Any]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 4, 1
    return {"session_options": settings}


def plain_onnx(path: Path) -> object:
    import onnxruntime

    settings = onnx_settings()["session_options"]
    return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def plain_litert(path: Path) -> object:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def plain_openvino(path: Path) -> object:
    openvino: Any = importlib.import_module("openvino")
    return openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1})


PLAIN: dict[str, Callable[[Path], object]] = {
    ".onnx": plain_onnx,
    ".tflite": plain_litert,
    ".xml": plain_openvino,
}
SETTINGS: dict[str, Callable[[], dict[str, Any]]] = {
    ".onnx": onnx_settings,
    ".tflite": lambda: {"num_threads": 1},
    ".xml": lambda: {"config": {"INFERENCE_NUM_THREADS": 1}},
}


def taken(load: Callable[[], Any]) -> Taken:
    processor, wall = time.process_time(), time.perf_counter()
    loaded = load()
    result = Taken(1e3 * (time.process_time() - processor), 1e3 * (time.perf_counter() - wall))
    if hasattr(loaded, "close"):
        loaded.close()
    return result


def figures(name: str, plain: list[Taken], sealed: list[Taken]) -> str:
    words = []
    for unit in ("processor", "wall"):
        before, after = ([getattr(each, unit) for each in loads] for loads in (plain, sealed))
        ratio = statistics.median(b / a for a, b in zip(before, after, strict=True))
        best = f"best {min(before):.1f} and {min(after):.1f}"
        middle = f"{statistics.median(before):6.1f} and {statistics.median(after):6.1f} ms"
        words.append(f"{unit} {middle}, {best}, {ratio:.2f}x")
    return f"{name:32} {'   '.join(words)}"


def take_turns(plain: Callable[[], object], sealed: Callable[[], object]) -> tuple[list[Taken], list[Taken]]:
    pairs = [(taken(plain), taken(sealed)) for _ in range(ROUNDS + WARM_UP)][WARM_UP:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def report(workshop: Workshop, path: Path) -> None:
    verifier, settings = workshop.verifier(), SETTINGS[path.suffix]
    with workshop.identity() as identity:
        bundle = workshop.seal(path.parent if path.suffix == ".xml" else path)
        installed = bundle.with_suffix(".installed")
        mk.install(bundle, installed, identity=identity, verifier=verifier)
        for kind, sealed in (("bundle", bundle), ("installed", installed)):
            loads = take_turns(
                lambda: PLAIN[path.suffix](path),
                lambda sealed=sealed: mk.open(sealed, identity=identity, verifier=verifier, **settings()),
            )
            print(figures(f"{path.name} {kind}", *loads), flush=True)
            print(f"    {steps(sealed, identity, verifier)} ms", flush=True)
        print(f"    floor of decrypting a bundle: {floor(bundle, path.stat().st_size):.2f} ms", flush=True)


def steps(bundle: Path, identity: mk.Identity, verifier: mk.Verifier) -> str:
    taken: dict[str, list[float]] = {name: [] for name in ("unlock", "inner manifest", "decrypt")}
    for _ in range(4 * ROUNDS):
        times = [time.process_time()]
        with Access(identity, verifier) as access, unlock(bundle, access) as unlocked:
            times.append(time.process_time())
            unlocked.inner_manifest()
            times.append(time.process_time())
            for index, member in enumerate(unlocked.manifest.members[1:], start=1):
                with mk.Pages.allocate(member.size) as pages:
                    unlocked.decrypt(index, pages.view)
            times.append(time.process_time())
        for name, start, end in zip(taken, times, times[1:], strict=False):
            taken[name].append(1e3 * (end - start))
    return ", ".join(f"{name} {min(each):.2f}" for name, each in taken.items())


def floor(bundle: Path, size: int) -> float:
    """Milliseconds to read so many bytes, digest them, and decrypt them into new memory."""
    cipher, nonce, best = AESGCM(bytes(32)), bytes(12), 1e9
    pieces = [min(SEGMENT, size - start) for start in range(0, size, SEGMENT)]
    sealed = {each: cipher.encrypt(nonce, bytes(each), None) for each in pieces}
    scratch = memoryview(bytearray(SEGMENT + 16))
    with bundle.open("rb", buffering=0) as file:
        for _ in range(4 * ROUNDS):
            start = time.process_time()
            with mk.Pages.allocate(size) as pages:
                for number, each in enumerate(pieces):
                    os.preadv(file.fileno(), [scratch[: each + 16]], number * SEGMENT)
                    blake3(scratch[: each + 16]).digest()
                    place = number * SEGMENT
                    cipher.decrypt_into(nonce, sealed[each], None, pages.view[place : place + each])
            best = min(best, 1e3 * (time.process_time() - start))
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        for path in map(Path, sys.argv[1:]):
            report(workshop, path)


if __name__ == "__main__":
    main()
