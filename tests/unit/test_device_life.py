"""The life of a device, as docs/granting.md tells it: each section is a test here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from modelkeep import public_key
from modelkeep.errors import (
    KeepError,
    RefusedError,
    RollbackError,
    SignatureError,
    TamperedError,
    UntrustedSignerError,
)
from modelkeep.granter import person, policy_file
from modelkeep.granter.audit import audit
from modelkeep.granter.granter import HEAD_FILE
from modelkeep.granter.journal_entry import Event
from modelkeep.granter.state import journal_path
from modelkeep.key_purpose import Purpose
from modelkeep.keys.identity import Identity
from modelkeep.renewing import renew
from modelkeep.trust import trust_editing
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.roots_document import by_fingerprint
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.command_line import CommandLine
from support.granter import DAY, NOW, Desk


def installed(desk: Desk, name: str = "pi-1", at: int = NOW) -> Path:
    path = desk.folder / f"{name}.keep"
    install(desk.bundle, path, grant_file=desk.grants_file(name), force=True, **access(desk, name, at))
    return path


def access(desk: Desk, name: str, at: int = NOW) -> dict[str, Any]:
    return {"identity": desk.key(name), "verifier": desk.verifier(at)}


def opens(desk: Desk, path: Path, name: str, at: int) -> bool:
    try:
        desk.workshop.open(path, **access(desk, name, at)).close()
    except KeepError:
        return False
    return True


def test_lease_of_an_installation_is_renewed_and_a_week_without_granter_is_no_outage(desk: Desk) -> None:
    path = installed(desk)
    desk.ask("pi-1")
    # Due since day 10, answered on day 17.
    assert opens(desk, path, "pi-1", NOW + 17 * DAY)
    assert desk.run(NOW + 17 * DAY).issued == 1
    end = renew(path, grant_file=desk.grants_file("pi-1"), **access(desk, "pi-1", NOW + 17 * DAY))
    assert end == NOW + 47 * DAY
    assert opens(desk, path, "pi-1", end) and not opens(desk, path, "pi-1", end + 1)


def test_stolen_device_stops_when_its_lease_ends(desk: Desk) -> None:
    path = installed(desk)
    desk.strike("pi-1")
    desk.ask("pi-1")
    assert desk.run(NOW + 15 * DAY).refusals == 1
    with pytest.raises(RefusedError, match="no grant ends later"):
        renew(path, grant_file=desk.grants_file("pi-1"), **access(desk, "pi-1", NOW + 15 * DAY))
    assert opens(desk, path, "pi-1", NOW + 30 * DAY) and not opens(desk, path, "pi-1", NOW + 30 * DAY + 1)
    # By the clock that the device goes by: whoever can hold that back holds back the end.
    assert opens(desk, path, "pi-1", NOW + 5 * DAY)


def test_replaced_board_takes_the_name_over(desk: Desk) -> None:
    board = desk.recipient("board").named("pi-1")
    desk.enlist_key(board)
    desk.ask("board")
    desk.ask("pi-1")
    tally = desk.run(NOW + 15 * DAY)
    assert (tally.issued, tally.refusals) == (1, 1)
    assert [entry.facts["name"] for entry in desk.journal(Event.GRANTED)] == ["pi-1", "pi-1"]
    assert opens(desk, installed(desk, "board", NOW + 15 * DAY), "board", NOW + 40 * DAY)


def test_lost_state_of_a_software_key_is_begun_anew(desk: Desk) -> None:
    path = installed(desk)
    with Identity(desk.key("pi-1")) as identity:
        state = identity.device_state()
        assert state is not None
        state.path.unlink()
        state.close()
    assert not opens(desk, path, "pi-1", NOW)
    assert opens(desk, installed(desk), "pi-1", NOW)


def test_retired_device_opens_nothing_more(desk: Desk, command: CommandLine) -> None:
    path = installed(desk)
    kept = shutil.copy(path, desk.folder / "kept.keep")
    assert command.shell("modelkeep state retire -k pi-1.pem").code == 2
    done = command.ok("modelkeep state retire -k pi-1.pem --yes")
    assert "1 installation forgotten" in done.err and "nothing counts here" in done.err
    assert not opens(desk, path, "pi-1", NOW) and not opens(desk, Path(kept), "pi-1", NOW)
    assert command.ok("modelkeep state retire -k pi-1.pem --yes --json").json["forgotten"] == 0
    command.ok("modelkeep keys delete file:pi-1.pem --yes")
    # What it had installed still counts as what it had: nothing older is taken by another key of its.
    desk.strike("pi-1")


def test_stolen_administrators_key_ends_with_a_new_epoch_and_new_keys(desk: Desk) -> None:
    installed(desk)
    old = desk.issuer
    create_signing_key(desk.folder / "issuer-2.pem")
    desk.issuer = Signer.from_pem(desk.folder / "issuer-2.pem")
    desk.admin = desk.workshop.new_device("admin-2")
    desk.bundle = desk.seal(epoch=2)
    desk.write_policy(bundles=[desk.bundle])
    desk.ask("pi-1")
    assert desk.run(NOW + DAY).issued == 1
    # Devices that hear of it take nothing that the stolen signer grants, of the old release either.
    trust = trust_editing.first(1, NOW + 100 * DAY)
    trust = trust_editing.with_publisher(trust, desk.workshop.signer.public_key, ("*",))
    revoked = trust_editing.with_revoked(trust, keys=[public_key.fingerprint(old.public_key)])
    signed = desk.workshop.signed(revoked)
    verifier = Verifier.from_trust_file(signed, model=UnsafeAnyModel(), clock=lambda: float(NOW))
    assert desk.opens("pi-1", NOW + DAY)
    assert opens(desk, installed(desk, at=NOW + DAY), "pi-1", NOW + 20 * DAY)
    thief = desk.seal(epoch=3, grant_signer=old, admins=[desk.folder / "pi-1.pub"])
    with pytest.raises(UntrustedSignerError, match="revoked"):
        desk.workshop.open(thief, identity=desk.key("pi-1"), verifier=verifier)


def test_lost_folder_of_the_granter_is_begun_anew(desk: Desk) -> None:
    desk.write_policy(firsts=0)
    shutil.rmtree(desk.state)
    desk.ask("pi-1")
    # An older copy would end before what was put out; so does nothing at all.
    with pytest.raises(TamperedError, match="were put out once"):
        desk.run(NOW + DAY)
    (desk.answers / HEAD_FILE).unlink()
    desk.grants_file("pi-1").unlink()
    assert desk.run(NOW + DAY).waiting == 1
    person.allow(policy_file.read(desk.policy), (), everybody=True)
    assert desk.run(NOW + DAY).issued == 1 and desk.opens("pi-1", NOW + DAY)
    signers = by_fingerprint([desk.folder / "issuer.pub"])
    assert audit(journal_path(desk.state), (), desk.answers, signers).published == 1


def test_lost_operators_key_is_replaced_in_the_policy(desk: Desk) -> None:
    public = create_signing_key(desk.folder / "operator-2.pem", "operator")
    (desk.folder / "operator-2.pub").write_bytes(public)
    desk.policy.write_text(desk.policy.read_text().replace('["operator.pub"]', '["operator-2.pub"]'))
    desk.ask("pi-1")
    # What the lost key signed counts no more, and the numbers go on.
    with pytest.raises(SignatureError, match="0 of its operators"):
        desk.run(NOW + 15 * DAY)
    signer = Signer.from_pem(desk.folder / "operator-2.pem", purpose=Purpose.OPERATOR)
    desk.sign_with(signer, number=desk.roster.head.number - 1 or 1)
    with pytest.raises((RollbackError, SignatureError)):
        desk.run(NOW + 15 * DAY)
    desk.sign_with(signer, number=desk.roster.head.number + 2)
    assert desk.run(NOW + 15 * DAY).issued == 1
    assert len(desk.journal(Event.POLICY)) == 2
