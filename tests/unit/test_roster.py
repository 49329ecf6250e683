"""Rosters: which devices operators vouch for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelkeep.errors import ExpiredError, MalformedError, SignatureError, TamperedError, UsageError
from modelkeep.granter.roster import Roster, RosterHead, open_roster
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.granter.roster_editing import changes, with_devices, without_devices
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.file import FileStore
from modelkeep.trust.envelope import Envelope, Kind
from support.command_line import CommandLine

END = 2_000_000_000


@pytest.fixture(scope="module")
def recipients(tmp_path_factory: pytest.TempPathFactory) -> list[HpkeRecipient]:
    folder = tmp_path_factory.mktemp("devices")
    return [FileStore().create(str(folder / f"pi-{number}.pem"), None) for number in range(3)]


def roster_of(*devices: RosterDevice) -> Roster:
    return Roster.of(1, END, devices)


def test_roster_is_read_as_it_was_written(tmp_path: Path, recipients: list[HpkeRecipient]) -> None:
    devices = [RosterDevice.of(each, ("acme/*", "acme/detector")) for each in recipients]
    devices[0] = replace(devices[0], group="field", hardware="tpm:" + "0a" * 32)
    written = roster_of(*reversed(devices))
    written.write(tmp_path / "roster.json", force=False)
    assert Roster.read(tmp_path / "roster.json") == written
    with open_roster(tmp_path / "roster.json") as stream:
        assert stream.head == written.head
        assert [each.name for each in stream.devices()] == ["pi-0", "pi-1", "pi-2"]
    assert written.devices[1].may_have("acme/audio") and not written.devices[1].may_have("other/audio")


def test_devices_are_those_that_were_signed(tmp_path: Path, recipients: list[HpkeRecipient]) -> None:
    path = tmp_path / "roster.json"
    roster_of(*(RosterDevice.of(each, ("acme/*",)) for each in recipients)).write(path, force=False)
    first, *lines = path.read_bytes().splitlines(keepends=True)
    changed = lines[0].replace(b"acme/*", b"acme/a")
    for others in (lines[:-1], [*lines, changed], [changed, *lines[1:]], lines[::-1], [lines[0][:-1]]):
        path.write_bytes(b"".join([first, *others]))
        with pytest.raises((TamperedError, MalformedError)):
            Roster.read(path)
    path.write_bytes(first[:-1])
    with pytest.raises(MalformedError, match="no end"):
        Roster.read(path)


def test_what_is_no_device_of_a_roster_is_refused(recipients: list[HpkeRecipient]) -> None:
    named = recipients[0]
    nameless = HpkeRecipient(named.type, named.public)
    for arguments, problem in (
        ((nameless, ("acme/a",)), "has a name"),
        ((named, ()), "certain models"),
        ((named, ("no id!",)), "not a model id"),
        ((named, ("a",), "a group"), "a group is named"),
        ((named, ("a",), "g", "tpm:short"), "hardware is named"),
        ((named, tuple(f"m{number}" for number in range(65))), "certain models"),
    ):
        with pytest.raises(UsageError, match=problem):
            RosterDevice.of(*arguments)
    long = tuple(f"m{number}/" + "a" * 120 for number in range(64))
    with pytest.raises(UsageError, match="too many models"):
        RosterDevice.of(named, long).to_line()
    whole = RosterDevice.of(named, ("a", "b")).to_line()
    for old, new in (
        (b'["a","b"]', b'["b","a"]'),
        (b'["a","b"]', b'["a","a"]'),
        (b'"group"', b'"ext":{},"group"'),
        (b'"group":"devices",', b'"group":"devices","hardware":"",'),
        (b'"hpke-p256 ', b'"hpke-p256  '),
    ):
        assert old in whole
        with pytest.raises(MalformedError):
            RosterDevice.from_line(whole.replace(old, new))
    for line in (
        b'{"name":"a"}\n',
        b"{}",
        b"no JSON\n",
        b'{"key":"x","name":"a","group":"g","models":["a"]}\n',
    ):
        with pytest.raises(MalformedError):
            RosterDevice.from_line(line)


def test_head_says_what_is_known_and_no_more() -> None:
    head = RosterHead(3, END, 7, bytes(32))
    assert RosterHead.from_bytes(head.to_bytes()) == head
    head.check_time(END)
    with pytest.raises(ExpiredError):
        head.check_time(END + 1)
    for changed in (b'"ext":{},', b'"more":1,'):
        with pytest.raises(MalformedError):
            RosterHead.from_bytes(head.to_bytes().replace(b'"format"', changed + b'"format"', 1))


def test_next_roster_has_the_next_number_once_the_last_is_signed(
    tmp_path: Path, recipients: list[HpkeRecipient]
) -> None:
    draft = with_devices(roster_of(), [RosterDevice.of(recipients[0], ("a",))])
    assert draft.head.number == 1
    signed = replace(draft, envelope=replace(draft.envelope, signatures=(("0" * 64, b"s"),)))
    following = with_devices(signed, [RosterDevice.of(recipients[1], ("a",))])
    assert (following.head.number, following.envelope.signatures) == (2, ())
    assert [each[:6] for each in changes(signed, following)] == ["+ pi-1"]
    assert without_devices(following, ["pi-0"]).devices == following.devices[1:]
    with pytest.raises(UsageError, match="not in the roster"):
        without_devices(following, ["pi-7"])


def test_devices_take_the_place_of_others_only_where_that_is_said(recipients: list[HpkeRecipient]) -> None:
    last = roster_of(RosterDevice.of(recipients[0], ("a",), hardware="tpm:" + "00" * 32))
    board = HpkeRecipient(recipients[1].type, recipients[1].public, "pi-0")
    replaced = RosterDevice.of(board, ("a",))
    with pytest.raises(UsageError, match="one name"):
        with_devices(last, [replaced])
    assert with_devices(last, [replaced], replace=True).devices == (replaced,)
    twin = RosterDevice.of(HpkeRecipient(board.type, recipients[0].public, "twin"), ("a",))
    with pytest.raises(UsageError, match="one key"):
        with_devices(last, [twin])
    with pytest.raises(UsageError, match="one hardware"):
        with_devices(last, [RosterDevice.of(recipients[2], ("a",), hardware="tpm:" + "00" * 32)])


def test_commands_from_the_first_device_to_a_verified_roster(command: CommandLine) -> None:
    for number in (1, 2):
        command.ok(f"modelkeep keys create --kind operator operator-{number}.pem > operator-{number}.pub")
    command.ok("modelkeep keys create pi-1.pem > pi-1.pub")
    command.ok("modelkeep keys create pi-2.pem > pi-2.pub")
    command.ok("modelkeep enrol -k pi-2.pem --model acme/audio -o pi-2.json")
    assert command.shell("modelkeep roster add r.json -r pi-1.pub --model acme/*").code == 2  # no end
    command.ok("modelkeep roster add r.json -r pi-1.pub --model acme/* --group field --expires +90d")
    added = command.ok("modelkeep roster add r.json --request pi-2.json")
    assert "+ pi-2  devices  acme/audio  hpke-p256" in added.err and "roster 1 written" in added.err
    unseen = command.shell("modelkeep roster sign r.json -s operator-1.pem")
    assert unseen.code == 2 and "nothing was signed" in unseen.err
    command.ok("modelkeep roster sign r.json -s operator-1.pem --yes")
    verify = "modelkeep roster show r.json --operator operator-1.pub --operator operator-2.pub --threshold 2"
    assert command.shell(verify).code == 3
    command.ok("modelkeep roster sign r.json -s operator-2.pem --yes")
    assert "ok: roster 1" in command.ok(verify).err
    command.ok("modelkeep roster remove r.json pi-1 -o r-2.json")
    shown = command.ok("modelkeep roster show r-2.json --since r.json")
    assert "- pi-1  field" in shown.out and "roster 2, 1 device" in shown.out
    command.ok("modelkeep roster sign r-2.json --since r.json -s operator-1.pem --yes")
    facts = command.ok("modelkeep roster show r-2.json --json").json
    assert (facts["number"], [each["name"] for each in facts["devices"]]) == (2, ["pi-2"])


def test_keys_for_something_else_sign_no_roster_and_operators_nothing_else(command: CommandLine) -> None:
    command.ok("modelkeep keys create --kind operator operator.pem > operator.pub")
    command.ok("modelkeep keys create --kind root root.pem")
    command.ok("modelkeep keys create pi-1.pem > pi-1.pub")
    command.ok("modelkeep roster add r.json -r pi-1.pub --model a --expires +90d")
    assert "signs trust files" in command.shell("modelkeep roster sign r.json -s root.pem --yes").err
    command.ok("modelkeep trust create -o trust.json --expires +90d")
    assert "signs rosters" in command.shell("modelkeep trust sign trust.json -s operator.pem --yes").err
    # Nor does a roster's first line pass for something that roots sign.
    (command.folder / "line.json").write_bytes((command.folder / "r.json").read_bytes().splitlines()[0])
    refused = command.shell("modelkeep trust sign line.json -s root.pem --yes")
    assert refused.code == 3 and "another kind: a roster" in refused.err
    with pytest.raises(SignatureError):
        Envelope.from_bytes((command.folder / "trust.json").read_bytes(), Kind.ROSTER)
