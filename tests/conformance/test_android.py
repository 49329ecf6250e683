"""The Kotlin library against this one: the same bundles, the same errors, and grants in both directions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.clock import LATEST_TIME
from modelkeep.errors import NotForThisDeviceError, RollbackError
from modelkeep.key_purpose import Purpose
from modelkeep.keys.fleet import create_device, create_master
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Suite
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.needs import require
from support.states import path_of
from support.workshop import MODEL_ID, Workshop

ROOT = Path(__file__).parents[2]
ANDROID = ROOT / "android"
MAIN_CLASS = "dev.modelkeep.vectors.Conformance"


@pytest.fixture(scope="module")
def classpath(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Builds library and test classes and returns what `java -cp` needs."""
    require("mvn", "maven")
    require("javac", "openjdk-17-jdk-headless")
    listing = tmp_path_factory.mktemp("android") / "classpath"
    maven("process-test-classes", "dependency:build-classpath", f"-Dmdep.outputFile={listing}")
    own = [str(ANDROID / "target" / name) for name in ("test-classes", "classes")]
    return os.pathsep.join([*own, listing.read_text().strip()])


def maven(*goals: str) -> None:
    done = subprocess.run(
        ["mvn", "-B", "-q", *goals], cwd=ANDROID, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]


def kotlin(classpath: str, *arguments: object) -> str:
    command = ["java", "-cp", classpath, MAIN_CLASS, *map(str, arguments)]
    done = subprocess.run(command, cwd=ANDROID, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("provider", ["default-test", "conscrypt-oldest", "conscrypt-newest"])
def test_the_library_passes_its_own_tests(classpath: str, provider: str) -> None:
    assert classpath
    # Not `mvn test`, which would compile everything once more.
    maven(f"surefire:test@{provider}")


def test_attacks_give_the_same_errors(classpath: str, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.mkdir()
    # Files that change while they are read are read otherwise the next time; the others need what a phone
    # does not have (second signatures that a verifier demands, identities of Sigstore, TPMs, slots, processes
    # of their own, packages of others), or open nothing.
    left_out = [
        "test_downloads.py",
        "test_flips.py",
        "test_isolation.py",
        "test_isolation_calls.py",
        "test_isolation_channel.py",
        "test_isolation_copies.py",
        "test_kserve.py",
        "test_old_disks.py",
        "test_posture.py",
        "test_power_cuts.py",
        "test_races.py",
        "test_second_signature.py",
        "test_sigstore_publishers.py",
        "test_swaps.py",
        "test_tpm_evidence.py",
        "test_updates.py",
        "test_updates_cut_off.py",
    ]
    recorded = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "support.recording",
            "-p",
            "no:cacheprovider",
            "tests/attacks",
        ]
        + [f"--ignore=tests/attacks/{name}" for name in left_out],
        cwd=ROOT,
        env=os.environ | {"MODELKEEP_RECORDING": str(recording), "PYTHONPATH": f"{ROOT / 'tests'}"},
        capture_output=True,
        check=False,
    )
    assert recorded.returncode == 0, recorded.stdout[-4000:]
    output = kotlin(classpath, "open", recording)
    assert int(output.split()[0]) > 100


@pytest.mark.parametrize("suite", Suite)
def test_grants_made_on_android_open_here(classpath: str, workshop: Workshop, suite: Suite) -> None:
    bundle = workshop.seal(admins=[workshop.device.with_suffix(".pub")], to=[], suite=suite)
    phone = workshop.new_device("phone")
    master, device = workshop.folder / "master.key", workshop.folder / "fleet.key"
    create_master(str(master))
    create_device(str(device), str(master), "phone-2")
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    lines = [phone.with_suffix(".pub").read_text().strip(), device.read_text().strip()]
    grants = kotlin(classpath, "grant", bundle, workshop.folder / "publisher.pub", workshop.device, *lines)
    with pytest.raises(NotForThisDeviceError):
        workshop.read(bundle, identity=workshop.identity(phone))
    bundle.with_name(f"{bundle.name}.grants").write_text(grants)
    plain = workshop.read(bundle)
    assert workshop.read(bundle, identity=workshop.identity(phone)) == plain
    assert workshop.read(bundle, identity=Identity(f"fleet:{device}")) == plain


def test_what_android_installs_opens_here(classpath: str, workshop: Workshop) -> None:
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    installed, older = workshop.folder / "installed.keep", workshop.folder / "older.keep"
    state = path_of(workshop.identity())
    for epoch, target in [(1, older), (2, installed)]:
        # Of several segments, which several threads write.
        bundle = workshop.seal(workshop.model(size=10**6), epoch=epoch)
        arguments = [bundle, workshop.folder / "publisher.pub", workshop.device, target, state]
        kotlin(classpath, "install", *arguments)
    assert workshop.read(installed) == workshop.read(bundle)
    with pytest.raises(RollbackError, match="release 1 of .* is older than 2"):
        workshop.read(older)


@pytest.mark.parametrize("suite", Suite)
def test_what_a_fleets_device_installs_on_android_opens_here(
    classpath: str, workshop: Workshop, suite: Suite
) -> None:
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    master, device = workshop.folder / "master.key", workshop.folder / "fleet.key"
    create_master(str(master))
    create_device(str(device), str(master), "phone-2")
    bundle = workshop.seal(to=[f"fleet:{device}"], suite=suite)
    identity, installed = Identity(f"fleet:{device}"), workshop.folder / "installed.keep"
    kotlin(
        classpath,
        "install",
        bundle,
        workshop.folder / "publisher.pub",
        device,
        installed,
        path_of(identity),
    )
    assert workshop.read(installed, identity=identity) == workshop.read(bundle, identity=identity)


def test_the_number_of_a_trust_file_outlives_an_installation_on_android(
    classpath: str, workshop: Workshop
) -> None:
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    root = create_signing_key(workshop.folder / "root.pem", "root")
    signer = Signer.from_pem(workshop.folder / "root.pem", purpose=Purpose.ROOT)
    publisher = Publisher(workshop.signer.public_key, ("*",))
    files = [TrustFile(number, LATEST_TIME, (publisher,)).to_bytes(signer) for number in (1, 2)]
    old, new = (
        Verifier.from_trust_file(TrustFile.from_bytes(data, [root]), model=MODEL_ID) for data in files
    )
    bundle, installed = workshop.seal(), workshop.folder / "installed.keep"
    install(bundle, workshop.folder / "here.keep", identity=workshop.identity(), verifier=new)
    state = path_of(workshop.identity())
    kotlin(classpath, "install", bundle, workshop.folder / "publisher.pub", workshop.device, installed, state)
    assert workshop.read(installed, verifier=new)
    with pytest.raises(RollbackError, match="trust file 1 is older than 2"):
        workshop.read(installed, verifier=old)
