"""How soon a sealed model is ready, how much memory it takes and what `run` adds.

    python benches/runtimes.py [RUNTIME ...]        # default: every runtime that is installed

Each figure is taken in a fresh process, sealed and plain runs taking turns; what is printed is the
best of several and its ratio to the runtime's own load of the plain file. Ready means opened and the
first inference done, decryption included; imports are not counted on either side. Of an isolated process the
second opening is timed, and memory is that of the process that opens.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 4
WIDTH, LAYERS = 2048, 12  # float32: 201 MB
MODEL_ID = "bench/mlp"

Run = Callable[[Any], object]
Opener = Callable[[], tuple[Run, Any]]  # what runs the model, and the session where there is one

# name -> module, file that plain runs load, options of a sealed run
CASES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "onnx fast": ("onnxruntime", "mlp.onnx", {}),
    "onnx single-copy": ("onnxruntime", "mlp.onnx", {"profile": "single-copy"}),
    "onnx process": ("onnxruntime", "mlp.onnx", {"isolation": "process"}),
    "litert": ("ai_edge_litert", "mlp.tflite", {}),
    "openvino ir": ("openvino", "ir/mlp.xml", {}),
    "openvino onnx": ("openvino", "mlp.onnx", {"runtime": "openvino"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtimes", nargs="*", help="onnx, litert, openvino")
    parser.add_argument("--measure", nargs=3, metavar=("CASE", "KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        case, kind, folder = arguments.measure
        print(json.dumps(measure(case, kind, Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for case, (module, _, _) in CASES.items():
            wanted = not arguments.runtimes or case.split(maxsplit=1)[0] in arguments.runtimes
            if wanted and importlib.util.find_spec(module):
                report(case, Path(folder))


def report(case: str, folder: Path) -> None:
    prepare(case, folder)
    rounds = [{kind: child(case, kind, folder) for kind in ("plain", "sealed")} for _ in range(ROUNDS)]
    best = {
        kind: {name: min(each[kind][name] for each in rounds) for name in rounds[0][kind]}
        for kind in ("plain", "sealed")
    }
    for name, unit in (("ready", "s"), ("peak", "MB"), ("batch 1", "ms"), ("batch 8", "ms")):
        plain, sealed = best["plain"][name], best["sealed"][name]
        figures = f"plain {plain:8.3f} {unit:2}  sealed {sealed:8.3f} {unit:2}  {sealed / plain:5.2f}x"
        print(f"{case:18} {name:8} {figures}")
    print(f"{case:18} run adds {best['sealed']['overhead']:.1f} us to the adapter and the contract check")


def child(case: str, kind: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", case, kind, str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def prepare(case: str, folder: Path) -> None:
    """Makes the plain model and its bundle, unless an earlier case has left them."""
    from modelkeep import seal
    from modelkeep.grants.recipient_text import format_recipient
    from modelkeep.keys.file import FileStore
    from modelkeep.trust.signer import Signer
    from modelkeep.trust.signing_keys import create_signing_key

    plain = folder / CASES[case][1]
    if not (folder / "device.pub").exists():
        (folder / "publisher.pub").write_bytes(create_signing_key(folder / "publisher.pem"))
        (folder / "device.pub").write_text(
            format_recipient(FileStore().create(str(folder / "device.pem"), "p256")) + "\n"
        )
    if not plain.exists():
        plain.parent.mkdir(exist_ok=True)
        MAKERS[plain.suffix](plain)
    bundle = folder / f"{plain.stem}{plain.suffix}.keep"
    if not bundle.exists():
        source = plain if plain.parent == folder else plain.parent
        signer = Signer.from_pem(folder / "publisher.pem")
        seal(source, model=MODEL_ID, to=[folder / "device.pub"], signer=signer).save(bundle)


def make_onnx(path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(LAYERS):
        values = random.standard_normal((WIDTH, WIDTH), np.float32) / np.float32(WIDTH**0.5)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"h{layer + 1}"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH])
        for name in ("h0", f"h{LAYERS}")
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def make_openvino(path: Path) -> None:
    import openvino

    onnx = path.parent.parent / "mlp.onnx"
    if not onnx.exists():
        make_onnx(onnx)
    openvino.save_model(openvino.Core().read_model(str(onnx)), str(path), compress_to_fp16=False)


def make_litert(path: Path) -> None:
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from support.tflite_models import dense_model

    random = np.random.default_rng(0)
    weights = [
        random.standard_normal((WIDTH, WIDTH), np.float32) / np.float32(WIDTH**0.5) for _ in range(LAYERS)
    ]
    path.write_bytes(dense_model(weights))


MAKERS: Mapping[str, Callable[[Path], None]] = {
    ".onnx": make_onnx,
    ".tflite": make_litert,
    ".xml": make_openvino,
}


def measure(case: str, kind: str, folder: Path) -> dict[str, float]:
    """Opens the model once in this process; seconds, megabytes above the start, milliseconds."""
    _, file, options = CASES[case]
    runtime = case.split(maxsplit=1)[0]
    importlib.import_module(CASES[case][0])
    opener = sealed_opener(folder, file, options) if kind == "sealed" else PLAIN[runtime](folder / file)
    reset_peak()
    if kind == "sealed" and "isolation" in options:
        opener()[1].close()
    before = memory("VmRSS")
    start = time.perf_counter()
    run, session = opener()
    run(batch(1))
    figures = {"ready": time.perf_counter() - start, "peak": memory("VmHWM") - before}
    for size in (1, 8):
        figures[f"batch {size}"] = 1e3 * median_time(run, batch(size), 15)
    if session is not None:
        figures["overhead"] = overhead(session)
        session.close()
    return figures


def batch(size: int) -> Any:
    return np.random.default_rng(size).standard_normal((size, WIDTH), np.float32)


def sealed_opener(folder: Path, file: str, options: Mapping[str, Any]) -> Opener:
    import modelkeep
    import modelkeep.session

    identity = modelkeep.Identity(f"file:{folder / 'device.pem'}")
    verifier = modelkeep.Verifier(folder / "publisher.pub", model=MODEL_ID)
    runtime = str(options.get("runtime") or Path(file).suffix)
    # No object of a runtime can be handed to another process.
    settings = options if "isolation" in options else {**SINGLE_THREAD[runtime](), **options}

    def start() -> tuple[Run, Any]:
        bundle = folder / f"{Path(file).name}.keep"
        session = modelkeep.open(bundle, identity=identity, verifier=verifier, **settings)
        name = "x" if runtime == ".tflite" else "h0"
        return lambda x: session.run({name: x}), session

    return start


def plain_onnx(path: Path) -> Opener:
    import onnxruntime

    settings = SINGLE_THREAD[".onnx"]()["session_options"]

    def start() -> tuple[Run, Any]:
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"h0": x}), None

    return start


def plain_litert(path: Path) -> Opener:
    from ai_edge_litert.interpreter import Interpreter

    def start() -> tuple[Run, Any]:
        interpreter = Interpreter(str(path), **SINGLE_THREAD[".tflite"]())
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner()
        return lambda x: runner(x=x), None

    return start


def plain_openvino(path: Path) -> Opener:
    import openvino

    def start() -> tuple[Run, Any]:
        compiled = openvino.Core().compile_model(path, "CPU", SINGLE_THREAD[".xml"]()["config"])
        request = compiled.create_infer_request()
        return lambda x: request.infer({"h0": x}), None

    return start


def onnx_settings() -> dict[str, Any]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    return {"session_options": settings}


PLAIN: Mapping[str, Callable[[Path], Opener]] = {
    "onnx": plain_onnx,
    "litert": plain_litert,
    "openvino": plain_openvino,
}
# One thread on both sides: what is compared is loading, not how busy the machine is.
SINGLE_THREAD: Mapping[str, Callable[[], dict[str, Any]]] = {
    ".onnx": onnx_settings,
    ".tflite": lambda: {"num_threads": 1},
    ".xml": lambda: {"config": {"INFERENCE_NUM_THREADS": 1}},
    "openvino": lambda: {"config": {"INFERENCE_NUM_THREADS": 1}},
}


def overhead(session: Any) -> float:
    """Returns the microseconds that a run takes beyond the adapter's own and the contract check."""
    from modelkeep.guard.contract_check import ContractCheck

    runner, contract = session._runner, session.contract
    inputs = {contract.inputs[0].name: batch(1)}
    runner.run = lambda _: {}  # what is measured is everything around it
    whole = median_time(lambda _: session.run(inputs), None, 2000)
    check = ContractCheck(contract)
    return 1e6 * (whole - median_time(lambda _: check.findings(inputs), None, 2000))


def median_time(action: Callable[[Any], object], argument: Any, times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action(argument)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> float:
    """Returns a field of this process's status in megabytes."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
