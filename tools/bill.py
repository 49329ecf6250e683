"""The bill of materials: what the package depends on, and the cryptography that it computes with.

    python tools/bill.py build/modelkeep.cdx.json

CycloneDX 1.6, an SBOM and a CBOM in one. It says nothing of when or where it was made: two builds of one
version have the same one. Of dependencies it names what is asked for; which versions are installed
somewhere, that place's own tools say.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from modelkeep._version import __version__
from modelkeep.assurance.algorithms import ALGORITHMS, Algorithm

ROOT = Path(__file__).resolve().parent.parent
PLACE = "modelkeep.cdx.json"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# Which component computes what a library of the table does.
_PYTHON = {"type": "platform", "bom-ref": "python", "name": "python"}
_OURS = f"pkg:pypi/modelkeep@{__version__}"


def bill() -> dict[str, Any]:
    """Returns the document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    libraries = list(_libraries(project))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _package(project)},
        "components": [*libraries, _PYTHON, *map(_asset, ALGORITHMS)],
        "dependencies": _dependencies(libraries),
    }


def _package(project: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _OURS,
        "name": project["name"],
        "version": __version__,
        "description": project["description"],
        "licenses": [{"license": {"id": project["license"]}}],
        "purl": _OURS,
    }


def _libraries(project: dict[str, Any]) -> Iterator[dict[str, Any]]:
    extras = project["optional-dependencies"]
    asked = [(line, "") for line in project["dependencies"]]
    asked += [(line, extra) for extra, lines in extras.items() for line in lines]
    for name, found in groupby(sorted(asked, key=_name), _name):
        yield _library(name, list(found))


def _name(asked: tuple[str, str]) -> str:
    name = _NAME.match(asked[0])
    assert name is not None
    return name[0]


def _library(name: str, asked: list[tuple[str, str]]) -> dict[str, Any]:
    lines, extras = sorted({line for line, _ in asked}), sorted(extra for _, extra in asked if extra)
    properties = [("modelkeep:asked-for", line) for line in lines] + [
        ("modelkeep:extra", each) for each in extras
    ]
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}",
        "name": name,
        "scope": "optional" if len(extras) == len(asked) else "required",
        "purl": f"pkg:pypi/{name}",
        "properties": [{"name": each, "value": value} for each, value in properties],
    }


def _asset(algorithm: Algorithm) -> dict[str, Any]:
    details = {
        "primitive": algorithm.primitive,
        "parameterSetIdentifier": algorithm.parameters,
        "curve": algorithm.curve,
        "executionEnvironment": "software-plain-ram",
        "cryptoFunctions": list(algorithm.functions),
    }
    said = {"purpose": algorithm.purpose, "chosen": algorithm.chosen, "standard": algorithm.standard}
    return {
        "type": "cryptographic-asset",
        "bom-ref": f"crypto/{algorithm.name}",
        "name": algorithm.name,
        "cryptoProperties": {
            "assetType": "algorithm",
            "algorithmProperties": {name: value for name, value in details.items() if value},
        },
        "properties": [{"name": f"modelkeep:{name}", "value": value} for name, value in said.items()],
    }


def _dependencies(libraries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    references = [library["bom-ref"] for library in libraries]
    provided = {
        reference: sorted(f"crypto/{each.name}" for each in ALGORITHMS if _computed_by(each) == reference)
        for reference in (*references, "python")
    }
    return [
        {"ref": _OURS, "dependsOn": [*references, "python"]},
        *({"ref": reference, "provides": assets} for reference, assets in provided.items() if assets),
    ]


def _computed_by(algorithm: Algorithm) -> str:
    return "python" if algorithm.library == "hashlib" else f"pkg:pypi/{algorithm.library}"


def write_bill(target: Path) -> None:
    """Writes the document."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_bill(Path(sys.argv[1]))
