"""The main job, end to end: seal a model, grant it to devices, open it there, refuse what is wrong.

Usage: demo.py [MODEL.onnx]. Without a model it takes basic-pitch, which hears notes in music, from PyPI.
Ends with a status other than zero when anything is not as it should be.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from narration import check, conclude, expect, row, title

import modelkeep as mk
from modelkeep import errors

Arrays = dict[str, np.ndarray[Any, Any]]

CACHE = Path(__file__).parent.parent / "build" / "models"
BASIC_PITCH = "basic-pitch==0.4.0"
BASIC_PITCH_MODEL = "basic_pitch/saved_models/icassp_2022/nmp.onnx"
SAMPLE_RATE = 22050
MODEL_ID = "demo/model"


def main(arguments: list[str]) -> int:
    source = Path(arguments[0]) if arguments else basic_pitch()
    with tempfile.TemporaryDirectory(prefix="modelkeep-demo-") as folder:
        demo = Demo(source, Path(folder))
        demo.make_keys()
        demo.seal()
        demo.grant_to_another_device()
        demo.run_on_devices()
        demo.refuse_bundles()
        demo.refuse_inputs()
    return conclude()


class Demo:
    """A publisher, an administrator and devices, who share nothing but files in one folder."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source = source
        self.folder = folder
        self.bundle = folder / "model.keep"
        self.plain: Any = None
        self.inputs: Arrays = {}
        self.contract: mk.Contract | None = None

    def make_keys(self) -> None:
        title("Keys: each is made where it stays; only the public line travels")
        for name in ("pi-17", "pi-18", "admin", "stranger"):
            self.create_key(f"file:{name}.pem", f"{name}.pub")
        for name in ("publisher", "impostor"):
            self.create_key("--kind", "signing", f"{name}.pem", f"{name}.pub")

    def seal(self) -> None:
        title(f"Seal {self.source.name}: once, for pi-17 and for an administrator")
        start = time.perf_counter()
        self.sealed_by("publisher", MODEL_ID).save(self.bundle)
        row("sealed", milliseconds(start))
        plain, sealed = self.source.stat().st_size, self.bundle.stat().st_size
        row("size", f"{plain:,} bytes plain, {sealed:,} sealed (+{sealed - plain:,})")

    def grant_to_another_device(self) -> None:
        title("Grant it to pi-18: the administrator adds a few hundred bytes, the model is not touched")
        before = self.bundle.read_bytes()
        self.modelkeep(
            "grant", "model.keep", "-k", "file:admin.pem", "-t", "publisher.pub", "-r", "pi-18.pub"
        )
        row("grant", f"{(self.folder / 'model.keep.grants').stat().st_size} bytes")
        check(self.bundle.read_bytes() == before, "granting changed the bundle")

    def run_on_devices(self) -> None:
        title("Verify, open in memory, run: the same bits as the plain model gives")
        self.modelkeep("verify", "model.keep", "-t", "publisher.pub", "--model-id", MODEL_ID)
        start = time.perf_counter()
        self.plain = onnxruntime.InferenceSession(self.source, session_options())
        row("plain model", f"loaded in {milliseconds(start)}")
        for device in ("pi-17", "pi-18"):
            self.run_on(device)
        for name, value in self.inputs.items():
            row("input", f"{name}: {value.dtype} {value.shape}")

    def run_on(self, device: str) -> None:
        start = time.perf_counter()
        with self.open(device) as session:
            opened = milliseconds(start)
            self.contract = session.contract
            self.inputs = self.inputs or inputs_for(session.contract)
            same = same_bits(session.run(self.inputs), self.run_plain(self.inputs))
            check(same, f"{device} computes something else than the plain model")
            row(device, f"opened in {opened}, outputs {'equal bit for bit' if same else 'DIFFER'}")
            row("", held(session.report))

    def refuse_bundles(self) -> None:
        title("What is refused before a byte reaches the runtime")
        expect("a wrong device", errors.NotForThisDeviceError, lambda: self.open("stranger"))
        flipped = self.with_flipped_byte()
        expect("a flipped byte", errors.TamperedError, lambda: self.open("pi-17", flipped))
        forged = self.sealed_by("impostor", MODEL_ID).save(self.folder / "forged.keep")
        expect("a foreign signature", errors.UntrustedSignerError, lambda: self.open("pi-17", forged))
        other = self.sealed_by("publisher", "demo/other").save(self.folder / "other.keep")
        expect("another model", errors.WrongModelError, lambda: self.open("pi-17", other))
        expired = self.expired_grant()
        expect("an expired grant", errors.ExpiredError, lambda: self.open("pi-18", grant_file=expired))

    def refuse_inputs(self) -> None:
        title("What is refused before the model runs, and what plain ONNX Runtime does with it")
        with self.open("pi-17") as session:
            self.refuse_input(session, "a NaN in the input", with_nan(self.inputs))
            self.refuse_input(session, "a wrong layout", with_swapped_axes(self.inputs, self.contract))

    def refuse_input(self, session: mk.Session, what: str, inputs: Arrays | None) -> None:
        if inputs is None:
            row(what, "does not apply to the inputs of this model")
            return
        expect(what, errors.InputError, lambda: session.run(inputs))
        row("", f"plain runtime: {self.plain_verdict(inputs)}")

    def plain_verdict(self, inputs: Arrays) -> str:
        try:
            outputs = self.run_plain(inputs)
        except Exception as error:  # whatever the runtime raises is its verdict
            return f"refuses as well ({type(error).__name__})"
        numbers = [value for value in outputs.values() if value.dtype.kind == "f"]
        lost = sum(int(np.isnan(value).sum()) for value in numbers)
        return f"accepts it; {lost:,} of {sum(value.size for value in numbers):,} output numbers are NaN"

    def sealed_by(self, publisher: str, model: str) -> mk.Draft:
        signer = mk.Signer.from_pem(self.folder / f"{publisher}.pem")
        to, admins = [self.folder / "pi-17.pub"], [self.folder / "admin.pub"]
        return mk.seal(self.source, model=model, to=to, admins=admins, signer=signer)

    def open(self, device: str, bundle: Path | None = None, **options: Any) -> mk.Session:
        verifier = mk.Verifier(self.folder / "publisher.pub", model=MODEL_ID)
        with mk.Identity(f"file:{self.folder / device}.pem") as identity:
            options |= {"identity": identity, "verifier": verifier, "session_options": session_options()}
            return mk.open(bundle or self.bundle, **options)

    def run_plain(self, inputs: Arrays) -> Arrays:
        names = [output.name for output in self.plain.get_outputs()]
        return dict(zip(names, self.plain.run(names, inputs), strict=True))

    def with_flipped_byte(self) -> Path:
        path = self.folder / "flipped.keep"
        shutil.copy(self.bundle, path)
        with tarfile.open(path) as archive:
            weights = archive.getmember("payload/1")
        with path.open("r+b") as file:
            file.seek(weights.offset_data + weights.size // 2)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
        return path

    def expired_grant(self) -> Path:
        with mk.Identity(f"file:{self.folder}/admin.pem") as admin:
            yesterday = mk.Constraints(not_after=int(time.time()) - 86400)
            device, target = self.folder / "pi-18.pub", self.folder / "expired.grants"
            granted = mk.grant(
                self.bundle,
                identity=admin,
                verifier=mk.UnsafeUnsigned(),
                to=[device],
                constraints=yesterday,
                output=target,
            )
        return granted.path

    def create_key(self, *arguments: str) -> None:
        *options, public = arguments
        (self.folder / public).write_text(self.modelkeep("keys", "create", *options, shown=f"> {public}"))

    def modelkeep(self, *arguments: str, shown: str = "") -> str:
        print("  $", " ".join(["modelkeep", *arguments, shown]).rstrip())
        command = [sys.executable, "-m", "modelkeep", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"modelkeep {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def basic_pitch() -> Path:
    """Returns the model in basic-pitch's wheel: float32, a window of audio to pitches."""
    model = CACHE / Path(BASIC_PITCH_MODEL).name
    if not model.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "--dest", CACHE, BASIC_PITCH], check=True)
        with zipfile.ZipFile(next(CACHE.glob("basic_pitch-*.whl"))) as wheel:
            content = wheel.read(BASIC_PITCH_MODEL)
        partial = model.with_suffix(".part")
        partial.write_bytes(content)
        partial.replace(model)
    return model


def session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def inputs_for(contract: mk.Contract | None) -> Arrays:
    """Returns an input that keeps the contract: music where it fits, random numbers elsewhere."""
    tensors = contract.inputs if contract else ()
    return {tensor.name: draw(tensor) for tensor in tensors}


def draw(tensor: mk.TensorContract) -> np.ndarray[Any, Any]:
    shape = tuple(length or 1 for length in tensor.shape or ())
    if shape == (1, 43844, 1):
        return chord(43844).reshape(shape)
    if tensor.dtype == "string":
        return np.full(shape, "text", dtype=object)
    kind = np.dtype(tensor.dtype)
    random = np.random.default_rng(17)
    if kind.kind in "fc":
        return random.standard_normal(shape).astype(kind)
    # Indices into a table of unknown length: 0 and 1 exist in nearly all of them.
    return np.asarray(random.integers(0, 2, shape), kind)


def chord(samples: int) -> np.ndarray[Any, Any]:
    """Returns A major, struck note by note: float32 [samples], two seconds at 22,050 Hz."""
    times = np.arange(samples) / SAMPLE_RATE
    sound = np.zeros(samples)
    for start, pitch in ((0.0, 440.00), (0.4, 554.37), (0.8, 659.26)):
        since = np.clip(times - start, 0, None)
        for overtone in (1, 2, 3):
            sound += np.sin(2 * np.pi * pitch * overtone * since) * np.exp(-3 * since) / overtone**2
    return np.asarray(sound / np.abs(sound).max(), np.float32)


def with_nan(inputs: Arrays) -> Arrays | None:
    for name, value in inputs.items():
        if value.dtype.kind == "f":
            changed = value.copy()
            changed.flat[value.size // 2] = np.nan
            return inputs | {name: changed}
    return None


def with_swapped_axes(inputs: Arrays, contract: mk.Contract | None) -> Arrays | None:
    for tensor in contract.inputs if contract else ():
        value = inputs[tensor.name]
        for axes in itertools.permutations(range(value.ndim)):
            swapped = np.ascontiguousarray(value.transpose(axes))
            if not fits(tensor.shape, swapped.shape):
                return inputs | {tensor.name: swapped}
    return None


def fits(expected: tuple[int | None, ...] | None, found: tuple[int, ...]) -> bool:
    pairs = zip(expected or (), found, strict=expected is not None)
    return all(length in (None, actual) for length, actual in pairs)


def same_bits(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    def bits(outputs: Mapping[str, Any]) -> dict[str, tuple[object, ...]]:
        arrays = {name: np.asarray(value) for name, value in outputs.items()}
        return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}

    return bits(ours) == bits(theirs)


def milliseconds(start: float) -> str:
    return f"{1000 * (time.perf_counter() - start):.1f} ms"


def held(report: mk.Report) -> str:
    count = report.memory.locked_bytes + report.memory.unlocked_bytes
    if count == 0:
        return "memory: the runtime holds the weights, the decrypted file is wiped already"
    swap = f"{report.memory.unlocked_bytes:,} of them may be swapped out"
    return f"memory: {count:,} bytes of weights lent to the runtime until the session closes; {swap}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
