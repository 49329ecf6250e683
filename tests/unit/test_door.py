"""What `import modelkeep` offers, and what it does not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import modelkeep
from modelkeep import errors
from modelkeep.errors import KeepError
from support.command_line import CommandLine

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "cryptography", "blake3", "onnxruntime", "onnx"}


def python(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_checkers_of_types_see_the_names_that_there_are() -> None:
    tree = ast.parse(Path(str(modelkeep.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    bound = {
        alias.asname for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    bound |= {target.id for node in block.body if isinstance(node, ast.Assign) for target in names_in(node)}
    assert bound - {None} | {"__version__"} == set(modelkeep.__all__) == set(dir(modelkeep))


def names_in(assignment: ast.Assign) -> list[ast.Name]:
    return [target for target in assignment.targets if isinstance(target, ast.Name)]


def test_every_error_is_at_the_door() -> None:
    raised = [value for value in vars(errors).values() if isinstance(value, type)]
    named = {value.__name__ for value in raised if issubclass(value, KeepError)}
    assert named <= set(modelkeep.__all__)


PAGES = [path for pattern in ("README.md", "docs/*.md", "examples/*.py") for path in ROOT.glob(pattern)]
# What others build on beside the door: the suites for adapters, and modules for tools.
DEEPER = re.compile(
    r"^\s*(?:from|import) modelkeep\.(?!(?:testing|integrations|ultralytics)\b)", re.MULTILINE
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_docs_and_examples_import_from_the_door_alone(page: Path) -> None:
    assert DEEPER.findall(page.read_text()) == []


def test_every_name_is_there() -> None:
    for name in modelkeep.__all__:
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


def test_what_reads_certificates_is_not_loaded_where_there_are_none(shop: CommandLine) -> None:
    lines = (
        "seal model.onnx -r pi-17.pub -s publisher.pem -o new.keep",
        "verify new.keep -t publisher.pub",
        "inspect new.keep",
        "extract new.keep -k file:pi-17.pem -t publisher.pub --any-model --unsafe-plaintext -o out",
    )
    code = f"from modelkeep.cli import main\nprint([main(line.split()) for line in {lines!r}])"
    done = python(f"{code}\nimport sys\nprint('loaded', 'cryptography.x509' in sys.modules)", shop.folder)
    assert done.stdout.splitlines()[-2:] == ["[0, 0, 0, 0]", "loaded False"], done.stderr


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
