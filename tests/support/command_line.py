"""Running commands the way a shell would, but within this process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelkeep.cli import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class CommandLine:
    """Runs `modelkeep ...` in one folder, which is also the working directory."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Result:
        """Runs one command; whatever it raises is raised."""
        self._capture.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = self._capture.readouterr()
        return Result(code, captured.out, captured.err)

    def shell(self, line: str) -> Result:
        """Runs a line as one would type it, with ``> FILE`` at its end if wished."""
        words = shlex.split(line)
        target = words[words.index(">") + 1] if ">" in words else None
        assert words[0] == "modelkeep"
        result = self(*(words[1 : words.index(">")] if target else words[1:]))
        if target:
            (self.folder / target).write_text(result.out)
        return result

    def ok(self, line: str) -> Result:
        """Runs a line that must succeed."""
        result = self.shell(line)
        assert result.code == 0, f"{line}: {result.err}"
        return result


def outside(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own; options are those of `subprocess.run`."""
    # As it runs for people; without a buffer, Python meets a full disk at other moments.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    settings: dict[str, Any] = {"env": environment, "capture_output": True, "text": True, "timeout": 120}
    command = [sys.executable, "-m", "modelkeep", *map(str, arguments)]
    return subprocess.run(command, check=False, **(settings | options))


def files(folder: Path) -> set[str]:
    """Returns the names in a folder, hidden ones included."""
    return {path.name for path in folder.iterdir()}
