"""What docs/platforms.md says of macOS and Windows, as far as Python alone decides it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.command_line import CommandLine

# Runs commands, imports what there is, and prints exit codes and errors.
PROGRAM = """
import importlib, json, pkgutil, sys, modelkeep
from modelkeep.cli import main
from modelkeep.errors import KeepError

# What runs a program, and what needs packages of others that are not installed here.
OTHERS = ("__main__", ".integrations.", ".ultralytics")

def attempt(work):
    try:
        return work()
    except KeepError as error:
        return type(error).__name__
    except ModuleNotFoundError as error:
        # Of somebody else's package, which need not be there; Python's own and ours have to be.
        name = (error.name or "modelkeep").partition(".")[0]
        return str(error) if name == "modelkeep" or name in sys.stdlib_module_names else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = {"commands": [main(line.split()) for line in sys.argv[1:]], "modules": {}}
for module in pkgutil.walk_packages(modelkeep.__path__, "modelkeep."):
    if sys.platform != "win32" and not any(word in module.name for word in OTHERS):
        found["modules"][module.name] = attempt(lambda: importlib.import_module(module.name) and "")
found["names"] = {name: attempt(lambda: getattr(modelkeep, name) and "") for name in modelkeep.__all__}
found["roots"] = attempt(lambda: modelkeep.CertificateRoots("roots.pem"))
print("\\n" + json.dumps(found))
"""
RUN = "-k file:pi-17.pem -t publisher.pub -i x=x.npy"


def on(system: str, folder: Path, *commands: str) -> Any:
    (folder / "program.py").write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "support.less_than_linux", system, "program.py", *commands]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"said": done.stdout + done.stderr}


def test_on_macos_all_modules_import_and_the_main_commands_work(shop: CommandLine) -> None:
    found = on(
        "darwin",
        shop.folder,
        "seal model.onnx --model-id model -r pi-17.pub -s publisher.pem -o mac.keep",
        "verify mac.keep -t publisher.pub",
        "install mac.keep -k file:pi-17.pem -t publisher.pub --any-model -o installed.keep",
        f"run installed.keep {RUN}",
        "extract mac.keep -k file:pi-17.pem -t publisher.pub --any-model --unsafe-plaintext -o out",
        "doctor",
        f"run mac.keep --isolated {RUN}",
    )
    assert found["commands"] == [0, 0, 0, 0, 0, 0, 6], found["said"]
    assert "darwin: untested, and with fewer defences" in found["said"]
    assert "isolated processes need Linux" in found["said"]
    assert set(found["modules"].values()) == {""}
    assert (shop.folder / "out/model.onnx").read_bytes() == (shop.folder / "model.onnx").read_bytes()


def test_on_windows_whatever_needs_files_says_that_it_needs_posix(shop: CommandLine) -> None:
    found = on("win32", shop.folder, "doctor", f"run model.keep {RUN}", "--help")
    assert found["commands"] == [6, 6, 0], found["said"]
    assert found["said"].count("win32 is no POSIX system") == 2
    assert set(found["names"].values()) == {"", "UnavailableError"}
    assert found["roots"] == "UnavailableError"
