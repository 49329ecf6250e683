"""Policies of what a device must prove, in Python and as files."""

from __future__ import annotations

import pytest

from modelkeep.errors import PostureError, UnsupportedVersionError, UsageError
from modelkeep.posture import policy_file
from modelkeep.posture.finding import Finding, FindingValue, claimed, proven
from modelkeep.posture.policy import (
    AllOf,
    AnyOf,
    Claim,
    MaximumAge,
    Policy,
    Prove,
    ProveAtLeast,
    UnsafeNoPolicy,
)
from modelkeep.posture.verdict import Facts, Verdict

FRONT = 'format = "modelkeep/posture-policy"\nversion = 1\n'


def facts(*findings: Finding, age: int | None = 0) -> Facts:
    return Facts.of(findings, age)


@pytest.mark.parametrize(
    ("found", "wanted", "accepted"),
    [
        (True, (), True),
        (False, (), False),
        (False, (False,), True),
        (True, (1,), False),
        (1, (True,), False),
        (0, (False,), False),
        ("tee", ("tee", "strongbox"), True),
        ("software", ("tee", "strongbox"), False),
        (("a", "b"), ("a", "b", "c"), True),
        (("a", "x"), ("a", "b"), False),
        ((), ("a",), False),
    ],
)
def test_values_are_compared_as_what_they_are(
    found: FindingValue, wanted: tuple[FindingValue, ...], accepted: bool
) -> None:
    for rule in (Prove("name", wanted), Claim("name", wanted)):
        if accepted:
            rule(facts(proven("name", found)))
        else:
            with pytest.raises(PostureError):
                rule(facts(proven("name", found)))


def test_a_claim_is_no_proof_and_a_proof_is_a_claim() -> None:
    with pytest.raises(PostureError, match="only claimed: not quoted"):
        Prove("pcr-7")(facts(claimed("pcr-7", "00", "not quoted")))
    with pytest.raises(PostureError, match="not shown"):
        Prove("pcr-7")(facts())
    Claim("pcr-7")(facts(proven("pcr-7", "00")))


def test_what_is_proven_counts_before_what_is_claimed() -> None:
    for findings in ((proven("a", "x"), claimed("a", "y")), (claimed("a", "y"), proven("a", "x"))):
        Prove("a", ("x",))(facts(*findings))


def test_numbers_have_a_lowest() -> None:
    rule = ProveAtLeast("os-patch-level", 202605)
    rule(facts(proven("os-patch-level", 202605)))
    for value in (202604, True, "202612"):
        with pytest.raises(PostureError):
            rule(facts(proven("os-patch-level", value)))


def test_every_reason_is_named() -> None:
    both = AllOf(Prove("a"), AnyOf(Prove("b"), Prove("c")))
    with pytest.raises(
        PostureError, match=r"a is not shown; no alternative .* b is not shown \| c is not shown"
    ):
        both(facts())
    both(facts(proven("a", True), proven("c", True)))
    UnsafeNoPolicy()(facts())
    for combination in (AllOf, AnyOf):
        with pytest.raises(UsageError):
            combination()


def test_answers_to_no_question_are_not_fresh() -> None:
    with pytest.raises(PostureError, match="no question"):
        MaximumAge(10)(facts(age=None))


def test_a_verdict_says_all_there_is_to_say() -> None:
    verdict = Verdict(b"\4", "tpm:00", (proven("signers", ("a",)),), 3, ("one", "two"))
    with pytest.raises(PostureError, match="one; two"):
        verdict.require()
    assert verdict.to_json() == {
        "accepted": False,
        "device_key": "04",
        "hardware": "tpm:00",
        "age": 3,
        "refusals": ["one", "two"],
        "findings": [{"name": "signers", "value": ["a"], "standing": "proven", "why": ""}],
    }
    assert str(verdict.findings[0]) == "signers = a (proven)"


def read(text: str) -> Policy:
    return policy_file.parse((FRONT + text).encode())


def test_a_file_is_read() -> None:
    policy = read(
        "maximum-age = 60\n"
        '[prove]\nkey-protection = ["tpm", "tee"]\nos-patch-level = { minimum = 202605 }\n'
        '[claim]\napplication = "com.acme.sensor"\n'
        '[[any]]\nprove = { secure-boot = true }\n[[any]]\nprove = { boot-state = "verified" }\n'
    )
    good = (
        proven("key-protection", "tee"),
        proven("os-patch-level", 202605),
        claimed("application", ("com.acme.sensor",)),
        proven("boot-state", "verified"),
    )
    policy(facts(*good, age=60))
    with pytest.raises(PostureError):
        policy(facts(*good, age=61))
    for place in range(len(good)):
        with pytest.raises(PostureError):
            policy(facts(*good[:place], *good[place + 1 :], age=60))


def test_answers_are_fresh_without_being_told() -> None:
    policy = read("[prove]\nsecure-boot = true\n")
    policy(facts(proven("secure-boot", True), age=policy_file.DEFAULT_AGE))
    with pytest.raises(PostureError):
        policy(facts(proven("secure-boot", True), age=policy_file.DEFAULT_AGE + 1))


@pytest.mark.parametrize(
    "text",
    [
        "",  # asks for nothing
        "[prove]\n",
        "[[any]]\n",
        "[prove]\nsecure-boot = 1.5\n",
        "[prove]\nsecure-boot = []\n",
        "[prove]\nSecure = true\n",
        "[prove]\npatch = { minimum = 1, maximum = 2 }\n",
        "[prove]\npatch = { minimum = true }\n",
        "[claim]\npatch = { minimum = 1 }\n",
        "[demand]\nsecure-boot = true\n",
        "maximum-age = 0\n[prove]\nsecure-boot = true\n",
        "any = 3\n",
        "= =",
        "a = " + "[" * 5000,
        "# " + "x" * 70_000,
    ],
)
def test_files_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read(text)


def test_files_of_others_and_of_tomorrow_are_refused() -> None:
    with pytest.raises(UsageError, match="format"):
        policy_file.parse(b'format = "x"\nversion = 1\n')
    with pytest.raises(UnsupportedVersionError):
        policy_file.parse(b'format = "modelkeep/posture-policy"\nversion = 2\n')
    with pytest.raises(UsageError):
        policy_file.parse(b"\xff")
