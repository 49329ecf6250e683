"""A device whose grants end, and somebody who may sign newer ones."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.lease import lease_path
from modelkeep.container import names
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from modelkeep.keys.identity import Identity
from modelkeep.renewing import renew
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.updates.installation import install
from support.workshop import Workshop

DAY = 86_400


class Lessor:
    """Seals a model for a device until a day, and grants it for longer.

    Attributes:
        bundle: the bundle.
        end: last second of the grant in it.
    """

    def __init__(self, workshop: Workshop, *, signed: bool = True) -> None:
        self.workshop = workshop
        self.admin = workshop.new_device("admin")
        create_signing_key(workshop.folder / "issuer.pem")
        self.issuer = Signer.from_pem(workshop.folder / "issuer.pem") if signed else None
        self.bundle = workshop.seal(grant_signer=self.issuer, admins=[self.admin.with_suffix(".pub")], to=[])
        with Bundle(self.bundle) as bundle:
            self.end = bundle.unverified_manifest().sealed_at + 30 * DAY
        self.installed = workshop.folder / "installed.keep"

    def grant(self, constraints: Constraints) -> Path:
        """Returns a file with a grant for the device."""
        target = self.workshop.folder / f"{os.urandom(4).hex()}.grants"
        grant(
            self.bundle,
            identity=self.workshop.identity(self.admin),
            to=[self.workshop.device.with_suffix(".pub")],
            verifier=self.workshop.verifier(),
            constraints=constraints,
            grant_signer=self.issuer,
            output=target,
        )
        return target

    def until(self, days: int) -> Path:
        """Returns a file with a grant that ends so many days after the first one."""
        return self.grant(Constraints(not_after=self.end + days * DAY))

    def install(self, constraints: Constraints | None = None) -> Path:
        """Installs with a grant of the first end; returns the installation."""
        if constraints is None:
            constraints = Constraints(not_after=self.end)
        access = self.access() | {"posture": constraints.posture}
        install(self.bundle, self.installed, force=True, grant_file=self.grant(constraints), **access)
        return self.installed

    def renew(self, grants: Path, *, days: int = -30, posture: tuple[str, ...] = ()) -> int:
        """Renews so many days after the first end."""
        return renew(self.installed, grant_file=grants, posture=posture, **self.access(days))

    def access(self, days: int = -30) -> dict[str, Any]:
        """Returns the device, and a verifier whose clock shows so many days after the first end."""
        moment = float(self.end + days * DAY)
        verifier = self.workshop.verifier(clock=lambda: moment)
        return {"identity": self.workshop.identity(), "verifier": verifier}

    def open_at(self, days: int) -> None:
        """Opens the installation so many days after the first end."""
        self.workshop.open(self.installed, **self.access(days)).close()


def record_of(installation: Path) -> InstallRecord:
    """Returns the record inside an installation."""
    with Installation(installation) as opened:
        return InstallRecord.from_bytes(opened.read(names.INSTALL))


def write_lease(installation: Path, identity: Identity, header: InstallHeader) -> None:
    """Writes a lease with any header, wrapped as only the device itself can."""
    record, data = record_of(installation), header.to_bytes()
    with closing(identity.local_key()) as local:
        key = local.unwrap(record.wrapped, wrapping_context(record.header_bytes))
        wrapped = local.wrap(memoryview(key), wrapping_context(data))
    lease_path(installation).write_bytes(InstallRecord(header, data, wrapped).to_bytes())
