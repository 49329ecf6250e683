"""What `import modelkeep` offers, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modelkeep
from modelkeep.errors import KeepError
from support.command_line import CommandLine

HEAVY = {"numpy", "cryptography", "blake3", "onnxruntime", "onnx"}
NAMES = {
    "AllOf",
    "AnyOf",
    "Bundle",
    "CertificateRoots",
    "ClientGuard",
    "Constraints",
    "Contract",
    "Coverage",
    "Draft",
    "ExpectModel",
    "Files",
    "Guard",
    "GuardProfile",
    "Hardening",
    "Identity",
    "KeepError",
    "LeafAlgorithm",
    "Manifest",
    "MaximumAge",
    "MinimumEpoch",
    "ProcessIsolation",
    "Report",
    "SecondSigner",
    "Session",
    "Signer",
    "Suite",
    "TensorContract",
    "UnsafeAnyModel",
    "UnsafeUnsigned",
    "Verifier",
    "__version__",
    "extract",
    "grant",
    "install",
    "learn",
    "open",
    "open_files",
    "seal",
}


def python(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_exported_names_are_these() -> None:
    assert set(modelkeep.__all__) == NAMES
    assert set(dir(modelkeep)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_there(name: str) -> None:
    assert getattr(modelkeep, name) is getattr(modelkeep, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'unseal'"):
        modelkeep.unseal  # noqa: B018


def test_the_base_of_all_errors_is_the_one_that_is_raised() -> None:
    assert modelkeep.KeepError is KeepError


@pytest.mark.parametrize(
    "code",
    [
        "import modelkeep",
        "import modelkeep.cli",
        "import modelkeep.cli; modelkeep.cli.main(['--help'])",
        "import modelkeep.cli; modelkeep.cli.main(['seal', '--help'])",
        "import modelkeep.cli; modelkeep.cli.main(['--version'])",
        "import modelkeep.cli; modelkeep.cli.main(['frobnicate'])",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    done = python(f"{code}\nimport sys\nprint('loaded', *sorted({HEAVY!r} & set(sys.modules)))")
    assert done.stdout.splitlines()[-1] == "loaded", done.stderr


def test_without_onnxruntime_it_says_what_to_install(shop: CommandLine) -> None:
    arguments = ["run", "model.keep", "-k", "file:pi-17.pem", "-t", "publisher.pub", "-i", "x=x.npy"]
    # None in sys.modules is Python's own way to make an import fail.
    blocked = "import sys; sys.modules['onnxruntime'] = None"
    done = python(f"{blocked}\nfrom modelkeep.cli import main\nsys.exit(main({arguments!r}))", shop.folder)
    assert done.returncode == 6
    assert "onnxruntime is not installed" in done.stderr
    assert "pip install 'modelkeep[onnx]'" in done.stderr


def test_sealing_needs_no_runtime(shop: CommandLine) -> None:
    arguments = ["seal", "model.onnx", "-r", "pi-17.pub", "-s", "publisher.pem", "-o", "new.keep"]
    blocked = "import sys; sys.modules['onnxruntime'] = sys.modules['onnx'] = None"
    done = python(f"{blocked}\nfrom modelkeep.cli import main\nsys.exit(main({arguments!r}))", shop.folder)
    assert done.returncode == 0, done.stderr
