"""What `modelkeep evidence` says was shown is what was checked, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from modelkeep.assurance.assessment import assess
from modelkeep.assurance.device_facts import isolation_fact, key_facts
from modelkeep.assurance.examination import examine_bundle, examine_opened
from modelkeep.assurance.fact import Fact, Standing, advisory, not_shown, quoted, verified
from modelkeep.assurance.page import escaped
from modelkeep.assurance.standards import REQUIREMENTS
from modelkeep.bundle.access import Access
from modelkeep.clock import LATEST_TIME
from modelkeep.isolation import Hardening
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.trust.verifier import Verifier
from support.command_line import CommandLine
from support.workshop import MODEL_ID, Workshop

# What a machine has or has not; each is a fact in any case.
OF_THE_MACHINE = {"secure-boot", "measured-boot", "root-verity", "ptrace-limited", "no-swap", "no-core-dumps"}


def shown(facts: tuple[Fact, ...]) -> set[str]:
    return {fact.name for fact in facts if fact.standing is Standing.VERIFIED}


def opened(workshop: Workshop, path: Path, verifier: Verifier | UnsafeUnsigned) -> tuple[Fact, ...]:
    with Access(f"file:{workshop.device}", verifier) as access:
        return examine_opened(path, access, f"file:{workshop.device}")


def test_without_a_key_nothing_is_known_of_the_inside(workshop: Workshop) -> None:
    facts = examine_bundle(workshop.seal(), workshop.verifier())
    assert shown(facts) == {"signature", "digests"}


def test_with_a_key_grant_contents_and_state_are_shown(workshop: Workshop, command: CommandLine) -> None:
    bundle, trust = workshop.seal(), workshop.signed(_trust(workshop))
    verifier = Verifier.from_trust_file(trust, model=MODEL_ID)
    facts = opened(workshop, bundle, verifier)
    assert shown(facts) == {
        "signature", "digests", "trust-file", "encrypted", "algorithms", "contract", "device-key",
    }  # fmt: skip
    command.ok(
        f"modelkeep install {bundle} -k file:{workshop.device} -t {workshop.folder}/publisher.pub"
        f" --any-model -o installed.keep"
    )
    installed = opened(workshop, command.folder / "installed.keep", workshop.verifier())
    assert {"installed", "floor", "digests"} <= shown(installed)
    names = {fact.name for fact in installed}
    assert {name for each in REQUIREMENTS for name in each.facts} <= names | OF_THE_MACHINE
    assert not OF_THE_MACHINE & shown(installed)


def _trust(workshop: Workshop) -> TrustFile:
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    return TrustFile(1, LATEST_TIME, (Publisher(workshop.signer.public_key, (MODEL_ID,)),))


def test_what_nobody_checked_is_not_shown(workshop: Workshop) -> None:
    facts = opened(workshop, workshop.seal(signer=None, unsafe_unsigned=True), UnsafeUnsigned())
    assert not {"signature", "digests", "trust-file"} & shown(facts)
    assert "device-key" in shown(facts)


def test_every_standard_is_named_with_its_edition() -> None:
    assert all(re.search(r"\d\.\d|\d/\d", each.standard) for each in REQUIREMENTS)


def test_a_row_is_no_stronger_than_its_weakest_fact() -> None:
    def standing(number: str, *facts: Fact) -> str:
        return next(row for row in assess(facts) if row.requirement.number == number).standing

    signed, whole = verified("signature", ""), verified("digests", "")
    assert standing("4.3.2", signed, whole, verified("device-key", "")) == "shown"
    assert standing("4.3.2", signed, whole) == "partly"
    assert standing("4.3.2", signed) == "partly"
    assert standing("4.3.2", signed, not_shown("digests", "")) == "partly"
    assert standing("4.3.2") == "not shown"
    assert standing("4.3.4", advisory("key-hardware", "")) == "advisory"
    assert standing("4.3.1", verified("device-key", "")) == "partly"
    assert standing("II (1)", signed, whole) == "not shown"


def test_hardware_is_what_the_store_says_and_isolation_is_whole_or_not_shown() -> None:
    (tpm,) = key_facts({"level": "TPM", "protection": "the TPM"})
    (file,) = key_facts({"level": "software", "protection": "file permissions"})
    (silent,) = key_facts(None)
    assert [each.standing for each in (tpm, file, silent)] == [
        Standing.ADVISORY, Standing.NOT_SHOWN, Standing.NOT_SHOWN,
    ]  # fmt: skip
    assert isolation_fact(Hardening(("no sockets",), ())).standing is Standing.VERIFIED
    assert isolation_fact(Hardening(("no sockets",), ("no Landlock",))).standing is Standing.NOT_SHOWN


@pytest.mark.parametrize(
    "hostile",
    [
        "a | b",
        "<b>x</b>",
        "`x`",
        "**x**",
        "[a](b)",
        "# x",
        "_x_",
        "~~x~~",
        "https://a.b",
        "www.a.b",
        "a@b.c",
        "&lt;",
    ],
)
def test_no_text_is_markup(hostile: str) -> None:
    found = escaped(quoted(f"{hostile}\n{hostile}"))
    assert not set(found) & set("|<>`*[]@~!\n")
    assert "//" not in found or "://" not in found
    assert "www." not in found
    assert not found.startswith("#")


def test_the_command_gives_one_result_in_two_forms(shop: CommandLine) -> None:
    line = "modelkeep evidence model.keep -k file:pi-17.pem -t publisher.pub"
    facts = shop.ok(f"{line} --json").json
    assert facts["verified"] and facts["reason"] is None
    shop.ok(f"{line} -o evidence.md")
    page = Path("evidence.md").read_text()
    for row in facts["requirements"]:
        assert f"| {row['number']} | {row['about']} | {row['standing']} |" in page
    assert shop.shell(f"{line} -o evidence.md").code == 2
    assert shop.shell("modelkeep evidence model.keep -t publisher.pub --isolated").code == 2
    assert json.loads(json.dumps(facts)) == facts


def test_a_hardened_process_is_tried_where_that_is_asked_for(shop: CommandLine) -> None:
    line = "modelkeep evidence model.keep -k file:pi-17.pem -t publisher.pub --isolated --json"
    (isolation,) = (fact for fact in shop.ok(line).json["facts"] if fact["name"] == "isolation")
    assert isolation["standing"] == "verified" or "process of its own" in isolation["text"]
