"""Attacks on what a device keeps: planting, forging, restoring and outliving installations."""

from __future__ import annotations

import datetime
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from modelkeep.bundle.install_record import InstallRecord
from modelkeep.bundle.installation import Installation
from modelkeep.clock import LATEST_TIME
from modelkeep.container import names
from modelkeep.device.contents import Contents
from modelkeep.device.local_key import from_secret
from modelkeep.device.state_file import write_state
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    RollbackError,
    SignatureError,
    TamperedError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.keys.identity import Identity
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.planting import Planter, edit_header, files_of, write_archive
from support.states import path_of, remembered
from support.workshop import Workshop

NOT_HERE = "not installed by this device"


def install_one(workshop: Workshop, bundle: Path, name: str = "installed.keep", **options: Any) -> Path:
    settings: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    return install(bundle, workshop.folder / name, **(settings | options)).path


def test_planting_a_model_by_wrapping_a_key_to_the_public_key(workshop: Workshop) -> None:
    planter = Planter(workshop, workshop.seal())
    planted = planter.plant(planter.public.wrap)
    with pytest.raises(TamperedError, match=NOT_HERE):
        workshop.open(planted)


def test_planting_a_model_by_agreeing_with_the_public_key(workshop: Workshop) -> None:
    planter = Planter(workshop, workshop.seal())
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), planter.public.public)
    own = ec.generate_private_key(ec.SECP256R1())
    agreed = from_secret(memoryview(own.exchange(ec.ECDH(), public)))
    planted = planter.plant(lambda key, context: agreed.wrap(memoryview(key), context))
    with pytest.raises(TamperedError, match=NOT_HERE):
        workshop.open(planted)


def test_an_installation_made_elsewhere_with_the_devices_own_key(workshop: Workshop) -> None:
    # Who could use the key once cannot make installations at home: they have no place in the state.
    planter = Planter(workshop, workshop.seal())
    local = workshop.identity().local_key()
    planted = planter.plant(lambda key, context: local.wrap(memoryview(key), context))
    with pytest.raises(RollbackError, match="not made with this key"):
        workshop.open(planted)


def test_a_sibling_that_holds_the_data_key_cannot_forge_the_disk(workshop: Workshop) -> None:
    sibling = workshop.new_device("sibling")
    bundle = workshop.seal(to=[workshop.device.with_suffix(".pub"), sibling.with_suffix(".pub")])
    mine = install_one(workshop, bundle)
    theirs = install_one(workshop, bundle, "theirs.keep", identity=workshop.identity(sibling))
    with pytest.raises(TamperedError, match=NOT_HERE):
        workshop.open(theirs)
    files = files_of(mine)
    files[names.payload(1)] = files_of(theirs)[names.payload(1)]
    write_archive(mine, files)
    with pytest.raises(TamperedError, match="does not decrypt"):
        workshop.open(mine)


def test_restoring_last_months_installation(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal(epoch=1))
    last_month = installed.read_bytes()
    install_one(workshop, workshop.seal(epoch=2), force=True)
    installed.write_bytes(last_month)
    with pytest.raises(RollbackError, match="release 1 .* is older than 2"):
        workshop.open(installed)


def test_the_key_of_an_older_installation_is_destroyed(workshop: Workshop) -> None:
    old = install_one(workshop, workshop.seal(epoch=1), "old.keep")
    install_one(workshop, workshop.seal(epoch=2), "new.keep")
    header = InstallRecord.from_bytes(files_of(old)[names.INSTALL]).header
    assert header.installation not in remembered(workshop.identity()).models[header.model].installations


def test_an_installation_that_was_staged_and_never_finished(workshop: Workshop) -> None:
    states: list[bytes] = []
    path = path_of(workshop.identity())
    # What lies on the disk while the payload is written: the secret is in the state already.
    installed = install_one(workshop, workshop.seal(), progress=lambda _: states.append(path.read_bytes()))
    workshop.open(installed).close()
    path.write_bytes(states[0])
    with pytest.raises(RollbackError, match="never finished"):
        workshop.open(installed)


def test_lowering_the_epoch_in_the_state(workshop: Workshop) -> None:
    install_one(workshop, workshop.seal(epoch=2))
    older, path = workshop.seal(epoch=1), path_of(workshop.identity())
    content = path.read_bytes()
    for position in range(20, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises((TamperedError, MalformedError)):
            install_one(workshop, older, "older.keep")


def test_a_state_made_by_somebody_else(workshop: Workshop) -> None:
    install_one(workshop, workshop.seal(epoch=2))
    path = path_of(workshop.identity())
    path.unlink()
    write_state(path, HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key(), Contents())
    with pytest.raises(TamperedError):
        install_one(workshop, workshop.seal(epoch=1), "older.keep")


def test_an_installation_that_outlives_its_grant(workshop: Workshop) -> None:
    now = [1_900_000_000.0]
    verifier = workshop.verifier(clock=lambda: now[0])
    bundle = workshop.seal(constraints=Constraints(not_after=1_900_000_100))
    installed = install_one(workshop, bundle, verifier=verifier)
    workshop.open(installed, verifier=verifier).close()
    now[0] += 101
    with pytest.raises(ExpiredError):
        workshop.open(installed, verifier=verifier)


def trusting(workshop: Workshop, **options: Any) -> Verifier:
    # A device remembers no time beyond the end of what can mend it, so this one has a trust file.
    trust = TrustFile(1, LATEST_TIME, (Publisher(workshop.signer.public_key, ("*",)),))
    return Verifier.from_trust_file(workshop.signed(trust), model=UnsafeAnyModel(), **options)


def test_setting_the_clock_back(workshop: Workshop) -> None:
    now = [1_900_000_000.0]
    verifier = trusting(workshop, clock=lambda: now[0])
    first = workshop.seal(constraints=Constraints(not_after=1_900_000_100))
    installed = install_one(workshop, first, verifier=verifier)
    now[0] += 200
    # Installing anything else tells the device how late it is.
    other = workshop.seal(model="acme/classifier")
    install_one(workshop, other, "other.keep", verifier=verifier)
    now[0] -= 200
    with pytest.raises(ExpiredError):
        workshop.open(installed, verifier=verifier)


@pytest.mark.parametrize("form", ["installation", "bundle", "installing"])
@pytest.mark.parametrize("limit", ["trust file", "age", "grant"])
def test_setting_the_clock_back_past_what_the_device_remembers(
    workshop: Workshop, form: str, limit: str
) -> None:
    sealed_at = int(time.time())
    now = [sealed_at + 100.0]
    publisher = Publisher(workshop.signer.public_key, ("*",))
    expires = sealed_at + 150 if limit == "trust file" else LATEST_TIME
    verifier = Verifier.from_trust_file(
        workshop.signed(TrustFile(1, expires, (publisher,))),
        model="acme/detector",
        maximum_age=datetime.timedelta(seconds=150) if limit == "age" else None,
        clock=lambda: now[0],
    )
    end = sealed_at + 150 if limit == "grant" else None
    bundle = workshop.seal(constraints=Constraints(not_after=end))
    path = install_one(workshop, bundle, verifier=verifier) if form == "installation" else bundle
    workshop.open(path, verifier=verifier).close()
    other = workshop.seal(model="acme/classifier")
    late = trusting(workshop, clock=lambda: sealed_at + 300)
    install_one(workshop, other, "other.keep", verifier=late)
    with pytest.raises(ExpiredError):
        if form == "installing":
            install_one(workshop, path, "late.keep", verifier=verifier)
        else:
            workshop.open(path, verifier=verifier)


@pytest.mark.parametrize(
    "changes",
    [
        {"constraints": Constraints()},
        {"constraints": Constraints(delegate=True)},
        {"device_id": "pi-18"},
        {"installation": bytes(16)},
    ],
)
def test_editing_the_header(workshop: Workshop, changes: dict[str, Any]) -> None:
    installed = install_one(workshop, workshop.seal(constraints=Constraints(not_after=4_000_000_000)))
    edit_header(installed, **changes)
    with pytest.raises(TamperedError, match=NOT_HERE):
        workshop.open(installed)


@pytest.mark.parametrize("changes", [{"epoch": 99}, {"model": "acme/other"}, {"manifest": bytes(32)}])
def test_a_header_that_names_another_release(workshop: Workshop, changes: dict[str, Any]) -> None:
    installed = install_one(workshop, workshop.seal())
    edit_header(installed, **changes)
    with pytest.raises(TamperedError, match="another release"):
        workshop.open(installed)


def test_putting_in_the_manifest_of_another_release(workshop: Workshop) -> None:
    first = install_one(workshop, workshop.seal(), "first.keep")
    second = install_one(workshop, workshop.seal(), "second.keep")
    files, others = files_of(first), files_of(second)
    for name in (names.MANIFEST, names.SIGNATURE):
        files[name] = others[name]
    write_archive(first, files)
    with pytest.raises(TamperedError, match="another release"):
        workshop.open(first)


def test_the_publisher_and_the_policy_are_checked_at_every_open(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal())
    stranger = create_signing_key(workshop.folder / "stranger.pem")
    with pytest.raises(UntrustedSignerError):
        workshop.open(installed, verifier=Verifier(stranger, model="acme/detector"))
    with pytest.raises(WrongModelError):
        workshop.open(installed, verifier=workshop.verifier(model="acme/classifier"))
    with pytest.raises(RollbackError):
        workshop.open(installed, verifier=workshop.verifier(minimum_epoch=2))


def test_an_unsigned_bundle_is_not_installed(workshop: Workshop) -> None:
    bundle = workshop.seal(signer=None, unsafe_unsigned=True)
    with pytest.raises(SignatureError):
        install_one(workshop, bundle)
    with pytest.raises(UsageError, match="publisher was verified"):
        install_one(workshop, bundle, verifier=UnsafeUnsigned())


def test_installing_checks_every_digest(workshop: Workshop) -> None:
    bundle = workshop.seal()
    data = bytearray(bundle.read_bytes())
    data[data.rindex(b"payload/1") + 512 + 60] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(TamperedError):
        install_one(workshop, bundle)
    assert not (workshop.folder / "installed.keep").exists()


def test_every_byte_of_an_installation_counts(workshop: Workshop) -> None:
    installed = install_one(workshop, workshop.seal())
    original, plain = installed.read_bytes(), workshop.read(installed)
    with Installation(installed) as opened, opened.open_file(names.SIGNATURE) as place:
        signature = range(place.offset, place.offset + place.size)
    for position in range(0, len(original), 61):
        changed = bytearray(original)
        changed[position] ^= 0x20
        installed.write_bytes(changed)
        try:
            assert workshop.read(installed) == plain
        except KeepError:
            continue
        assert position in signature, "only the encoding of the signature document may vary"


def test_a_passphrase_cannot_install(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSPHRASE", "correct horse")
    with Identity("passphrase:?env=PASSPHRASE") as identity:
        bundle = workshop.seal(to=["passphrase:?env=PASSPHRASE"])
        with pytest.raises(UsageError, match="passphrase cannot install"):
            install_one(workshop, bundle, identity=identity)


def test_breaking_x25519_does_not_open_what_a_hybrid_device_installed(workshop: Workshop) -> None:
    """Somebody computes the X25519 key of a hybrid device from its public line, some years from now."""
    hybrid = (MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())
    broken = (MLKEM768PrivateKey.generate(), hybrid[1])
    with closing(HpkeHandle(hybrid).local_key()) as local, closing(HpkeHandle(broken).local_key()) as theirs:
        wrapped = local.wrap(memoryview(bytearray(32)), b"context")
        assert local.unwrap(wrapped, b"context") == bytearray(32)
        with pytest.raises(TamperedError):
            theirs.unwrap(wrapped, b"context")
    with closing(HpkeHandle(hybrid[1]).local_key()) as alone, pytest.raises(TamperedError):
        alone.unwrap(wrapped, b"context")
