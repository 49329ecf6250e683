"""Granting to a fleet: order, constraints, restarting, and finding one grant among many."""

from __future__ import annotations

import base64
import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from modelkeep.bulk_granting import BulkGrants, grant_all
from modelkeep.errors import (
    MalformedError,
    NotForThisDeviceError,
    RefusedError,
    SignatureError,
    StorageError,
    UsageError,
)
from modelkeep.grants import grant_lines, sidecar
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.device_list import LONGEST_LINE
from modelkeep.grants.grant import Grant
from modelkeep.grants.header import key_id
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.grants.recipient_text import parse_recipient
from modelkeep.grants.secret import SECRET_BYTES
from modelkeep.memory import wiped
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.unsigned import UnsafeUnsigned
from support.processes import children, command, status
from support.workshop import Workshop


class Fleet:
    """A bundle whose only grant is an administrator's, and a list of devices."""

    def __init__(self, workshop: Workshop, size: int = 5) -> None:
        self.workshop = workshop
        self.devices = [workshop.new_device(f"pi-{number}") for number in range(size)]
        self.lines = [device.with_suffix(".pub").read_text().strip() for device in self.devices]
        self.list = workshop.folder / "devices.jsonl"
        self.write_list()
        self.output = workshop.folder / "grants.jsonl"
        self.bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])

    def write_list(self) -> None:
        self.list.write_text("".join(f"{line}\n" for line in self.lines))

    def grant_all(self, **options: Any) -> int:
        return self.run(**options).total

    def run(self, **options: Any) -> BulkGrants:
        settings: dict[str, Any] = {
            "identity": self.workshop.identity(),
            "verifier": self.workshop.verifier(),
        }
        return grant_all(self.bundle, self.list, self.output, **(settings | options))

    def open(self, device: Path) -> None:
        identity = self.workshop.identity(device)
        self.workshop.open(self.bundle, identity=identity, grant_file=self.output).close()


@pytest.fixture
def fleet(workshop: Workshop) -> Fleet:
    return Fleet(workshop)


def key_ids(fleet: Fleet) -> list[bytes]:
    return [grant.header.key_id for grant in sidecar.read(fleet.output)]


def expected_key_ids(fleet: Fleet) -> list[bytes]:
    bundle = next(sidecar.read(fleet.output)).header.bundle
    recipients = [parse_recipient(line) for line in fleet.lines]
    return [key_id(bundle, recipient.type, recipient.public) for recipient in recipients]


def test_every_listed_device_can_open(fleet: Fleet) -> None:
    assert fleet.grant_all() == 5
    for device in fleet.devices:
        fleet.open(device)
    assert key_ids(fleet) == expected_key_ids(fleet)


def test_several_processes_keep_the_order(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.ALONE_BELOW", 0)
    monkeypatch.setattr("modelkeep.bulk_granting.BATCH", 2)
    held_back: list[int] = []
    # All of them are there when the first batch is.
    assert fleet.grant_all(processes=2, progress=lambda _count: held_back.extend(workers_mask())) == 5
    assert key_ids(fleet) == expected_key_ids(fleet)
    fleet.open(fleet.devices[4])
    # From their first moment, or Ctrl-C would have each show a traceback while it imports.
    assert held_back and all(mask >> signal.SIGINT - 1 & 1 for mask in held_back)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def workers_mask() -> Iterator[int]:
    """Yields which signals each process of a pool that this one started holds back."""
    for child in children():
        if b"spawn_main" in command(child):
            yield int(status(child, "SigBlk"), 16)


def test_few_devices_or_one_process_give_the_key_to_no_other(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.ProcessPoolExecutor", None)
    assert fleet.grant_all(processes=2) == 5
    fleet.output.unlink()
    monkeypatch.setattr("modelkeep.bulk_granting.ALONE_BELOW", 0)
    assert fleet.grant_all(processes=1) == 5


def test_progress_counts_devices(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.BATCH", 2)
    steps: list[int] = []
    fleet.grant_all(progress=steps.append)
    assert steps == [0, 2, 2, 1]


@pytest.mark.parametrize("cut", [0, 1, 200])
def test_started_again_it_goes_on_behind_the_last_whole_grant(fleet: Fleet, cut: int) -> None:
    fleet.grant_all()
    lines = fleet.output.read_bytes().splitlines(keepends=True)
    fleet.output.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
    assert fleet.grant_all() == 5
    assert fleet.output.read_bytes().splitlines(keepends=True)[:2] == lines[:2]
    assert key_ids(fleet) == expected_key_ids(fleet)


def test_a_finished_run_adds_nothing(fleet: Fleet) -> None:
    fleet.grant_all()
    before = fleet.output.read_bytes()
    assert fleet.grant_all() == 5
    assert fleet.output.read_bytes() == before


def test_the_output_of_another_list_or_bundle_is_left_alone(fleet: Fleet) -> None:
    fleet.grant_all()
    before = fleet.output.read_bytes()
    fleet.lines.reverse()
    fleet.lines.pop()
    fleet.write_list()
    with pytest.raises(UsageError, match="is not what this list"):
        fleet.grant_all()
    assert fleet.output.read_bytes() == before


def test_a_rerun_says_how_many_are_new(fleet: Fleet) -> None:
    assert fleet.run()[:2] == (5, 5)
    assert fleet.run()[:2] == (5, 0)
    fleet.lines.append(fleet.workshop.new_device("late").with_suffix(".pub").read_text().strip())
    fleet.write_list()
    assert fleet.run()[:2] == (6, 1)


def test_a_rerun_under_other_terms_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    fleet.grant_all()
    before = fleet.output.read_bytes()
    for terms in (Constraints(not_after=4_000_000_000), Constraints(posture=("verified-boot",))):
        with pytest.raises(UsageError, match="grant 1 is not what this list and these terms would give"):
            fleet.grant_all(constraints=terms)
    fleet.lines[2] = json.dumps({"recipient": fleet.lines[2], "not_after": 4_000_000_000})
    fleet.write_list()
    with pytest.raises(UsageError, match="grant 3 is not"):
        fleet.grant_all()
    assert fleet.output.read_bytes() == before


@pytest.mark.parametrize("content", [b"a note to myself", b"{}\n", b'{"weights": 1}\nmore', bytes(100)])
def test_a_foreign_file_is_never_appended_to(fleet: Fleet, content: bytes) -> None:
    fleet.output.write_bytes(content)
    with pytest.raises((MalformedError, UsageError)):
        fleet.grant_all()
    assert fleet.output.read_bytes() == content


def test_a_comment_beyond_the_longest_line_does_not_spill_into_a_device(fleet: Fleet) -> None:
    hidden = fleet.workshop.new_device("hidden").with_suffix(".pub").read_text().strip()
    fleet.lines.insert(1, "#".ljust(LONGEST_LINE - 1))
    fleet.write_list()
    assert fleet.grant_all() == len(fleet.lines) - 1
    fleet.output.unlink()
    fleet.lines[1] = "#".ljust(LONGEST_LINE + 1) + hidden
    fleet.write_list()
    with pytest.raises(MalformedError, match="line 2: longer than"):
        fleet.grant_all()
    assert not fleet.output.exists()


def test_json_lines_carry_constraints(fleet: Fleet) -> None:
    fleet.lines[1] = json.dumps({"recipient": fleet.lines[1], "not_after": 3_000_000_000})
    fleet.lines[2] = json.dumps({"recipient": fleet.lines[2], "delegate": True})
    fleet.write_list()
    fleet.grant_all(with_admins=True, constraints=Constraints(not_after=4_000_000_000))
    constraints = [grant.header.constraints for grant in sidecar.read(fleet.output)]
    assert constraints[0] == Constraints(not_after=4_000_000_000)
    assert constraints[1] == Constraints(not_after=3_000_000_000)
    assert constraints[2] == Constraints(not_after=4_000_000_000, delegate=True)


def test_comments_and_empty_lines_do_not_count(fleet: Fleet) -> None:
    fleet.list.write_text("# a fleet\n\n" + "\n\n".join(fleet.lines) + "\n")
    assert fleet.grant_all() == 5


@pytest.mark.parametrize(
    "line", ["hpke-p256", '{"recipient": 5}', "{}", '{"recipient": "x y", "ext": 1}', "ü", "x" * 70_000]
)
def test_a_bad_line_is_named_and_nothing_of_its_batch_is_written(fleet: Fleet, line: str) -> None:
    fleet.lines.insert(3, line)
    fleet.write_list()
    with pytest.raises(MalformedError, match="line 4"):
        fleet.grant_all()
    assert not fleet.output.exists()


def test_a_key_that_is_none_ends_the_run_at_its_batch_and_a_mended_list_goes_on(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.BATCH", 2)
    good = fleet.lines[4]
    no_point = base64.urlsafe_b64encode(b"\x04" + bytes(64)).decode().rstrip("=")
    fleet.lines[4] = f"hpke-p256 {no_point} pi-4"
    fleet.write_list()
    with pytest.raises(MalformedError, match="line 5: recipient: not a public key of type hpke-p256"):
        fleet.grant_all()
    assert sum(1 for _ in sidecar.read(fleet.output)) == 4
    fleet.lines[4] = good
    fleet.write_list()
    assert fleet.run()[:2] == (5, 1)


def test_an_unknown_constraint_stops_the_run(fleet: Fleet) -> None:
    fleet.lines[0] = json.dumps({"recipient": fleet.lines[0], "only_on_sundays": True})
    fleet.write_list()
    with pytest.raises(MalformedError, match="line 1.*only_on_sundays"):
        fleet.grant_all()


def test_only_who_may_delegate_can_grant(fleet: Fleet) -> None:
    fleet.grant_all()
    with pytest.raises(RefusedError, match="may not be passed on"):
        grant_all(
            fleet.bundle,
            fleet.list,
            fleet.workshop.folder / "more.jsonl",
            identity=fleet.workshop.identity(fleet.devices[0]),
            verifier=UnsafeUnsigned(),
            grant_file=fleet.output,
        )


def test_a_bundle_that_wants_signed_grants_gets_them(workshop: Workshop) -> None:
    fleet = Fleet(workshop, size=2)
    create_signing_key(workshop.folder / "issuer.pem")
    issuer = Signer.from_pem(workshop.folder / "issuer.pem")
    admins = [workshop.device.with_suffix(".pub")]
    fleet.bundle = workshop.seal(to=[], admins=admins, grant_signer=issuer)
    with pytest.raises(UsageError, match="signed grants only"):
        fleet.grant_all()
    fleet.grant_all(grant_signer=issuer)
    fleet.open(fleet.devices[1])
    unsigned = fleet.output.read_text().replace('"issuer"', '"ext":{},"issuer"')
    fleet.output.write_text(unsigned)
    with pytest.raises((MalformedError, SignatureError)):
        fleet.open(fleet.devices[1])


def test_a_missing_list_is_named(fleet: Fleet) -> None:
    fleet.list.unlink()
    with pytest.raises(StorageError, match=r"devices\.jsonl"):
        fleet.grant_all()


def test_whom_nobody_granted_is_told_how_many_there_are(fleet: Fleet) -> None:
    fleet.grant_all()
    with pytest.raises(NotForThisDeviceError, match="5 grants: hpke-p256"):
        fleet.open(fleet.workshop.new_device("stranger"))


def test_grants_of_others_are_passed_over_without_parsing(fleet: Fleet) -> None:
    fleet.grant_all()
    lines = fleet.output.read_bytes().splitlines(keepends=True)
    # Broken behind its header: only a reader that parses it would notice.
    lines[0] = lines[0][:-20] + b'@@@@@@@@@@@@@@@@@@"\n'
    fleet.output.write_bytes(b"".join(lines))
    fleet.open(fleet.devices[3])
    with pytest.raises(MalformedError):
        fleet.open(fleet.devices[0])


def test_a_worker_issues_what_its_process_was_started_for(workshop: Workshop) -> None:
    lines = [(1, workshop.device.with_suffix(".pub").read_bytes())]
    grant_lines.start(bytes(16), bytes(range(32)), Constraints())
    try:
        (grant,) = grant_lines.run(lines)
    finally:
        grant_lines._issuer = None
    assert Grant.from_bytes(grant).header.bundle == bytes(16)


def test_grants_of_a_list_are_those_that_are_issued_one_by_one() -> None:
    keys = ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()
    handles = [HpkeHandle(key, name) for key in keys for name in ("a-long-name", "", "b")]
    terms = [Constraints(), Constraints(not_after=4_000_000_000), Constraints(posture=("0" * 32,))]
    issuer = GrantIssuer(bytes(16), DataKey.from_buffer(bytearray(range(32))), Constraints(not_before=1))
    with wiped(SECRET_BYTES) as secret:
        for handle, demanded in itertools.product(handles, terms):
            recipient = handle.recipient()
            encoded = issuer.encoded(recipient, demanded, secret)
            grant, single = Grant.from_bytes(encoded), issuer.issue(recipient, demanded)
            assert grant.header_bytes == single.header_bytes
            assert handle.unwrap(grant) == handle.unwrap(single)
