"""The file changes between any two reads of it: what was verified is what is used, or nothing is.

Two publishers sealed releases of one model, of the same size, for the same device; a verifier trusts one.
The attacker holds the other's bundle, which is genuine, and exchanges the contents of the file before each
read in turn: for good, or for as many reads as there are signed documents in a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import KeepError, UntrustedSignerError
from modelkeep.extraction import extract
from modelkeep.files import open_files
from modelkeep.granting import grant
from modelkeep.keys.identity import Identity
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import SECOND_KIND, create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.flipping import Exchanger, Flipper, Renamer
from support.workshop import MODEL_ID, Workshop, scale_model

OURS, THEIRS = scale_model(2.0, 600), scale_model(3.0, 600)
NAME = "model.onnx"

Check = Callable[[], bool]


class Scene:
    """Bundles of two publishers, and the file that flips between them."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.folder = workshop.folder
        self.other_public = create_signing_key(workshop.folder / "other.pem")
        self.second_public = create_signing_key(workshop.folder / "second.pem", SECOND_KIND)
        self.ours = self._seal(OURS, workshop.signer)
        self.theirs = self._seal(THEIRS, Signer.from_pem(workshop.folder / "other.pem"))
        self.target = workshop.folder / "target.keep"

    def _seal(self, content: bytes, signer: Signer) -> Path:
        folder = self.fresh("source")
        folder.mkdir()
        (folder / NAME).write_bytes(content)
        second = SecondSigner.from_pem(self.folder / "second.pem")
        return self.workshop.seal(folder / NAME, signer=signer, second_signer=second, admins=[self._admin()])

    def _admin(self) -> Path:
        path = self.folder / "admin.pem"
        return (path if path.exists() else self.workshop.new_device("admin")).with_suffix(".pub")

    def verifier(self) -> Verifier:
        return self.workshop.verifier(second=self.second_public)

    def access(self) -> dict[str, object]:
        return {"identity": self.workshop.identity(), "verifier": self.verifier()}

    def fresh(self, name: str) -> Path:
        return self.folder / f"{name}-{os.urandom(4).hex()}"


@pytest.fixture
def scene(workshop: Workshop) -> Scene:
    return Scene(workshop)


def _extract(scene: Scene) -> Check:
    folder = scene.fresh("extracted")
    extract(scene.target, folder, unsafe_plaintext=True, **scene.access())  # type: ignore[arg-type]
    return lambda: (folder / NAME).read_bytes() == OURS


def _open_files(scene: Scene) -> Check:
    with open_files(scene.target, **scene.access()) as files:  # type: ignore[arg-type]
        content = Path(files[NAME]).read_bytes()
    return lambda: content == OURS


def _install(scene: Scene) -> Check:
    installed = scene.fresh("installed")
    install(scene.target, installed, **scene.access())  # type: ignore[arg-type]

    def check() -> bool:
        with pytest.raises(UntrustedSignerError):
            scene.workshop.read(installed, verifier=Verifier(scene.other_public, model=MODEL_ID))
        return scene.workshop.read(installed, verifier=scene.verifier()) == {NAME: OURS}

    return check


def _run(scene: Scene) -> Check:
    with scene.workshop.open(scene.target, **scene.access()) as session:
        outputs = session.run({"x": np.ones((1, 600), np.float32)})
    return lambda: bool((outputs["y"] == 2).all())


def _verify(scene: Scene) -> Check:
    with Bundle(scene.target) as bundle, Bundle(scene.ours) as ours:
        verified = bundle.verify(scene.verifier())
        verified.check_digests()
        expected = ours.unverified_manifest()
    return lambda: verified.manifest == expected


def _grant(scene: Scene) -> Check:
    late = scene.folder / "late.pem"
    if not late.exists():
        scene.workshop.new_device("late")
    grants, to = scene.fresh("grants"), [late.with_suffix(".pub")]
    admin = Identity(f"file:{scene.folder / 'admin.pem'}")
    grant(scene.target, identity=admin, to=to, verifier=scene.verifier(), output=grants)
    device = scene.workshop.identity(late)
    return lambda: scene.workshop.read(scene.ours, identity=device, grant_file=grants) == {NAME: OURS}


Verb = Callable[[Scene], Check]

FOR_GOOD = 10_000
VERBS = [_extract, _open_files, _run, _install, _verify, _grant]


def _attempts(
    scene: Scene, verb: Verb, length: int, versions: tuple[Path, Path], kind: type[Exchanger] = Flipper
) -> list[bool]:
    """Runs a verb once for every look at the file, exchanging it for `length` looks from there on.

    Returns which runs went through. The last one is undisturbed: nobody looks that often.
    """
    first, second = (path.read_bytes() for path in versions)
    outcomes: list[bool] = []
    while True:
        turns = range(len(outcomes), len(outcomes) + length)
        exchanger = kind(scene.target, first, second, turns)
        outcomes.append(_undergo(scene, verb, exchanger))
        if exchanger.looks < len(outcomes):
            return outcomes


def _undergo(scene: Scene, verb: Verb, exchanger: Exchanger) -> bool:
    """Runs a verb under attack and returns whether it went through; what came out is ours then."""
    try:
        with exchanger.at_work():
            check = verb(scene)
    except KeepError:
        return False
    finally:
        exchanger.end()
    assert check()
    return True


@pytest.mark.parametrize("length", [1, 2, 3, FOR_GOOD])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.__name__).strip("_"))
def test_what_was_verified_is_what_is_used(scene: Scene, verb: Verb, length: int) -> None:
    outcomes = _attempts(scene, verb, length, (scene.ours, scene.theirs))
    assert outcomes[-1]
    # So many looks at the file, and an exchange before each.
    assert len(outcomes) > 7
    assert not all(outcomes[:-1])


@pytest.mark.parametrize("length", [1, FOR_GOOD])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.__name__).strip("_"))
def test_file_under_the_name_that_changes_between_openings_changes_nothing(
    scene: Scene, verb: Verb, length: int
) -> None:
    outcomes = _attempts(scene, verb, length, (scene.ours, scene.theirs), Renamer)
    assert outcomes[-1]
    assert len(outcomes) >= 2


@pytest.mark.parametrize("length", [1, 2, 3, FOR_GOOD])
@pytest.mark.parametrize("verb", [_extract, _open_files, _run], ids=["extract", "open_files", "run"])
def test_installation_that_flips_is_the_one_that_was_verified(scene: Scene, verb: Verb, length: int) -> None:
    ours, theirs = scene.fresh("ours"), scene.fresh("theirs")
    identity = scene.workshop.identity()
    believing_them = Verifier(scene.other_public, model=MODEL_ID)
    install(scene.theirs, theirs, identity=identity, verifier=believing_them)
    install(scene.ours, ours, identity=identity, verifier=scene.verifier())
    outcomes = _attempts(scene, verb, length, (ours, theirs))
    assert outcomes[-1]
    # So many looks at the file, and an exchange before each.
    assert len(outcomes) > 7
    assert not all(outcomes[:-1])
