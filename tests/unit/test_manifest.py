"""The manifest: its bytes and its meaning are one to one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.manifest import (
    LARGEST_MANIFEST,
    LARGEST_MEMBER,
    Coverage,
    LeafAlgorithm,
    Manifest,
    Member,
    Suite,
    check_model_id,
)
from modelkeep.payload.layout import segment_count

MANIFEST = Manifest(
    model="acme/detector",
    bundle=bytes(range(16)),
    epoch=3,
    sealed_at=1_800_000_000,
    family="vision",
    release="1.2.3",
    suite=Suite.CHACHA20_POLY1305_HKDF_1MB,
    commitment=bytes(32),
    leaf_algorithm=LeafAlgorithm.SHA256,
    coverage=Coverage.LEAVES,
    members=(Member(100, b"\1" * 32), Member(0, b"\2" * 32)),
    grant_issuers=(b"\x30\x59",),
    upstream="acme",
)


def changed(**changes: Any) -> bytes:
    """Returns the manifest with members replaced, or removed where the value is ..."""
    value = canonical.decode(MANIFEST.to_bytes(), "test") | changes
    return canonical.encode({name: item for name, item in value.items() if item is not ...})


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        replace(MANIFEST, grant_issuers=(), upstream=""),
        replace(MANIFEST, family="", release="ü😀", epoch=2**53 - 1, sealed_at=0),
        replace(MANIFEST, suite=Suite.AES256_GCM_HKDF_1MB, leaf_algorithm=LeafAlgorithm.BLAKE3),
        replace(MANIFEST, members=(Member(0, bytes(32)), Member(LARGEST_MEMBER, bytes(32)))),
    ],
)
def test_parsing_undoes_writing(manifest: Manifest) -> None:
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_ext_is_left_to_others() -> None:
    assert Manifest.from_bytes(changed(ext={"vendor": [1]})) == MANIFEST
    members = [{"ext": {}, "leaves": "01" * 32, "size": 1}] * 2
    assert len(Manifest.from_bytes(changed(members=members)).members) == 2


REQUIRED = sorted(canonical.decode(MANIFEST.to_bytes(), "test").keys() - {"grant_issuers", "upstream"})


@pytest.mark.parametrize("name", REQUIRED)
def test_every_member_is_required(name: str) -> None:
    with pytest.raises(MalformedError, match=f"member '{name}' is missing"):
        Manifest.from_bytes(changed(**{name: ...}))


@pytest.mark.parametrize("name", canonical.decode(MANIFEST.to_bytes(), "test"))
@pytest.mark.parametrize("value", [None, True, {}, -1, [0]])
def test_every_member_has_its_type(name: str, value: object) -> None:
    with pytest.raises(MalformedError):
        Manifest.from_bytes(changed(**{name: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"ext": 1},
        {"format": "modelkeep/other"},
        {"suite": "AES128"},
        {"leaf": "md5"},
        {"digest": "none"},
        {"bundle": "00" * 15},
        {"bundle": "0A" * 16},
        {"commitment": "00" * 33},
        {"model": "acme/../detector"},
        {"model": ""},
        {"model": "a" * 1025},
        {"family": "x" * 1025},
        {"release": "x" * 257},
        {"epoch": "1"},
        {"members": []},
        {"members": [{"size": 1, "leaves": "00" * 32}]},
        {"members": [{"size": 1, "leaves": "00" * 32}] * 65_538},
        {"members": [{"size": 1, "leaves": "00" * 32}, 1]},
        {"members": [{"size": 1, "leaves": "00" * 32}, {"size": 1}]},
        {"members": [{"size": 1, "leaves": "00" * 32}, {"size": 1, "leaves": "00" * 32, "name": "x"}]},
        {"members": [{"size": 1, "leaves": "00" * 32}, {"size": LARGEST_MEMBER + 1, "leaves": "00" * 32}]},
        {"grant_issuers": []},
        {"upstream": ""},
        {"upstream": 1},
        {"upstream": "x" * 1025},
        {"grant_issuers": ["00"] * 65},
        {"grant_issuers": ["AB"]},
        {"grant_issuers": ["a b0"]},
        {"grant_issuers": ["xy"]},
        {"grant_issuers": ["00" * 513]},
        {"grant_issuers": [1]},
    ],
)
def test_refuses_what_is_not_a_manifest(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        Manifest.from_bytes(changed(**changes))
    assert not isinstance(caught.value, UnsupportedVersionError)


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_is_told_apart(version: int) -> None:
    with pytest.raises(UnsupportedVersionError, match=str(version)) as caught:
        Manifest.from_bytes(changed(version=version, novelty={}))
    assert caught.value.hint == "update modelkeep"


def test_refuses_another_layout_of_the_same_content() -> None:
    with pytest.raises(MalformedError, match="canonical"):
        Manifest.from_bytes(MANIFEST.to_bytes() + b"\n")


def test_families_and_releases_are_so_long_at_most() -> None:
    for name, longest in (("family", 1024), ("release", 256)):
        Manifest.from_bytes(changed(**{name: "n" * longest}))
        with pytest.raises(MalformedError, match=f"member '{name}' is longer"):
            Manifest.from_bytes(changed(**{name: "n" * (longest + 1)}))


def test_reads_and_writes_at_most_one_mebibyte() -> None:
    with pytest.raises(MalformedError, match="1 MiB"):
        Manifest.from_bytes(bytes(LARGEST_MANIFEST + 1))
    many = replace(MANIFEST, members=(Member(1, bytes(32)),) * 20_000)
    with pytest.raises(UsageError, match="too many files"):
        many.to_bytes()


def test_the_largest_member_has_a_segment_number_of_four_bytes() -> None:
    assert segment_count(LARGEST_MEMBER) == 2**32 - 1
    assert segment_count(LARGEST_MEMBER + 1) == 2**32


@pytest.mark.parametrize("model", ["a", "acme/detector", "A0._-/b", "/".join("abcdefgh"), "x" * 128])
def test_model_ids(model: str) -> None:
    assert check_model_id(model) == model


@pytest.mark.parametrize(
    "model",
    ["", "/a", "a/", "a//b", ".a", "a/.b", "a b", "ä", "a\n", "x" * 129, "/".join("abcdefghi"), 1, None],
)
def test_refuses_what_is_no_model_id(model: Any) -> None:
    with pytest.raises(UsageError, match="not a model id"):
        check_model_id(model)
