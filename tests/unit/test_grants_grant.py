import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from modelkeep import canonical, dsse
from modelkeep.errors import MalformedError, SignatureError, UnsupportedVersionError, UntrustedSignerError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.grant import LARGEST_GRANT, PAYLOAD_TYPE, Grant, standing_alone
from modelkeep.grants.header import GrantHeader, ScryptCost, key_id

BUNDLE = bytes(range(16))


def header_members(**changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "bundle": BUNDLE.hex(),
        "constraints": {},
        "key_id": "ab" * 16,
        "type": "hpke-p256",
        "version": 1,
    }
    members |= changes
    return {name: value for name, value in members.items() if value is not None}


def scrypt_members(**changes: Any) -> dict[str, Any]:
    return header_members(
        type="passphrase", scrypt={"log_n": 17, "p": 1, "r": 8, "salt": "cd" * 16} | changes
    )


def encoded(header: dict[str, Any], **members: Any) -> bytes:
    wire = {"header": base64.b64encode(canonical.encode(header)).decode(), "wrapped": "AAAA"}
    return canonical.encode(wire | members)


def grant_of(kind: str) -> Grant:
    cost = ScryptCost(bytes(16), 14) if kind == "passphrase" else None
    header = GrantHeader(BUNDLE, kind, bytes(16), scrypt=cost)
    return Grant(header, header.to_bytes(), b"wrapped")


class Signer:
    def __init__(self, curve: ec.EllipticCurve | None = None) -> None:
        self._key = ec.generate_private_key(curve or ec.SECP256R1())
        self.public_key = self._key.public_key()
        self.der = self.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, dsse.ecdsa_for(self.public_key))


def test_header_bytes_are_exact() -> None:
    header = GrantHeader(BUNDLE, "hpke-p256", b"\xab" * 16, Constraints(not_after=9))
    assert header.to_bytes() == (
        b'{"bundle":"000102030405060708090a0b0c0d0e0f","constraints":{"not_after":9},'
        b'"key_id":"abababababababababababababababab","type":"hpke-p256","version":1}'
    )
    assert GrantHeader.from_bytes(header.to_bytes()) == header


def test_passphrase_header_carries_its_cost() -> None:
    header = GrantHeader.from_bytes(canonical.encode(scrypt_members()))
    assert header.scrypt == ScryptCost(b"\xcd" * 16, 17)
    assert header.to_bytes() == canonical.encode(scrypt_members())


def test_key_id_is_a_truncated_hmac_under_the_bundle() -> None:
    message = b"modelkeep/v1/key-id\x00fleet\x00value"
    assert key_id(BUNDLE, "fleet", b"value") == hmac.digest(BUNDLE, message, "sha256")[:16]


def test_binding_is_the_hash_of_the_exact_header() -> None:
    grant = Grant.from_bytes(encoded(header_members()))
    assert grant.binding == hashlib.sha256(grant.header_bytes).digest()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_other_versions_ask_for_an_update(version: int) -> None:
    with pytest.raises(UnsupportedVersionError, match=f"version {version}"):
        Grant.from_bytes(encoded(header_members(version=version, key_id=None)))


def test_unknown_type_is_read_and_kept() -> None:
    data = encoded(header_members(type="hpke-future-9", ext={"parameter": [1]}))
    grant = Grant.from_bytes(data)
    assert grant.header.type == "hpke-future-9"
    assert grant.to_bytes() == data


@pytest.mark.parametrize(
    "header",
    [
        header_members(surprise=1),
        header_members(type="Not A Type"),
        header_members(type=""),
        header_members(bundle="00" * 15),
        header_members(bundle="AB" * 16),
        header_members(key_id=None),
        header_members(constraints=None),
        header_members(scrypt={"log_n": 17, "p": 1, "r": 8, "salt": "cd" * 16}),
        header_members(type="passphrase"),
        header_members(version="1"),
        scrypt_members(extra=1),
        scrypt_members(salt="cd" * 15),
    ],
)
def test_malformed_headers_are_refused(header: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        Grant.from_bytes(encoded(header))


@pytest.mark.parametrize(
    "cost",
    [{"log_n": 13}, {"log_n": 21}, {"log_n": 63}, {"log_n": 2**53 - 1}, {"log_n": -1}]
    + [{"r": value} for value in (1, 7, 9, 2**30)]
    + [{"p": value} for value in (0, 2, 2**30)],
)
def test_cost_bombs_are_refused_when_read(cost: dict[str, int]) -> None:
    with pytest.raises(MalformedError, match="must be an integer from"):
        Grant.from_bytes(encoded(scrypt_members(**cost)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        encoded(header_members()) + b"\n",
        b" " + encoded(header_members()),
        encoded(header_members(), extra="x"),
        encoded(header_members(), issuer="ab" * 32),
        encoded(header_members(), signature="AAAA"),
        encoded(header_members(), wrapped="AAA"),
        encoded(header_members(), wrapped="AAB="),
        encoded(header_members(), wrapped=None),
        canonical.encode({"header": base64.b64encode(b" {}").decode(), "wrapped": "AAAA"}),
    ],
)
def test_malformed_grants_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Grant.from_bytes(data)


def test_header_must_be_canonical_json() -> None:
    loose = base64.b64encode(json.dumps(header_members()).encode()).decode()
    with pytest.raises(MalformedError, match="canonical"):
        Grant.from_bytes(canonical.encode({"header": loose, "wrapped": "AAAA"}))


def test_grants_have_a_largest_size() -> None:
    room = LARGEST_GRANT - len(encoded(header_members(), wrapped=""))
    fitting = encoded(header_members(), wrapped="A" * (room - room % 4))
    assert Grant.from_bytes(fitting).to_bytes() == fitting
    with pytest.raises(MalformedError, match="larger than 8192"):
        Grant.from_bytes(encoded(header_members(), wrapped="A" * (room + 4)))
    grant = Grant.from_bytes(fitting)
    with pytest.raises(MalformedError, match="larger than 8192"):
        grant.signed_by(Signer()).to_bytes()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_listed_issuer_is_accepted(curve: ec.EllipticCurve) -> None:
    signer = Signer(curve)
    grant = Grant.from_bytes(grant_of("fleet").signed_by(signer).to_bytes())
    pem = signer.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert grant.issuer == hashlib.sha256(pem).digest()
    grant.check_issuer((Signer().der, signer.der))


def test_signature_covers_header_and_wrapped_alone() -> None:
    signer = Signer()
    grant = grant_of("fleet")
    signed = grant.signed_by(signer)
    assert signed.signature is not None
    dsse.verify(signer.public_key, signed.signature, PAYLOAD_TYPE, grant.to_bytes())


def test_unsigned_grant_is_refused_where_issuers_are_listed() -> None:
    with pytest.raises(SignatureError, match="not signed"):
        grant_of("fleet").check_issuer((Signer().der,))


def test_unlisted_issuer_is_refused() -> None:
    with pytest.raises(UntrustedSignerError, match="not one that this bundle lists"):
        grant_of("fleet").signed_by(Signer()).check_issuer((Signer().der,))


def altered(grant: Grant) -> Iterator[Grant]:
    yield replace(grant, wrapped=grant.wrapped + b"x")
    yield replace(grant, header_bytes=grant.header_bytes.replace(b"fleet", b"float"))
    yield replace(grant, signature=b"")
    yield replace(grant, signature=bytes(64))


def test_signature_over_anything_else_is_refused() -> None:
    signer = Signer()
    for changed in altered(grant_of("fleet").signed_by(signer)):
        with pytest.raises(SignatureError, match="does not verify"):
            changed.check_issuer((signer.der,))


def test_signature_for_another_purpose_is_refused() -> None:
    signer = Signer()
    grant = grant_of("fleet").signed_by(signer)
    foreign = signer.sign(dsse.pae("application/vnd.in-toto+json", grant_of("fleet").to_bytes()))
    with pytest.raises(SignatureError):
        replace(grant, signature=foreign).check_issuer((signer.der,))


def test_listed_issuer_must_be_an_elliptic_curve_key() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    der = edwards.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for listed in (der, b"junk"):
        grant = replace(grant_of("fleet"), issuer=hashlib.sha256(listed).digest(), signature=b"x")
        with pytest.raises(MalformedError, match="listed grant issuer"):
            grant.check_issuer((listed,))


@pytest.mark.parametrize("kinds", [[], ["passphrase"], ["fleet"], ["fleet", "hpke-p256", "new-kind"]])
def test_sets_without_a_passphrase_in_company_pass(kinds: list[str]) -> None:
    assert [grant.header.type for grant in standing_alone(map(grant_of, kinds))] == kinds


@pytest.mark.parametrize(
    "kinds",
    [
        ["passphrase", "passphrase"],
        ["passphrase", "fleet"],
        ["fleet", "passphrase"],
        ["new-kind", "passphrase"],
    ],
)
def test_passphrase_in_company_is_refused_before_it_is_used(kinds: list[str]) -> None:
    seen: list[str] = []
    with pytest.raises(MalformedError, match="only grant"):
        seen.extend(grant.header.type for grant in standing_alone(map(grant_of, kinds)))
    assert "passphrase" not in seen


def test_a_grant_that_was_read_equals_the_one_that_was_made() -> None:
    made = grant_of("hpke-p256")
    assert Grant.from_bytes(made.to_bytes()) == made


@pytest.mark.parametrize("half", [{"issuer": b"i"}, {"signature": b"s"}])
def test_half_a_signature_is_none(half: dict[str, Any]) -> None:
    with pytest.raises(SignatureError, match="not signed"):
        replace(grant_of("hpke-p256"), **half).check_issuer((b"i",))
