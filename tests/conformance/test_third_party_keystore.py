"""The worked example of the documentation is a key store that conforms."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "keys.md"
LONGEST_EXAMPLE = 60

# What the maker of the chip would deliver, in software: keys by slot, lost when the process ends.
DRIVER = """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_slots = {}


class EmptySlotError(Exception):
    pass


def _key(slot):
    try:
        return _slots[slot]
    except KeyError:
        raise EmptySlotError from None


def is_used(slot):
    return slot in _slots


def make(slot):
    _slots[slot] = ec.generate_private_key(ec.SECP256R1())


def erase(slot):
    _slots.pop(slot, None)


def public_point(slot):
    form = serialization.PublicFormat.UncompressedPoint
    return _key(slot).public_key().public_bytes(serialization.Encoding.X962, form)


def agree(slot, point):
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return _key(slot).exchange(ec.ECDH(), peer)
"""


def example(name: str) -> str:
    """Returns the Python block that follows a mark in the documentation."""
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_example_in_the_documentation_is_short_and_conforms(tmp_path: Path) -> None:
    assert len(example("store").splitlines()) < LONGEST_EXAMPLE
    (tmp_path / "acme_chip.py").write_text(DRIVER)
    (tmp_path / "acme_modelkeep.py").write_text(example("store"))
    (tmp_path / "test_acme.py").write_text(example("test"))
    information = tmp_path / "acme_modelkeep-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-modelkeep\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[modelkeep.keys]\nacme = acme_modelkeep:ChipStore\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    result = subprocess.run(
        [*command, "test_acme.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout
