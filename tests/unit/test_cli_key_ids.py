"""Has this device a grant? By its public line, of one device and of many."""

from __future__ import annotations

from support.command_line import CommandLine


def test_who_has_no_grant_is_named(shop: CommandLine) -> None:
    lines = [(shop.folder / name).read_text() for name in ("pi-17.pub", "pi-18.pub")]
    (shop.folder / "fleet.txt").write_text("".join(lines))
    result = shop.shell("modelkeep keys id fleet.txt --bundle model.keep")
    assert result.code == 4
    assert [line.split()[1:] for line in result.out.splitlines()] == [
        ["granted", "pi-17"],
        ["no", "grant", "pi-18"],
    ]
    assert "1 recipient without a grant: pi-18" in result.err
    shop.ok("modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r pi-18.pub -o later.grants")
    assert shop.ok("modelkeep keys id pi-18.pub --bundle model.keep --grant later.grants").out
    assert shop.shell("modelkeep keys id pi-17.pub --bundle model.keep --grant later.grants").code == 4


def test_ids_are_those_that_inspect_shows(shop: CommandLine) -> None:
    (key,) = shop.ok("modelkeep keys id file:pi-17.pem --bundle model.keep --json").json["keys"]
    shown = [each["key_id"] for each in shop.ok("modelkeep inspect model.keep --json").json["grants"]]
    assert key["granted"]
    assert key["key_id"] in shown


def test_a_passphrase_has_no_id_of_its_own(shop: CommandLine) -> None:
    (shop.folder / "word").touch(0o600)
    (shop.folder / "word").write_text("correct horse battery staple")
    result = shop.shell("modelkeep keys id 'passphrase:?file=word' --bundle model.keep")
    assert (result.code, "another id in every grant" in result.err) == (2, True)


def test_many_grants_are_counted_by_their_terms(shop: CommandLine) -> None:
    lines = (
        shop.ok(f"modelkeep keys create {number}.pem --device-id pi-{100 + number}").out
        for number in range(20)
    )
    (shop.folder / "fleet.txt").write_text("".join(lines))
    shop.ok(
        "modelkeep grant model.keep -k file:admin.pem -t publisher.pub -r fleet.txt --not-after 2099-01-01"
    )
    shown = [
        each for each in shop.ok("modelkeep inspect model.keep").out.splitlines() if each.startswith("grant ")
    ]
    assert shown == [
        "grant        20 of hpke-p256  not_after 2099-01-01T00:00:00Z",
        "grant        1 of hpke-p256",
        "grant        1 of hpke-p256  delegate True",
    ]
