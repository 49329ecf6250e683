from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.trust.statement import Statement

RESOURCES = {
    name: hashlib.sha256(name.encode()).digest() for name in ("sub.x", "sub/b", "a", "sub/10", "sub/9")
}
STATEMENT = Statement("model", RESOURCES, ("model.sig",))

Json = dict[str, Any]


def document() -> Json:
    parsed = json.loads(STATEMENT.to_bytes())
    assert isinstance(parsed, dict)
    return parsed


def reroot(value: Json) -> None:
    digests = b"".join(bytes.fromhex(item["digest"]) for item in value["predicate"]["resources"])
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()


def test_statement_survives_the_round_trip() -> None:
    assert Statement.from_bytes(STATEMENT.to_bytes()) == STATEMENT


def test_layout_of_the_json_does_not_matter() -> None:
    assert Statement.from_bytes(json.dumps(document(), indent=2).encode()) == STATEMENT


def test_resources_are_ordered_part_by_part() -> None:
    names = [item["name"] for item in document()["predicate"]["resources"]]
    assert names == ["a", "sub/10", "sub/9", "sub/b", "sub.x"]


def test_root_digest_covers_the_digests_in_order() -> None:
    digests = b"".join(RESOURCES[name] for name in ("a", "sub/10", "sub/9", "sub/b", "sub.x"))
    assert document()["subject"][0]["digest"] == {"sha256": hashlib.sha256(digests).hexdigest()}


def test_length_does_not_depend_on_the_digests() -> None:
    placeholder = Statement("model", dict.fromkeys(RESOURCES, bytes(32)), ("model.sig",))
    assert len(placeholder.to_bytes()) == len(STATEMENT.to_bytes())


def test_no_ignore_paths_are_left_out() -> None:
    plain = Statement("model", RESOURCES)
    assert b"ignore_paths" not in plain.to_bytes()
    assert Statement.from_bytes(plain.to_bytes()) == plain


def test_digest_of_wrong_length_is_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        Statement("model", {"a": bytes(31)}).to_bytes()


@pytest.mark.parametrize(
    ("member", "value"),
    [("_type", "https://in-toto.io/Statement/v0.1"), ("predicateType", "https://slsa.dev/provenance/v1")],
)
def test_other_kinds_of_statement_are_refused(member: str, value: str) -> None:
    with pytest.raises(SignatureError, match="another kind of document"):
        Statement.from_bytes(json.dumps(document() | {member: value}).encode())


def swap_first_two(value: Json) -> None:
    items = value["predicate"]["resources"]
    items[0], items[1] = items[1], items[0]
    reroot(value)


def repeat_first(value: Json) -> None:
    items = value["predicate"]["resources"]
    items.insert(0, copy.deepcopy(items[0]))
    reroot(value)


def set_serialization(name: str, new: object) -> Callable[[Json], None]:
    return lambda value: value["predicate"]["serialization"].update({name: new})


def set_resource(name: str, new: object) -> Callable[[Json], None]:
    return lambda value: value["predicate"]["resources"][0].update({name: new})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["subject"].append(value["subject"][0]), "exactly one subject"),
        (lambda value: value["subject"].clear(), "exactly one subject"),
        (lambda value: value["subject"][0]["digest"].update(sha512="00"), "sha512"),
        (lambda value: value["subject"][0]["digest"].update(sha256="00" * 32), "root digest"),
        (set_serialization("method", "shards"), "method"),
        (set_serialization("hash_type", "blake3"), "hash_type"),
        (set_serialization("allow_symlinks", True), "allow_symlinks"),
        (set_serialization("allow_symlinks", "false"), "allow_symlinks"),
        (set_serialization("ignore_paths", [1]), "ignore_paths"),
        (set_serialization("shard_size", 1), "shard_size"),
        (set_resource("algorithm", "blake3"), "algorithm"),
        (set_resource("digest", "00" * 31), "digest"),
        (set_resource("digest", "AA" * 32), "digest"),
        (set_resource("mode", "x"), "mode"),
        (swap_first_two, "in order"),
        (repeat_first, "once"),
        (lambda value: value["predicate"].update(extra=1), "extra"),
        (lambda value: value.update(extra=1), "extra"),
    ],
)
def test_broken_structure_is_refused(change: Callable[[Json], None], message: str) -> None:
    value = document()
    change(value)
    with pytest.raises(MalformedError, match=message):
        Statement.from_bytes(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b"\xff", b'{"_type":1}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Statement.from_bytes(data)
