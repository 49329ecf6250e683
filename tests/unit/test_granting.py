"""Granting: more devices for a sealed model, never more rights than the own grant gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from modelkeep.bundle.access import sidecar_path
from modelkeep.errors import (
    ExpiredError,
    NotForThisDeviceError,
    RefusedError,
    StorageError,
    TamperedError,
    UntrustedSignerError,
    UsageError,
)
from modelkeep.granting import grant
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.unsigned import UnsafeUnsigned
from support.workshop import Workshop


@pytest.fixture
def admin(workshop: Workshop) -> Path:
    """The private key of an administrator."""
    return workshop.new_device("admin")


@pytest.fixture
def device(workshop: Workshop) -> Path:
    """The private key of a device that joins later."""
    return workshop.new_device("pi-18")


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


def test_a_new_device_opens_with_the_sidecar(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle = workshop.seal(admins=[public(admin)])
    before = bundle.read_bytes()
    written = grant(
        bundle, identity=workshop.identity(admin), to=[public(device)], verifier=workshop.verifier()
    )
    assert written.path == sidecar_path(bundle) == bundle.with_name(f"{bundle.name}.grants")
    with workshop.open(bundle, identity=workshop.identity(device)) as session:
        assert session.report.device_id == "pi-18"
    assert bundle.read_bytes() == before


def test_grants_may_lie_elsewhere(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle, elsewhere = workshop.seal(admins=[public(admin)]), workshop.folder / "more.grants"
    granted = grant(
        bundle,
        identity=workshop.identity(admin),
        verifier=UnsafeUnsigned(),
        to=[public(device)],
        output=elsewhere,
    )
    assert granted.path == elsewhere
    identity = workshop.identity(device)
    with pytest.raises(NotForThisDeviceError):
        workshop.open(bundle, identity=identity)
    workshop.open(bundle, identity=identity, grant_file=elsewhere).close()
    with pytest.raises(NotForThisDeviceError):
        workshop.open(bundle, grant_file=elsewhere)
    with pytest.raises(StorageError, match="no such file"):
        workshop.open(bundle, grant_file=workshop.folder / "none")


def test_several_grants_are_appended_together(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle, other = workshop.seal(admins=[public(admin)]), workshop.new_device("pi-19", "x25519")
    identity = workshop.identity(admin)
    grant(bundle, identity=identity, verifier=UnsafeUnsigned(), to=[public(device), public(other)])
    grant(
        bundle, identity=identity, verifier=UnsafeUnsigned(), admins=[public(workshop.new_device("second"))]
    )
    delegates = [item.header.constraints.delegate for item in sidecar.read(sidecar_path(bundle))]
    assert delegates == [False, False, True]
    workshop.open(bundle, identity=workshop.identity(other)).close()


def test_who_holds_a_plain_grant_cannot_grant(workshop: Workshop, device: Path) -> None:
    bundle = workshop.seal()
    with pytest.raises(RefusedError):
        grant(
            bundle,
            identity=workshop.identity(),
            verifier=UnsafeUnsigned(),
            to=[public(device)],
            constraints=Constraints(delegate=True),
        )
    assert not sidecar_path(bundle).exists()


def test_who_holds_no_grant_cannot_grant(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle = workshop.seal(admins=[public(admin)])
    with pytest.raises(NotForThisDeviceError):
        grant(bundle, identity=workshop.identity(device), verifier=UnsafeUnsigned(), to=[public(device)])
    assert not sidecar_path(bundle).exists()


def test_delegation_passes_on_through_administrators_only(
    workshop: Workshop, admin: Path, device: Path
) -> None:
    bundle, second = workshop.seal(admins=[public(admin)]), workshop.new_device("second")
    grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), admins=[public(second)])
    grant(bundle, identity=workshop.identity(second), verifier=UnsafeUnsigned(), to=[public(device)])
    workshop.open(bundle, identity=workshop.identity(device)).close()
    with pytest.raises(RefusedError):
        grant(
            bundle,
            identity=workshop.identity(device),
            verifier=UnsafeUnsigned(),
            to=[public(workshop.new_device("third"))],
        )


def test_a_grant_is_never_wider_than_the_own_one(workshop: Workshop, admin: Path, device: Path) -> None:
    own = Constraints(not_before=100, not_after=4_000_000_000, posture=("a",))
    bundle = workshop.seal(admins=[public(admin)], constraints=own)
    with pytest.raises(RefusedError):
        grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), to=[public(device)])
    assert not sidecar_path(bundle).exists()
    wider = Constraints(not_before=1, not_after=5_000_000_000, delegate=True)
    bundle = workshop.seal(
        admins=[public(admin)], constraints=Constraints(not_before=100, not_after=4_000_000_000)
    )
    grant(
        bundle,
        identity=workshop.identity(admin),
        verifier=UnsafeUnsigned(),
        to=[public(device)],
        constraints=wider,
    )
    (made,) = sidecar.read(sidecar_path(bundle))
    assert made.header.constraints == Constraints(not_before=100, not_after=4_000_000_000)


def test_a_grant_may_be_narrower(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle = workshop.seal(admins=[public(admin)])
    narrow = Constraints(not_after=1_000_000)
    grant(
        bundle,
        identity=workshop.identity(admin),
        verifier=UnsafeUnsigned(),
        to=[public(device)],
        constraints=narrow,
    )
    with pytest.raises(ExpiredError):
        workshop.open(bundle, identity=workshop.identity(device))


def test_an_expired_administrator_cannot_grant(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle = workshop.seal(admins=[public(admin)], constraints=Constraints(not_after=1_000_000))
    with pytest.raises(ExpiredError):
        grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), to=[public(device)])


def test_a_verifier_is_obeyed(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle = workshop.seal(admins=[public(admin)])
    with pytest.raises(RefusedError):
        grant(
            bundle,
            identity=workshop.identity(admin),
            to=[public(device)],
            verifier=workshop.verifier(minimum_epoch=9),
        )


def test_a_grant_of_another_bundle_does_not_fit(workshop: Workshop, admin: Path, device: Path) -> None:
    bundle, other = (workshop.seal(admins=[public(admin)]) for _ in range(2))
    grant(other, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), to=[public(device)])
    with pytest.raises((NotForThisDeviceError, TamperedError)):
        workshop.open(bundle, identity=workshop.identity(device), grant_file=sidecar_path(other))


def test_there_must_be_somebody_to_grant_to(workshop: Workshop, admin: Path) -> None:
    with pytest.raises(UsageError, match="nobody to grant to"):
        grant(
            workshop.seal(admins=[public(admin)]),
            identity=workshop.identity(admin),
            verifier=UnsafeUnsigned(),
        )


def test_bundles_that_want_signed_grants(workshop: Workshop, admin: Path, device: Path) -> None:
    issuer, stranger = (workshop.folder / name for name in ("issuer.pem", "stranger.pem"))
    for path in (issuer, stranger):
        create_signing_key(path)
    bundle = workshop.seal(admins=[public(admin)], grant_signer=Signer.from_pem(issuer))
    identity, late = workshop.identity(admin), workshop.identity(device)
    with pytest.raises(UsageError, match="signed grants only"):
        grant(bundle, identity=identity, verifier=UnsafeUnsigned(), to=[public(device)])
    to_device = partial(grant, bundle, identity=identity, verifier=UnsafeUnsigned(), to=[public(device)])
    with pytest.raises(UsageError, match="takes no grants that this key signs"):
        to_device(grant_signer=Signer.from_pem(stranger))
    elsewhere = workshop.folder / "stranger.grants"
    (signed,) = sidecar.read(to_device(grant_signer=Signer.from_pem(issuer), output=elsewhere))
    elsewhere.write_bytes(signed.signed_by(Signer.from_pem(stranger)).to_bytes() + b"\n")
    with pytest.raises(UntrustedSignerError):
        workshop.open(bundle, identity=late, grant_file=elsewhere)
    to_device(grant_signer=Signer.from_pem(issuer))
    workshop.open(bundle, identity=late).close()


def test_a_passphrase_is_not_granted_to(workshop: Workshop, admin: Path) -> None:
    (workshop.folder / "secret.txt").write_text("correct horse battery staple")
    (workshop.folder / "secret.txt").chmod(0o600)
    secret = f"passphrase:?file={workshop.folder / 'secret.txt'}"
    bundle = workshop.seal(admins=[public(admin)])
    with pytest.raises(UsageError, match="only one of its bundle"):
        grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), to=[secret])
    assert not sidecar_path(bundle).exists()


def test_one_key_is_not_granted_to_as_device_and_as_administrator(workshop: Workshop, admin: Path) -> None:
    bundle, twice = workshop.seal(admins=[public(admin)]), public(workshop.new_device("pi-18"))
    with pytest.raises(UsageError, match="stands there twice"):
        grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), to=twice, admins=twice)
    assert not sidecar_path(bundle).exists()


def test_an_admin_grant_that_came_later_counts(workshop: Workshop) -> None:
    admin = workshop.new_device("admin")
    publics = [workshop.device.with_suffix(".pub")]
    bundle = workshop.seal(to=publics, admins=[admin.with_suffix(".pub")])
    grant(bundle, identity=workshop.identity(admin), verifier=UnsafeUnsigned(), admins=publics)
    late = workshop.new_device("late")
    grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[late.with_suffix(".pub")])
    workshop.open(bundle, identity=workshop.identity(late)).close()
