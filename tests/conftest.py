"""Fixtures that every kind of test may use."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.settings import FILE_VARIABLE
from support import softhsm
from support.command_line import CommandLine
from support.compiled import compiled_statistics
from support.granter import Desk
from support.repository import SmallRepository
from support.swtpm import SoftwareTpm, copy_of, manufacture
from support.workshop import Workshop, scale_model

# A fixture, used by its name.
__all__ = ["compiled_statistics"]

_numbers = itertools.count()


# How long an example takes says something of the machine alone.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# What a shell starts in the background ignores interrupts, and so would every process that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _states_of_all_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps the states of devices out of the home of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("states")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        # And what whoever runs them has set for the command line out of the tests.
        settings = folder / "no-settings"
        settings.touch()
        patch.setenv(FILE_VARIABLE, str(settings))
        yield folder


@pytest.fixture(autouse=True)
def _states_of_one_test(_states_of_all_tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each test a folder of its own for states, which is made when it is needed."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(_states_of_all_tests / str(next(_numbers))))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A publisher, a device and a folder to seal models in."""
    return Workshop(tmp_path)


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    """A granter with one device on its roster, which was granted the model on the first day."""
    desk = Desk(workshop)
    desk.enlist("pi-1")
    desk.ask("pi-1")
    assert desk.run().issued == 1
    return desk


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> SmallRepository:
    """A repository in which nothing is published yet; to be copied."""
    return SmallRepository(Workshop(tmp_path_factory.mktemp("repository")))


@pytest.fixture
def small(founded: SmallRepository, workshop: Workshop) -> SmallRepository:
    """A repository of one's own."""
    return SmallRepository.copy_of(founded, workshop)


@pytest.fixture(scope="session")
def manufactured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a new software TPM."""
    folder = tmp_path_factory.mktemp("swtpm")
    manufacture(folder)
    return folder


@pytest.fixture
def tpm(manufactured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftwareTpm]:
    """A running software TPM, which tpm2: keys find through the environment."""
    tpm = copy_of(manufactured, tmp_path / "tpm")
    tpm.start()
    monkeypatch.setenv("MODELKEEP_TPM2_TCTI", tpm.tcti)
    yield tpm
    tpm.stop(clean=False)


@pytest.fixture(scope="session")
def softhsm_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """SoftHSM's folder: its library reads the configuration once a process."""
    library, folder = softhsm.module(), tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(softhsm.configure(folder)))
        patch.setenv("PKCS11_MODULE", library)
        softhsm.initialise("first")
        softhsm.initialise("second")
        yield folder


@pytest.fixture
def token(softhsm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token's URI attributes, with a key name of the test's own; the PIN is in the environment."""
    monkeypatch.setenv("PKCS11_MODULE", softhsm.module())
    monkeypatch.setenv("MODELKEEP_PKCS11_PIN", softhsm.PIN)
    return f"token=first;object={tmp_path.name[-60:].replace('[', '').replace(']', '')}"


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """A command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)


@pytest.fixture
def shop(command: CommandLine) -> CommandLine:
    """A command line in a folder with keys, `model.onnx`, `x.npy`, and `model.keep` sealed for pi-17."""
    (command.folder / "model.onnx").write_bytes(scale_model(2.0, 4))
    np.save(command.folder / "x.npy", np.ones((1, 4), np.float32))
    for name in ("pi-17", "pi-18", "admin"):
        command.ok(f"modelkeep keys create file:{name}.pem > {name}.pub")
    for name in ("publisher", "stranger"):
        command.ok(f"modelkeep keys create --kind signing {name}.pem > {name}.pub")
    command.ok("modelkeep seal model.onnx -r pi-17.pub --admin admin.pub -s publisher.pem -o model.keep")
    return command
