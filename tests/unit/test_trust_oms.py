from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.trust import oms
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement

STATEMENT = Statement("model", {"manifest.json": bytes(range(32))}, ("model.sig",))
SIGNER = Signer(ec.generate_private_key(ec.SECP256R1()))

Json = dict[str, Any]


def document() -> Json:
    parsed = json.loads(oms.sign(STATEMENT, SIGNER))
    assert isinstance(parsed, dict)
    return parsed


def parse(value: Json) -> oms.OmsBundle:
    return oms.parse(json.dumps(value).encode())


class FaultySigner:
    """A signer whose signatures are for something else."""

    public_key = SIGNER.public_key
    certificates: tuple[x509.Certificate, ...] = ()

    def sign(self, message: bytes) -> bytes:
        return SIGNER.sign(message + b"!")


def test_signed_document_is_taken_apart_again() -> None:
    bundle = oms.parse(oms.sign(STATEMENT, SIGNER))
    assert bundle.payload == STATEMENT.to_bytes()
    assert bundle.hint == public_key.fingerprint(SIGNER.public_key)
    assert bundle.certificates == ()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_size_is_known_before_signing(curve: ec.EllipticCurve) -> None:
    signer = Signer(ec.generate_private_key(curve))
    placeholder = Statement("model", {"manifest.json": bytes(32)}, ("model.sig",))
    size = oms.signature_size(placeholder, signer)
    for _ in range(20):
        signed = oms.sign(STATEMENT, signer)
        assert size - 16 <= len(signed) <= size
        padded = oms.pad(signed, size)
        assert len(padded) == size
        assert oms.parse(padded) == oms.parse(signed)


def test_faulty_signer_is_noticed_when_signing() -> None:
    with pytest.raises(SignatureError, match="does not verify"):
        oms.sign(STATEMENT, FaultySigner())


@pytest.mark.parametrize("key", [{}, {"hint": None}, {"hint": ""}, {"rawBytes": "AAAA", "keyDetails": "x"}])
def test_missing_hint_is_none(key: Json) -> None:
    value = document()
    value["verificationMaterial"]["publicKey"] = key
    assert parse(value).hint is None


def test_log_entries_and_timestamps_are_skipped() -> None:
    value = document()
    without = parse(value)
    value["verificationMaterial"]["tlogEntries"] = [{"logIndex": "1", "anything": [1]}]
    value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}
    assert parse(value) == without


def test_keyid_may_be_absent() -> None:
    value = document()
    del value["dsseEnvelope"]["signatures"][0]["keyid"]
    assert parse(value).payload == STATEMENT.to_bytes()


def test_sigstore_identity_is_told_from_a_key_and_not_believed() -> None:
    value = document()
    value["verificationMaterial"] = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": []}
    parsed = parse(value)
    assert (parsed.by_identity, parsed.hint, parsed.certificates) == (True, None, ())


def test_document_without_signature_is_refused() -> None:
    value = document()
    value["dsseEnvelope"]["signatures"] = []
    with pytest.raises(SignatureError, match="holds no signature"):
        parse(value)


def material(new: Json) -> Callable[[Json], None]:
    return lambda value: value.update(verificationMaterial=new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda value: value.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"),
            "mediaType",
        ),
        (lambda value: value["dsseEnvelope"].update(payloadType="text/plain"), "payloadType"),
        (lambda value: value["dsseEnvelope"].update(payload="A"), "not base64"),
        (lambda value: value["dsseEnvelope"]["signatures"].append({"sig": "AAAA"}), "more than 1 item"),
        (lambda value: value["dsseEnvelope"]["signatures"][0].update(sig="A" * 2000), "sig"),
        (lambda value: value.pop("dsseEnvelope"), "dsseEnvelope"),
        (lambda value: value.update(messageSignature={}), "messageSignature"),
        (material({"tlogEntries": []}), "publicKey"),
        (material({"publicKey": {"hint": 1}}), "hint"),
        (material({"publicKey": {"hint": "\x1b[2J"}}), "hint"),
        (material({"publicKey": {}, "x509CertificateChain": {"certificates": []}}), "empty"),
        (material({"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}] * 17}}), "more than 16"),
        (material({"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}), "not an X.509"),
    ],
)
def test_broken_structure_is_refused(change: Callable[[Json], None], message: str) -> None:
    value = document()
    change(value)
    with pytest.raises(MalformedError, match=message):
        parse(value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{", b"\xff\xfe"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        oms.parse(data)


def test_oversized_document_is_refused() -> None:
    with pytest.raises(MalformedError, match="8 MiB"):
        oms.parse(bytes(oms.LARGEST_DOCUMENT + 1))


def test_a_timestamp_and_an_unknown_curve_have_no_room_that_was_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = oms.signature_size(STATEMENT, SIGNER)
    monkeypatch.setattr(oms, "LARGEST_TIMESTAMP", 300)
    assert oms.signature_size(STATEMENT, SIGNER) == size
    assert oms.signature_size(STATEMENT, SIGNER, stamped=True) > size + 400
    other = ec.generate_private_key(ec.SECP256K1()).public_key()
    odd: Any = SimpleNamespace(public_key=other, certificates=())
    with pytest.raises(UsageError):
        oms.signature_size(STATEMENT, odd)
    with pytest.raises(UsageError, match="reserved"):
        oms.pad(b"12345", 4)
    assert (oms.pad(b"12345", 5), oms.pad(b"12345", 7)) == (b"12345", b"12345  ")
