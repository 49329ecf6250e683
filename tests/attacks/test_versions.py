"""Documents from the future, the past and the imagination, honestly signed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.errors import KeepError, MalformedError, TamperedError, UnsupportedVersionError
from modelkeep.grants.grant import Grant
from support.attacker import STREAM_HEADER, Forgery, StreamKey, stolen_data_key
from support.workshop import Workshop


def _signed_manifest(workshop: Workshop, **members: Any) -> Forgery:
    forgery = Forgery(workshop.seal())
    forgery.edit_manifest(**members)
    forgery.sign(workshop.signer)
    return forgery


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"version": 2}, UnsupportedVersionError),
        ({"version": 0}, UnsupportedVersionError),
        ({"version": True}, MalformedError),
        ({"version": "1"}, MalformedError),
        ({"format": "modelkeep/bundle2"}, MalformedError),
        ({"format": "modelkeep/inner"}, MalformedError),
        ({"unknown": 1}, MalformedError),
        ({"ext": []}, MalformedError),
        ({"suite": "AES256_CTR"}, MalformedError),
        ({"suite": "AES128_GCM_HKDF_4KB"}, MalformedError),
        ({"suite": 1}, MalformedError),
        ({"leaf": "md5"}, MalformedError),
        ({"digest": "none"}, MalformedError),
        ({"grant_issuers": []}, MalformedError),
    ],
    ids=str,
)
def test_a_manifest_of_another_kind_is_refused(
    workshop: Workshop, members: dict[str, Any], refusal: type[KeepError]
) -> None:
    bundle = _signed_manifest(workshop, **members).write(workshop.folder / "odd.keep")
    with pytest.raises(refusal):
        workshop.open(bundle)


@pytest.mark.parametrize("spelling", ["space", "order", "duplicate", "float", "byte-order-mark"])
def test_a_manifest_in_another_spelling_is_refused(workshop: Workshop, spelling: str) -> None:
    forgery = Forgery(workshop.seal())
    text = bytes(forgery.files["manifest.json"])
    members = json.loads(text)
    forgery.files["manifest.json"] = bytearray(
        {
            "space": text.replace(b":", b": "),
            "order": json.dumps(dict(reversed(members.items())), separators=(",", ":")).encode(),
            "duplicate": text.replace(b'"epoch":1', b'"epoch":9,"epoch":1'),
            "float": text.replace(b'"epoch":1', b'"epoch":1.0'),
            "byte-order-mark": b"\xef\xbb\xbf" + text,
        }[spelling]
    )
    assert forgery.files["manifest.json"] != text
    forgery.sign(workshop.signer)
    with pytest.raises(MalformedError):
        workshop.open(forgery.write(workshop.folder / "odd.keep"))


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"version": 2}, UnsupportedVersionError),
        ({"unknown": 1}, MalformedError),
        ({"format": "modelkeep/bundle"}, MalformedError),
        ({"entry": "absent.onnx"}, MalformedError),
        ({"files": []}, MalformedError),
    ],
    ids=str,
)
def test_an_inner_manifest_of_another_kind_is_refused(
    workshop: Workshop, members: dict[str, Any], refusal: type[KeepError]
) -> None:
    bundle = workshop.seal()
    data_key = stolen_data_key(bundle, workshop.identity(), workshop.verifier())
    forgery = Forgery(bundle)
    key = StreamKey.derive(data_key, forgery, 0)
    payload = forgery.files["payload/0"]
    inner = json.loads(key.decrypt(0, bytes(payload[STREAM_HEADER:]), last=True))
    changed = canonical.encode(inner | members)
    payload[STREAM_HEADER:] = key.encrypt(0, changed, last=True)
    forgery.edit_member(0, size=len(changed))
    forgery.recompute_leaves(0)
    forgery.sign(workshop.signer)
    with pytest.raises(refusal):
        workshop.open(forgery.write(workshop.folder / "odd.keep"))


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"version": 2}, UnsupportedVersionError),
        ({"unknown": 1}, MalformedError),
        ({"constraints": {"only_on_sundays": True}}, UnsupportedVersionError),
        ({"constraints": {"not_after": 2**60}}, MalformedError),
        ({"constraints": {"delegate": False}}, MalformedError),
        ({"constraints": None}, MalformedError),
    ],
    ids=str,
)
def test_a_grant_of_another_kind_is_refused(
    workshop: Workshop, members: dict[str, Any], refusal: type[KeepError]
) -> None:
    grant = json.loads(Forgery(workshop.seal()).files["grants/0"])
    header = json.loads(base64.b64decode(grant["header"]))
    # As text, since some of these values are beyond what the project's own encoder writes.
    text = json.dumps(header | members, separators=(",", ":"), sort_keys=True)
    grant["header"] = base64.b64encode(text.encode()).decode()
    with pytest.raises(refusal):
        Grant.from_bytes(canonical.encode(grant))


@pytest.mark.parametrize("member", ["unknown", "issuer", "signature"])
def test_a_grant_with_members_that_do_not_belong_is_refused(workshop: Workshop, member: str) -> None:
    grant = json.loads(Forgery(workshop.seal()).files["grants/0"])
    with pytest.raises(MalformedError):
        Grant.from_bytes(canonical.encode(grant | {member: "00" * 32}))


def test_a_stream_of_one_suite_under_the_name_of_the_other_does_not_open(workshop: Workshop) -> None:
    bundle = _signed_manifest(workshop, suite="CHACHA20_POLY1305_HKDF_1MB")
    with pytest.raises(TamperedError, match="segment 0 does not decrypt"):
        workshop.open(bundle.write(workshop.folder / "odd.keep"))


def test_a_leaf_list_of_one_hash_under_the_name_of_the_other_is_refused(workshop: Workshop) -> None:
    bundle = _signed_manifest(workshop, leaf="sha256")
    with pytest.raises(TamperedError, match="leaves/0"):
        workshop.open(bundle.write(workshop.folder / "odd.keep"))
