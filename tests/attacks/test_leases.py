"""Leases of others, of other installations, edited, endless, without a grant: no end moves by them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from modelkeep.bundle.install_record import InstallHeader, InstallRecord
from modelkeep.bundle.lease import lease_path
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    NotForThisDeviceError,
    RefusedError,
    TamperedError,
    UntrustedSignerError,
)
from modelkeep.grants import sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.updates.installation import install
from support.leasing import DAY, Lessor, record_of, write_lease
from support.workshop import Workshop


@pytest.fixture
def lessor(workshop: Workshop) -> Lessor:
    return Lessor(workshop)


def test_who_holds_the_data_key_alone_renews_nothing(lessor: Lessor) -> None:
    lessor.install()
    create_signing_key(lessor.workshop.folder / "sibling.pem")
    sibling = Signer.from_pem(lessor.workshop.folder / "sibling.pem")
    grants = lessor.until(300)
    (grant,) = sidecar.read(grants)
    grants.write_bytes(grant.signed_by(sibling).to_bytes() + b"\n")
    with pytest.raises(UntrustedSignerError):
        lessor.renew(grants)
    assert not lease_path(lessor.installed).exists()


def test_bundle_that_takes_grants_of_anybody_is_not_leased(workshop: Workshop) -> None:
    lessor = Lessor(workshop, signed=False)
    lessor.install()
    with pytest.raises(RefusedError, match="takes grants of anybody"):
        lessor.renew(lessor.until(300))
    # Nor does it count what was written all the same.
    header = record_of(lessor.installed).header
    later = replace(header.constraints, not_after=lessor.end + 300 * DAY)
    write_lease(lessor.installed, workshop.identity(), header._replace(constraints=later))
    with pytest.raises(TamperedError, match="the lease says something else"):
        lessor.open_at(-1)


def _longer(header: InstallHeader) -> InstallHeader:
    end = header.constraints.not_after
    assert end is not None
    return header._replace(constraints=replace(header.constraints, not_after=end + 300 * DAY))


CHANGES: dict[str, Callable[[InstallHeader], InstallHeader]] = {
    "no end": lambda header: header._replace(constraints=replace(header.constraints, not_after=None)),
    "no posture": lambda header: header._replace(constraints=replace(header.constraints, posture=())),
    "another beginning": lambda header: header._replace(
        constraints=replace(header.constraints, not_before=1)
    ),
    "another epoch": lambda header: header._replace(epoch=header.epoch + 1),
    "another manifest": lambda header: header._replace(manifest=bytes(32)),
    "another model": lambda header: header._replace(model="acme/other"),
    "another device": lambda header: header._replace(device_id="pi-18"),
    "delegation": lambda header: header._replace(constraints=replace(header.constraints, delegate=True)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_lease_that_says_more_than_a_later_end_is_refused(
    lessor: Lessor, change: Callable[[InstallHeader], InstallHeader]
) -> None:
    """Even from the device itself: what changes more than the end is another installation."""
    lessor.install(Constraints(not_after=lessor.end, posture=("verified-boot",)))
    identity = lessor.workshop.identity()
    write_lease(lessor.installed, identity, change(_longer(record_of(lessor.installed).header)))
    with pytest.raises(TamperedError, match="the lease says something else"):
        lessor.open_at(1)


def test_edited_lease_is_refused(lessor: Lessor) -> None:
    lessor.install()
    lessor.renew(lessor.until(10))
    lease = lease_path(lessor.installed)
    record = InstallRecord.from_bytes(lease.read_bytes())
    header = _longer(record.header)
    lease.write_bytes(InstallRecord(header, header.to_bytes(), record.wrapped).to_bytes())
    with pytest.raises(TamperedError):
        lessor.open_at(20)
    lease.write_bytes(b"{}")
    with pytest.raises(MalformedError):
        lessor.open_at(-1)


def test_lease_of_another_installation_or_device_moves_nothing(lessor: Lessor) -> None:
    lessor.install()
    lessor.renew(lessor.until(10))
    kept = shutil.copy(lease_path(lessor.installed), lessor.workshop.folder / "kept.lease")
    lessor.install()
    assert not lease_path(lessor.installed).exists()
    shutil.copy(kept, lease_path(lessor.installed))
    lessor.open_at(-1)
    with pytest.raises(ExpiredError):
        lessor.open_at(1)
    # Made to look like one of this installation, it was still wrapped for the other.
    other = InstallRecord.from_bytes(lease_path(lessor.installed).read_bytes())
    header = other.header._replace(installation=record_of(lessor.installed).header.installation)
    lease_path(lessor.installed).write_bytes(
        InstallRecord(header, header.to_bytes(), other.wrapped).to_bytes()
    )
    with pytest.raises(TamperedError):
        lessor.open_at(1)


def test_older_lease_or_none_brings_the_earlier_end_and_no_other(lessor: Lessor) -> None:
    lessor.install()
    lessor.renew(lessor.until(10))
    earlier = lease_path(lessor.installed).read_bytes()
    lessor.renew(lessor.until(20))
    lessor.open_at(15)
    lease_path(lessor.installed).write_bytes(earlier)
    lessor.open_at(9)
    with pytest.raises(ExpiredError):
        lessor.open_at(15)
    lease_path(lessor.installed).unlink()
    with pytest.raises(ExpiredError):
        lessor.open_at(1)


def test_grant_that_demands_something_else_is_another_installation(lessor: Lessor) -> None:
    lessor.install()
    looser = Constraints(not_after=lessor.end + DAY, not_before=1)
    with pytest.raises(RefusedError, match="demands something else"):
        lessor.renew(lessor.grant(looser))
    with pytest.raises(RefusedError, match="no grant ends later"):
        lessor.renew(lessor.until(-1))
    with pytest.raises(RefusedError, match="no grant ends later"):
        lessor.renew(lessor.grant(Constraints()))


def test_lease_does_not_bring_a_replaced_installation_back(lessor: Lessor) -> None:
    old = lessor.install()
    lessor.renew(lessor.until(10))
    kept = shutil.copy(old, lessor.workshop.folder / "kept.keep")
    shutil.copy(lease_path(old), lease_path(lessor.workshop.folder / "kept.keep"))
    newer = lessor.workshop.seal(grant_signer=lessor.issuer, epoch=2)
    install(newer, old, force=True, **lessor.access())
    shutil.copy(kept, old)
    shutil.copy(lease_path(lessor.workshop.folder / "kept.keep"), lease_path(old))
    with pytest.raises(KeepError, match="does not count|older|below|was installed"):
        lessor.open_at(5)


def test_grant_of_another_device_or_bundle_renews_nothing(lessor: Lessor) -> None:
    lessor.install()
    other = Lessor.__new__(Lessor)
    other.__dict__ |= lessor.__dict__
    other.bundle = lessor.workshop.seal(grant_signer=lessor.issuer, admins=[lessor.admin.with_suffix(".pub")])
    grants = other.until(10)
    with pytest.raises((NotForThisDeviceError, RefusedError)):
        lessor.renew(grants)
