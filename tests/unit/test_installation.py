"""Installing a bundle, and opening what was installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelkeep.bundle.installation import Installation
from modelkeep.container import names
from modelkeep.errors import RollbackError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.updates.installation import install
from support.workshop import Workshop


def install_one(
    workshop: Workshop, bundle: Path, name: str = "installed.keep", *, force: bool = False
) -> Path:
    target, identity = workshop.folder / name, workshop.identity()
    return install(bundle, target, identity=identity, verifier=workshop.verifier(), force=force).path


def test_an_installation_runs_the_model(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal(workshop.model(weight=3.0)))
    with workshop.open(installed) as session:
        assert session.report.installed
        assert session.report.device_id == "pi-17"
        assert session.run({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[3.0] * 4]


@pytest.mark.parametrize("kind", ["p256", "x25519", "mlkem768-x25519"])
def test_every_kind_of_device_key_can_install(workshop: Workshop, kind: str) -> None:
    device = workshop.new_device(f"device-{kind}", kind)
    bundle = workshop.seal(to=[device.with_suffix(".pub")])
    identity = workshop.identity(device)
    installed = install(bundle, workshop.folder / "i", identity=identity, verifier=workshop.verifier()).path
    assert workshop.read(installed, identity=identity) == workshop.read(bundle, identity=identity)


def test_it_holds_neither_leaves_nor_grants(workshop: Workshop) -> None:
    installation = Installation(install_one(workshop, workshop.seal()))
    expected = [names.INSTALL, names.MANIFEST, names.SIGNATURE, names.payload(0), names.payload(1)]
    assert list(installation.sizes) == expected
    installation.close()


def test_installing_a_newer_epoch_ends_the_older_installation(workshop: Workshop) -> None:
    old = install_one(workshop, workshop.seal(epoch=1), "old.keep")
    new = install_one(workshop, workshop.seal(epoch=2), "new.keep")
    with workshop.open(new) as session:
        assert session.report.epoch == 2
    with pytest.raises(RollbackError):
        workshop.open(old)


def test_an_older_epoch_cannot_be_installed_any_more(workshop: Workshop) -> None:
    install_one(workshop, workshop.seal(epoch=2))
    with pytest.raises(RollbackError, match="release 1 .* is older than 2"):
        install_one(workshop, workshop.seal(epoch=1), "older.keep")
    assert not (workshop.folder / "older.keep").exists()


def test_the_same_epoch_may_be_installed_twice(workshop: Workshop) -> None:
    bundle = workshop.seal()
    first, second = install_one(workshop, bundle, "a.keep"), install_one(workshop, bundle, "b.keep")
    for installed in (first, second):
        workshop.open(installed).close()


def test_other_models_keep_their_epochs(workshop: Workshop) -> None:
    install_one(workshop, workshop.seal(epoch=9))
    other = workshop.seal(model="acme/classifier")
    verifier = workshop.verifier(model="acme/classifier")
    install(other, workshop.folder / "o.keep", identity=workshop.identity(), verifier=verifier)


def test_an_existing_file_is_replaced_only_when_asked(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal())
    before = installed.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        install_one(workshop, workshop.seal())
    assert installed.read_bytes() == before
    install_one(workshop, workshop.seal(), force=True)
    workshop.open(installed).close()


def test_an_installation_has_no_use_for_a_grant_file(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal())
    with pytest.raises(UsageError, match="carries its grant"):
        workshop.open(installed, grant_file=workshop.folder / "grants")


def test_an_installation_cannot_be_granted_on(workshop: Workshop) -> None:
    public = workshop.device.with_suffix(".pub")
    installed = Installation(install_one(workshop, workshop.seal(to=[], admins=[public])))
    with installed, installed.unlock(workshop.identity(), workshop.verifier()) as opened:
        assert opened.provenance.constraints == Constraints()


def test_files_of_odd_sizes_come_out_as_they_went_in(workshop: Workshop) -> None:
    folder = workshop.folder / "model"
    folder.mkdir()
    for size in (0, 1, 1_048_519, 1_048_520, 1_048_521, 2_097_080, 2_097_081):
        (folder / f"{size} bytes").write_bytes(bytes(range(251)) * (size // 251) + bytes(size % 251))
    bundle = workshop.seal(folder)
    assert workshop.read(install_one(workshop, bundle)) == workshop.read(bundle)
