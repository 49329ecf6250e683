"""How long programs take to say a word; every run is a program of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from benches.peer import Peer, command, program_of_this_python


class Program(Peer):
    """Runs a program that does nothing much."""

    words: ClassVar[tuple[str, ...]]

    def prepare(self) -> list[Path]:
        self.run()
        return []

    def run(self) -> None:
        command(*self.words)

    def check(self) -> None:
        """A program that fails has raised already."""


class Python(Program):
    words = (sys.executable, "-c", "pass")


class ImportModelkeep(Program):
    words = (sys.executable, "-c", "import modelkeep")


class ImportForOpening(Program):
    words = (sys.executable, "-c", "from modelkeep import Identity, Verifier, open")


class ImportLibraries(Program):
    """What modelkeep stands on, alone: the floor of importing it."""

    words = (
        sys.executable,
        "-c",
        "import numpy, blake3; from cryptography.hazmat.primitives import hpke, serialization; "
        "from cryptography.hazmat.primitives.asymmetric import ec; "
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM; "
        "from cryptography.hazmat.primitives.kdf.hkdf import HKDF",
    )


class ModelkeepHelp(Program):
    words = (str(program_of_this_python("modelkeep")), "--help")


class ModelSigningHelp(Program):
    words = (str(program_of_this_python("model_signing")), "--help")


class ImportOnnxRuntime(Program):
    words = (sys.executable, "-c", "import onnxruntime")


class AgeVersion(Program):
    programs = ("age",)
    words = ("age", "--version")


class OpensslVersion(Program):
    programs = ("openssl",)
    words = ("openssl", "version")
