"""`modelkeep trust`: from the first trust file to one that revokes, signed in several places."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelkeep import public_key
from modelkeep.cli.parser import build_parser
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust.envelope import MOST_SIGNATURES, Envelope, Kind
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.trust_editing import first, following, with_publisher, with_revoked
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_payload import MOST_PUBLISHERS, MOST_REVOKED
from support.command_line import CommandLine, files

ROOTS = "--trust-root root-1.pub --trust-root root-2.pub --trust-root root-3.pub --trust-threshold 2"
RUN = f"modelkeep run model.keep -k file:pi-17.pem -i x=x.npy -t trust.json {ROOTS}"
TICKET = f"modelkeep trust ticket --device {'ab' * 32} --generation {'cd' * 16}"
CREATE = "modelkeep trust create -o trust.json --expires +365d"


@pytest.fixture
def office(shop: CommandLine) -> CommandLine:
    """A shop with three roots."""
    for number in (1, 2, 3):
        shop.ok(f"modelkeep keys create --kind root root-{number}.pem > root-{number}.pub")
    return shop


def payload(path: Path) -> bytes:
    return base64.b64decode(json.loads(path.read_text())["payload"])


def shown(office: CommandLine, line: str) -> Any:
    return office.ok(f"modelkeep trust show {line} --json").json


def fingerprint(path: str) -> str:
    return public_key.fingerprint(public_key.load(path))


def test_first_file_counts_once_enough_roots_have_signed(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=*")
    written = payload(office.folder / "trust.json")
    assert office.shell(RUN).code == 3
    office.ok("modelkeep trust sign trust.json -s root-1.pem --yes")
    assert office.shell(RUN).code == 3
    office.ok("modelkeep trust sign trust.json -s root-3.pem --yes")
    office.ok(RUN)
    assert payload(office.folder / "trust.json") == written


def test_a_signature_is_for_what_was_shown(office: CommandLine) -> None:
    create = "modelkeep trust create -o trust.json --expires +365d --publisher publisher.pub=*"
    office.ok(create)
    shown = office.shell("modelkeep trust sign trust.json -s root-1.pem")
    assert shown.code == 2
    found = re.search("--yes ([0-9a-f]{64})", shown.err)
    assert found is not None
    office.ok(f"{create} --number 2 --force")
    refused = office.shell(f"modelkeep trust sign trust.json -s root-1.pem --yes {found[1]}")
    assert refused.code == 2
    assert "something else than what was agreed to" in refused.err
    again = re.search(
        "--yes ([0-9a-f]{64})", office.shell("modelkeep trust sign trust.json -s root-1.pem").err
    )
    assert again is not None
    office.ok(f"modelkeep trust sign trust.json -s root-1.pem --yes {again[1]}")


def test_signing_shows_what_is_signed_and_waits_for_yes(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=* --families vision,audio --not-after 2030-01-31")
    before = (office.folder / "trust.json").read_bytes()
    refused = office.shell("modelkeep trust sign trust.json -s root-1.pem")
    assert (refused.code, "nothing was signed" in refused.err) == (2, True)
    limits = '  every model  families: "vision", "audio"  until 2030-01-31'
    assert f"sha256:{fingerprint('publisher.pub')}{limits}" in refused.err
    assert (office.folder / "trust.json").read_bytes() == before


def test_signing_twice_changes_nothing(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=*")
    office.ok("modelkeep trust sign trust.json -s root-1.pem --yes")
    once = (office.folder / "trust.json").read_bytes()
    again = office.ok("modelkeep trust sign trust.json -s root-1.pem --yes")
    assert "signed already by" in again.err
    assert (office.folder / "trust.json").read_bytes() == once


def test_several_keys_and_another_output(office: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=*")
    office.ok("modelkeep trust sign trust.json -s root-1.pem -s root-2.pem --yes -o signed.json")
    assert shown(office, "trust.json")["signatures"] == []
    assert shown(office, f"signed.json {ROOTS}")["roots"] == {"given": 3, "signed": 2, "threshold": 2}
    assert office.shell("modelkeep trust sign trust.json -s root-3.pem --yes -o signed.json").code == 2
    office.ok("modelkeep trust sign trust.json -s root-3.pem --yes -o signed.json -f")
    assert len(shown(office, "signed.json")["signatures"]) == 1
    monkeypatch.setenv("ROOT_PASSPHRASE", "secret")
    create_signing_key("locked.pem", "root", passphrase=b"secret")
    with_passphrase = "modelkeep trust sign trust.json --passphrase-env ROOT_PASSPHRASE --yes -s locked.pem"
    assert office.shell(f"{with_passphrase} -s root-1.pem").code == 2
    office.ok(with_passphrase)


def test_show_says_who_may_what_from_when_to_when(office: CommandLine) -> None:
    bundle = office.ok("modelkeep inspect model.keep --json").json["bundle"]
    office.ok(
        f"{CREATE} --number 4 --publisher publisher.pub=acme/*,model --publisher stranger.pub=* "
        "--families vision, "
        f"--revoke stranger.pub --revoke {'ab' * 32} --revoke-bundle model.keep "
        "--not-before 2026-01-01 --not-after 2030-01-31"
    )
    facts = shown(office, "trust.json")
    assert facts["number"] == 4
    assert facts["expired"] is False
    limits = {
        "families": ["vision", ""],
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2030-01-31T00:00:00Z",
    }
    assert facts["publishers"] == [
        {"key": fingerprint("publisher.pub"), "models": ["acme/*", "model"], "revoked": False} | limits,
        {"key": fingerprint("stranger.pub"), "models": ["*"], "revoked": True} | limits,
    ]
    revoked = sorted([fingerprint("stranger.pub"), "ab" * 32])
    assert facts["revoked"] == {"keys": revoked, "bundles": [bundle]}
    words = office.ok("modelkeep trust show trust.json").out
    named = 'families: "vision", "" (without a name)'
    for part in (named, "models: acme/*, model", "every model", "  revoked\n", "nobody yet", bundle):
        assert part in words


def test_show_counts_the_roots_that_signed(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=*")
    office.ok("modelkeep keys create --kind root other.pem > other.pub")
    office.ok("modelkeep trust sign trust.json -s root-2.pem -s other.pem --yes")
    unchecked = office.ok("modelkeep trust show trust.json")
    assert "not checked" in unchecked.out
    assert "nothing above was verified" in unchecked.err
    short = office.shell(f"modelkeep trust show trust.json {ROOTS}")
    assert (short.code, "signed by 1 of its roots, and 2 are needed" in short.err) == (3, True)
    assert "root root-2.pub" in short.out
    assert "counts nothing" in short.out
    assert "1 of 3 roots; 2 are needed" in short.out
    enough = ROOTS.replace("threshold 2", "threshold 1")
    assert "ok: trust file 1" in office.ok(f"modelkeep trust show trust.json {enough}").err
    assert office.shell(f"modelkeep trust show trust.json {enough} --minimum-trust-number 2").code == 3
    data = json.loads((office.folder / "trust.json").read_text())
    data["signatures"][0]["signature"] = data["signatures"][1]["signature"]
    (office.folder / "trust.json").write_text(json.dumps(data, separators=(",", ":"), sort_keys=True))
    assert "0 of 3 roots" in office.shell(f"modelkeep trust show trust.json {ROOTS}").out


def test_expired_file_is_shown_as_such(office: CommandLine) -> None:
    root = Signer.from_pem("root-1.pem", purpose=Purpose.ROOT)
    Path("old.json").write_bytes(TrustFile(1, 1_600_000_000, ()).to_bytes(root))
    expired = office.shell("modelkeep trust show old.json --trust-root root-1.pub")
    assert (expired.code, "has expired" in expired.out) == (3, True)
    assert shown(office, "old.json")["expired"] is True
    assert office.shell("modelkeep trust next old.json -o new.json").code == 2
    office.ok("modelkeep trust next old.json -o new.json --expires +1d")
    Path("for-ever.json").write_bytes(TrustFile(1, LATEST_TIME, ()).to_bytes(root))
    assert "never" in office.ok("modelkeep trust show for-ever.json").out


def test_next_file_says_the_same_but_for_what_was_asked(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=acme/* --publisher stranger.pub=*")
    office.ok("modelkeep trust sign trust.json -s root-1.pem -s root-2.pem --yes")
    line = (
        f"modelkeep trust next trust.json {ROOTS} -o trust-2.json --publisher publisher.pub=acme/*,model "
        "--end stranger.pub --revoke root-3.pub --expires 2031-05-01 --floor model=1"
    )
    made = office.ok(line)
    assert "- number         1" in made.err
    assert "+ number         2" in made.err
    facts = shown(office, "trust-2.json")
    assert (facts["number"], facts["expires"], facts["signatures"]) == (2, "2031-05-01T00:00:00Z", [])
    models = {each["key"]: (each["models"], each["not_after"]) for each in facts["publishers"]}
    assert models[fingerprint("publisher.pub")] == (["acme/*", "model"], None)
    assert models[fingerprint("stranger.pub")][1] is not None
    assert facts["revoked"]["keys"] == [fingerprint("root-3.pub")]
    assert office.shell(line).code == 2
    since = office.ok("modelkeep trust show trust-2.json --since trust.json")
    assert since.out in made.err
    sign = "modelkeep trust sign trust-2.json --yes --since trust.json -s"
    assert since.out in office.ok(f"{sign} root-1.pem").err
    before = (office.folder / "trust-2.json").read_bytes()
    refused = office.shell(f"{sign} root-3.pem")
    assert (refused.code, "trust.json was not signed with this key" in refused.err) == (2, True)
    assert (office.folder / "trust-2.json").read_bytes() == before
    changed = office.ok("modelkeep trust show trust-2.json --since trust.json --json").json["changes"]
    assert changed == since.out.splitlines()


def test_next_file_is_made_of_one_that_the_roots_signed(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=*")
    assert office.shell(f"modelkeep trust next trust.json {ROOTS} -o trust-2.json").code == 3
    assert "was not verified" in office.ok("modelkeep trust next trust.json -o trust-2.json").err
    end = "modelkeep trust next trust.json -o trust-3.json --end"
    office.ok(f"{end} publisher.pub=2030-01-31")
    (publisher,) = shown(office, "trust-3.json")["publishers"]
    assert publisher["not_after"] == "2030-01-31T00:00:00Z"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"{CREATE} --number 0", 2),
        (f"{CREATE} --publisher missing.pub=*", 6),
        (f"{CREATE} --publisher publisher.pem=*", 2),
        (f"{CREATE} --publisher publisher.pub=* --not-before 2030-01-01 --not-after 2029-01-01", 2),
        (f"{CREATE} --publisher publisher.pub=* --not-before 1960-01-01", 2),
        (f"{CREATE} --publisher publisher.pub", 2),
        (f"{CREATE} --publisher publisher.pub=acme*", 2),
        (f"{CREATE} --publisher publisher.pub=", 2),
        (f"{CREATE} --families vision", 2),
        (f"{CREATE} --floor acme/detector=x", 2),
        (f"{CREATE} --floor acme//detector=1", 2),
        (f"{CREATE} --floor missing.keep", 6),
        (f"{CREATE} --void x.npy", 5),
        (f"{CREATE} --roots missing.json", 6),
        (f"{CREATE} --roots ready.json", 3),
        ("modelkeep trust roots -o trust.json", 2),
        ("modelkeep trust roots -o trust.json --root root-1.pub --threshold 2", 2),
        ("modelkeep trust roots -o trust.json --root root-1.pub --remove root-2.pub", 2),
        ("modelkeep trust roots -o trust.json --last ready.json", 3),
        ("modelkeep trust ticket -o trust.json --device pi-17.pub --generation 00", 2),
        (f"{TICKET} -o trust.json", 2),
        (f"{TICKET} -o trust.json --forget-quarantine --mark acme/detector=3", 2),
        ("modelkeep trust next ready.json -o trust.json --revoke publisher.pub", 2),
        ("modelkeep trust next ready.json -o trust.json --remove publisher.pub", 2),
        ("modelkeep trust next ready.json -o trust.json --remove stranger.pub --no-floor", 2),
        ("modelkeep trust next ready.json -o trust.json --publisher publisher.pub=acme/*", 2),
        (f"{CREATE} --not-after 2030-01-01", 2),
        (f"{CREATE} --revoke {'ab' * 31}", 6),
        (f"{CREATE} --revoke-bundle x.npy", 5),
        ("modelkeep trust create -o trust.json --expires 2020-01-01", 2),
        ("modelkeep trust create -o trust.json --expires tomorrow", 2),
        ("modelkeep trust next ready.json -o trust.json --end stranger.pub", 2),
        ("modelkeep trust next ready.json -o trust.json --end publisher.pub=2025-01-01", 2),
        ("modelkeep trust next x.npy -o trust.json", 5),
        ("modelkeep trust next missing.json -o trust.json", 6),
        ("modelkeep trust sign missing.json -s root-1.pem --yes", 6),
        ("modelkeep trust sign x.npy -s root-1.pem --yes", 5),
        ("modelkeep trust sign ready.json -s missing.pem --yes", 6),
        ("modelkeep trust sign ready.json -s nosuch:key --yes", 2),
        ("modelkeep trust show model.keep", 5),
        ("modelkeep trust show ready.json --trust-root root-1.pub --trust-threshold 2", 2),
    ],
)
def test_what_makes_no_sense_changes_nothing(office: CommandLine, line: str, code: int) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=* --not-before 2026-01-01")
    (office.folder / "trust.json").rename("ready.json")
    before = files(office.folder), (office.folder / "ready.json").read_bytes()
    refused = office.shell(line)
    assert refused.code == code, refused.err
    assert (files(office.folder), (office.folder / "ready.json").read_bytes()) == before


@pytest.mark.parametrize(
    ("change", "patterns"),
    [
        ("--revoke publisher.pub", "*"),
        ("--remove publisher.pub", "*"),
        ("--publisher publisher.pub=acme/*,model", "*"),
    ],
)
def test_a_key_that_goes_takes_no_floor_along_unsaid(office: CommandLine, change: str, patterns: str) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=* --publisher stranger.pub=*")
    line = f"modelkeep trust next trust.json -o trust-2.json {change}"
    refused = office.shell(line)
    assert (refused.code, f"no longer signs {patterns}:" in refused.err) == (2, True)
    assert "--floor" in refused.err
    made = office.ok(f"{line} --no-floor")
    assert f"warning: of {patterns}, older releases" in made.err
    assert shown(office, "trust-2.json")["floors"] == {}
    office.ok(f"{line} -f --floor model.keep")
    sealed = office.ok("modelkeep inspect model.keep --json").json
    assert shown(office, "trust-2.json")["floors"].keys() == {sealed["model"]}
    # A floor that was set before says nothing of what was released since.
    again = "modelkeep trust next trust-2.json -o trust-3.json --revoke stranger.pub"
    assert office.shell(again).code == 2
    office.ok(f"{again} --floor acme/detector=3@2026-11-01")
    floor = shown(office, "trust-3.json")["floors"]["acme/detector"]
    assert floor == {"epoch": 3, "sealed_at": "2026-11-01T00:00:00Z"}


def test_a_floor_is_demanded_for_models_that_somebody_signed(office: CommandLine) -> None:
    office.ok(f"{CREATE} --publisher publisher.pub=acme/detector,acme/audio/*")
    line = "modelkeep trust next trust.json -o trust-2.json --revoke publisher.pub"
    assert "signs acme/audio/*, acme/detector:" in office.shell(line).err
    assert "signs acme/audio/*:" in office.shell(f"{line} --floor acme/detector=1").err
    office.ok(f"{line} --floor acme/detector=1 --floor acme/audio/steps=4")
    office.ok("modelkeep trust next trust.json -o trust-3.json --end publisher.pub")
    office.ok("modelkeep trust next trust.json -o trust-4.json --publisher publisher.pub=acme/*")
    office.ok("modelkeep trust next trust.json -o trust-5.json --revoke root-1.pub")


def test_a_bundle_that_is_void_stays_void(office: CommandLine) -> None:
    bundle = office.ok("modelkeep inspect model.keep --json").json["bundle"]
    office.ok(f"{CREATE} --publisher publisher.pub=* --void model.keep")
    office.ok("modelkeep trust next trust.json -o trust-2.json")
    assert shown(office, "trust-2.json")["void"] == [bundle]
    office.ok("modelkeep trust sign trust-2.json -s root-1.pem -s root-2.pem --yes")
    refused = office.shell(RUN.replace("trust.json", "trust-2.json"))
    assert (refused.code, f"bundle {bundle} is revoked" in refused.err) == (3, True)


def test_roots_are_replaced_by_documents_that_travel_with_the_trust_file(office: CommandLine) -> None:
    first = "modelkeep trust roots -o roots.json --root root-1.pub --root root-2.pub --threshold 2"
    made = office.ok(first)
    assert f"sha256:{fingerprint('root-1.pub')}" in made.err
    office.ok("modelkeep trust sign roots.json -s root-1.pem -s root-2.pem --yes")
    office.ok(f"{CREATE} --publisher publisher.pub=* --roots roots.json")
    office.ok("modelkeep trust sign trust.json -s root-1.pem -s root-2.pem --yes")
    run = "modelkeep run model.keep -k file:pi-17.pem -i x=x.npy --trust-root roots.json -t"
    office.ok(f"{run} trust.json")
    office.ok("modelkeep trust roots --last roots.json -o roots-2.json --root root-3.pub --remove root-1.pub")
    known = "--trust-root roots.json"
    assert office.shell(f"modelkeep trust show roots-2.json {known}").code == 3
    follow = f"modelkeep trust next trust.json {known} --roots roots-2.json -o trust-2.json"
    assert office.shell(follow).code == 3
    office.ok("modelkeep trust sign roots-2.json -s root-1.pem -s root-2.pem -s root-3.pem --yes")
    words = office.ok(f"modelkeep trust show roots-2.json {known}")
    assert f"removed        sha256:{fingerprint('root-1.pub')}" in words.out
    changed = office.ok("modelkeep trust show roots-2.json --since roots.json").out
    assert f"+ root           sha256:{fingerprint('root-3.pub')}\n" in changed
    assert f"signs from now on: root           sha256:{fingerprint('root-3.pub')}" in office.ok(follow).err
    office.ok("modelkeep trust sign trust-2.json -s root-1.pem -s root-2.pem --yes")
    assert office.shell(f"{run} trust-2.json").code == 3
    office.ok("modelkeep trust sign trust-2.json -s root-3.pem --yes")
    office.ok(f"{run} trust-2.json")
    facts = office.ok(f"modelkeep trust show trust-2.json {known} --json").json
    assert (facts["chain"]["number"], facts["roots"]["signed"]) == (2, 2)
    again = "modelkeep trust roots --last roots-2.json -o roots-3.json --root root-1.pub"
    assert "never comes back" in office.shell(again).err
    # The documents stay with the file that follows.
    office.ok(f"modelkeep trust next trust-2.json {known} -o trust-3.json")
    office.ok("modelkeep trust sign trust-3.json -s root-2.pem -s root-3.pem --yes")
    office.ok(f"{run} trust-3.json")
    assert office.shell(f"{run} trust-3.json --trust-root root-2.pub").code == 2
    assert office.shell(f"{run} trust-3.json --trust-threshold 2").code == 2
    office.ok("modelkeep trust roots -o other.json --root root-3.pub")
    office.ok("modelkeep trust sign other.json -s root-3.pem --yes")
    moved = office.shell("modelkeep trust next trust-3.json -o trust-4.json --roots other.json")
    assert (moved.code, "not newer roots of the same chain" in moved.err) == (2, True)


def test_a_ticket_says_what_it_does(office: CommandLine) -> None:
    made = office.ok(
        f"{TICKET} -o ticket.json --void model.keep --time 2026-11-01 --forget-quarantine "
        "--adopt 7 --mark acme/detector=3@2026-10-01"
    )
    office.ok("modelkeep trust sign ticket.json -s root-1.pem -s root-2.pem --yes")
    words = office.ok("modelkeep trust show ticket.json --trust-root root-1.pub --trust-root root-2.pub")
    bundle = office.ok("modelkeep inspect model.keep --json").json["bundle"]
    for part in (
        f"void bundle    {bundle}",
        "set the time   2026-11-01T00:00:00Z",
        "failed its trial",
        "as number 7 of the counter",
        "acme/detector  epoch 3, sealed 2026-10-01T00:00:00Z",
    ):
        assert part in made.err
        assert part in words.out
    facts = office.ok("modelkeep trust show ticket.json --json").json
    assert [act["act"] for act in facts["acts"]] == ["void", "time", "forget-quarantine", "adopt"]
    assert office.shell("modelkeep trust show ticket.json --trust-root root-3.pub").code == 3


@pytest.mark.parametrize("action", ["create", "next", "roots", "ticket", "sign", "show"])
def test_every_action_has_help(action: str) -> None:
    with pytest.raises(SystemExit) as done:
        build_parser().parse_args(["trust", action, "--help"])
    assert done.value.code == 0


@pytest.fixture
def key(tmp_path: Path) -> Signer:
    create_signing_key(tmp_path / "key.pem")
    return Signer.from_pem(tmp_path / "key.pem")


def test_signature_that_holds_takes_the_place_of_one_that_does_not(key: Signer) -> None:
    broken = Envelope(Kind.TRUST, b"payload", ((public_key.fingerprint(key.public_key), b"broken"),))
    assert len(broken.signed(key).signatures) == 1
    many = tuple((f"{number:064x}", b"") for number in range(MOST_SIGNATURES))
    full = Envelope(Kind.TRUST, b"payload", many)
    assert len(Envelope.from_bytes(full.to_bytes()).signatures) == MOST_SIGNATURES
    with pytest.raises(UsageError, match="at most 64 signatures"):
        full.signed(key).to_bytes()


def test_files_that_could_not_be_read_again_are_not_made(key: Signer, tmp_path: Path) -> None:
    full = TrustFile(1, LATEST_TIME, (Publisher(key.public_key, ("*",)),) * MOST_PUBLISHERS)
    another = public_key.load(create_signing_key(tmp_path / "another.pem"))
    with pytest.raises(UsageError, match="at most 1024 publishers"):
        with_publisher(full, another, ("*",))
    with pytest.raises(UsageError, match="at most"):
        with_revoked(full, bundles=(number.to_bytes(16, "big") for number in range(MOST_REVOKED + 1)))
    with pytest.raises(UsageError, match="between 1970 and 9999"):
        following(full, LATEST_TIME + 1)
    with pytest.raises(UsageError, match="numbered from 1"):
        first(0, 5)
