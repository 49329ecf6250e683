"""A newer grant moves the end of what is installed."""

from __future__ import annotations

import pytest

from modelkeep.bundle.lease import lease_path
from modelkeep.errors import ExpiredError, RefusedError, StorageError
from modelkeep.grants.constraints import Constraints
from support.command_line import CommandLine
from support.leasing import DAY, Lessor
from support.workshop import Workshop


@pytest.fixture
def lessor(workshop: Workshop) -> Lessor:
    return Lessor(workshop)


def test_installation_opens_until_the_end_of_the_newer_grant(lessor: Lessor) -> None:
    lessor.install()
    lessor.open_at(0)
    with pytest.raises(ExpiredError):
        lessor.open_at(1)
    before = lessor.installed.read_bytes()
    assert lessor.renew(lessor.until(10)) == lessor.end + 10 * DAY
    lessor.open_at(10)
    with pytest.raises(ExpiredError):
        lessor.open_at(11)
    assert lessor.installed.read_bytes() == before
    assert lease_path(lessor.installed).stat().st_mode & 0o777 == 0o600


def test_of_several_grants_the_latest_is_taken_and_the_rest_stays_as_it_was(lessor: Lessor) -> None:
    constraints = Constraints(not_before=5, not_after=lessor.end, posture=("verified-boot",))
    lessor.install(constraints)
    grants = lessor.grant(Constraints(not_before=5, not_after=lessor.end + DAY, posture=("verified-boot",)))
    for days in (30, 2):
        more = Constraints(not_before=5, not_after=lessor.end + days * DAY, posture=("verified-boot",))
        grants.write_bytes(grants.read_bytes() + lessor.grant(more).read_bytes())
    assert lessor.renew(grants, posture=("verified-boot",)) == lessor.end + 30 * DAY


def test_what_is_over_can_be_renewed(lessor: Lessor) -> None:
    lessor.install()
    grants = lessor.until(10)
    assert lessor.renew(grants, days=5) == lessor.end + 10 * DAY
    with pytest.raises(ExpiredError):
        lessor.renew(lessor.until(12), days=20)


def test_what_has_no_end_is_not_renewed(lessor: Lessor) -> None:
    lessor.install(Constraints())
    with pytest.raises(RefusedError, match="has no end"):
        lessor.renew(lessor.until(10))


def test_grants_that_are_nowhere_are_named(lessor: Lessor) -> None:
    lessor.install()
    with pytest.raises(StorageError, match=r"nowhere\.grants"):
        lessor.renew(lessor.workshop.folder / "nowhere.grants")


def test_command_says_until_when(lessor: Lessor, capsys: pytest.CaptureFixture[str]) -> None:
    lessor.install()
    folder = lessor.workshop.folder
    (folder / "publisher.pub").write_bytes(lessor.workshop.publisher_public)
    renewing = ("renew", lessor.installed, "--grant", lessor.until(10), "--json")
    access = ("-k", f"file:{lessor.workshop.device}", "-t", folder / "publisher.pub")
    result = CommandLine(folder, capsys)(*renewing, *access)
    assert result.code == 0
    assert result.json == {"path": str(lessor.installed), "not_after": lessor.end + 10 * DAY}
    assert "opens until 20" in result.err
