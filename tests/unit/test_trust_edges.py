"""Who signs and who is believed, at the edges: keys by their addresses, times, and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelkeep import dsse, plugins, public_key
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import (
    ExpiredError,
    KeyStoreError,
    SignatureError,
    UntrustedSignerError,
    UsageError,
)
from modelkeep.key_purpose import Purpose
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId, TypedSubject
from modelkeep.trust import oms, plain, private_key, signers, timestamps
from modelkeep.trust.certificate_roots import CertificateRoots
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher, covers, matches
from modelkeep.trust.release import Release
from modelkeep.trust.roots import Roots
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import SIGNING_KINDS, create_signing_key
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.statement import Statement
from modelkeep.trust.ticket import ForgetQuarantine, Ticket
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_policy import WithinTrustFile
from modelkeep.trust.verifier import Verifier
from support.manifests import PLAIN
from support.time_authority import certificate

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ID = SignerId(bytes.fromhex(public_key.fingerprint(KEY.public_key())))
STATEMENT = Statement("model", {"manifest.json": bytes(32)})
DOCUMENT = oms.sign(STATEMENT, Signer(KEY))
MANIFEST = replace(PLAIN, epoch=0)
TRUST = TrustFile(3, 50, (Publisher(KEY.public_key(), ("acme/*",)),), floors={"m": ReleaseOrder(2, 3)})


def offered(monkeypatch: pytest.MonkeyPatch, *loads: Callable[[], object]) -> None:
    points = [SimpleNamespace(load=load) for load in loads]
    monkeypatch.setattr(plugins, "find", lambda _group, _scheme: points)


def missing() -> NoReturn:
    raise ImportError


def test_signers_of_other_packages_are_given_address_and_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, issued = certificate("signer")
    path = tmp_path / "chain.pem"
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (issued, certificate("root")[1])))
    asked: list[tuple[str, int]] = []

    def opened(address: str, chain: tuple[x509.Certificate, ...]) -> Signer:
        asked.append((address, len(chain)))
        return Signer(own)

    offered(monkeypatch, lambda: opened)
    assert signers.open_signer("acme:place", certificates=path).public_key == own.public_key()
    assert isinstance(signers.as_signer("acme:place"), Signer)
    assert asked == [("place", 2), ("place", 0)]
    with pytest.raises(UsageError, match="a acme key does not take its passphrase from here"):
        signers.open_signer("acme:place", passphrase=b"secret")
    offered(monkeypatch, lambda: lambda *_arguments: Signer(KEY))
    with pytest.raises(UsageError, match="not for this private key"):
        signers.open_signer("acme:place", certificates=path)
    offered(monkeypatch, lambda: opened, lambda: opened)
    with pytest.raises(KeyStoreError, match="several packages"):
        signers.open_signer("acme:place")
    for scheme, extra in (("pkcs11", "pkcs11"), ("acme", "signers")):
        offered(monkeypatch, missing)
        with pytest.raises(KeyStoreError) as caught:
            signers.open_signer(f"{scheme}:place")
        assert caught.value.hint == f"pip install 'modelkeep[{extra}]'"


def test_what_signs_is_a_signer_or_names_one() -> None:
    signer = Signer(KEY)
    assert signers.as_signer(signer) is signer
    assert signers.as_signer(None) is None
    wrong: Any = 5
    with pytest.raises(UsageError, match="not a signer: int"):
        signers.as_signer(wrong)


def test_a_key_file_has_one_passphrase(tmp_path: Path) -> None:
    path, secret = tmp_path / "key.pem", tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    create_signing_key(path, passphrase=b"secret")
    address = f"{path}?passphrase-file={secret}"
    with private_key.unlocking(address) as (found, given):
        assert (found, bytes(given or b"")) == (str(path), b"secret")
        assert isinstance(private_key.load(found, given, Purpose.BUNDLE), ec.EllipticCurvePrivateKey)
    with pytest.raises(UsageError, match="given twice"), private_key.unlocking(address, b"secret"):
        raise AssertionError
    with private_key.unlocking(str(path), b"secret") as found_and_given:
        assert found_and_given == (str(path), b"secret")
    with pytest.raises(KeyStoreError, match="is encrypted") as caught:
        private_key.load(path, None, Purpose.BUNDLE)
    assert "passphrase-file" in (caught.value.hint or "")
    create_signing_key(path, force=True)
    with pytest.raises(KeyStoreError, match="is not encrypted") as caught:
        private_key.load(path, b"secret", Purpose.BUNDLE)
    assert caught.value.hint == "leave the passphrase out"


def test_every_kind_of_signing_key_is_on_its_curve_and_for_its_purpose(tmp_path: Path) -> None:
    purposes = {"signing": "bundle", "approving": "approve", "ml-dsa-65": "bundle", "ml": "bundle"}
    for kind in SIGNING_KINDS:
        path = tmp_path / f"{kind}.pem"
        create_signing_key(path, kind)
        word, _, curve = kind.partition("-")
        purpose = purposes.get(word, word)
        assert path.read_bytes().startswith(f"modelkeep purpose: {purpose}\n".encode()), kind
        if not kind.startswith("ml-dsa"):
            key: Any = private_key.load(path, None, Purpose(purpose))
            assert key.curve.key_size == int(curve.removeprefix("p") or 256)
    with pytest.raises(UsageError, match="no such kind"):
        create_signing_key(tmp_path / "other.pem", "signing-p192")


def test_plain_files_are_signed_by_keys_that_are_long_enough_and_are_no_approvals(tmp_path: Path) -> None:
    def written(key: Any) -> Path:
        path = tmp_path / "key.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        return path

    data, long = tmp_path / "data", rsa.generate_private_key(65537, 2048)
    for content in (b"x" * 32 + dsse.APPROVAL_LABEL + b"x", b"x" * len(dsse.APPROVAL_LABEL + bytes(32))):
        data.write_bytes(content)
        for key in (long, KEY):
            signature = plain.sign(data, written(key))
            plain.verify(data, signature, public_key.to_pem(key.public_key()))  # type: ignore[arg-type]
    data.write_bytes(b"x" * 32 + dsse.APPROVAL_LABEL)
    with pytest.raises(UsageError, match="signatures of another kind"):
        plain.sign(data, written(KEY))
    with pytest.raises(UsageError, match="cannot sign plain files"):
        plain.verify(data, b"", public_key.to_pem(ed25519.Ed25519PrivateKey.generate().public_key()))  # type: ignore[arg-type]


def release(**what: Any) -> Release:
    return Release(replace(MANIFEST, **what), ID, 0, None)


def test_a_verifier_asks_for_nothing_that_it_was_not_told() -> None:
    verifier = Verifier(KEY.public_key(), model="acme/detector")
    verifier.accept(release())
    assert (verifier.requires_signature, verifier.require_installed, verifier.trust) == (True, False, None)
    assert (verifier.void, verifier.revoked_keys, verifier.floor("m")) == (frozenset(), frozenset(), None)
    assert Verifier(KEY.public_key(), model="m", require_installed=True).require_installed
    assert not verifier.vouches("m", SignerId(bytes(32)))
    assert verifier.vouches("anything", ID)


def test_a_verifier_of_a_trust_file_says_what_the_file_says() -> None:
    revoked = replace(TRUST, void=frozenset({bytes(16)}), revoked_keys=frozenset({"ab" * 32}))
    verifier = Verifier.from_trust_file(revoked, model=UnsafeAnyModel(), clock=lambda: 50.0)
    assert (verifier.void, verifier.revoked_keys) == (revoked.void, revoked.revoked_keys)
    assert (verifier.floor("m"), verifier.floor("n")) == (ReleaseOrder(2, 3), None)
    assert verifier.vouches("acme/detector", ID)
    assert not verifier.vouches("other/detector", ID)
    assert verifier.verify_statement(DOCUMENT).statement == STATEMENT
    late = verifier.no_earlier_than(51)
    with pytest.raises(ExpiredError):
        late.verify_statement(DOCUMENT)
    assert (late.clock.floor, verifier.clock.floor) == (51, 0)
    assert verifier.narrowed(UnsafeAnyModel(), 7).clock.witnessed == 7
    with pytest.raises(UntrustedSignerError, match="which is not trusted here"):
        verifier.verify_statement(oms.sign(STATEMENT, Signer(OTHER)))
    gone = replace(TRUST, revoked_keys=frozenset({public_key.fingerprint(OTHER.public_key())}))
    with pytest.raises(UntrustedSignerError, match="by a key that is revoked"):
        Verifier.from_trust_file(gone, model="m", clock=lambda: 1.0).verify_statement(
            oms.sign(STATEMENT, Signer(OTHER))
        )


def test_a_trust_file_is_over_when_something_was_sealed_later() -> None:
    within = WithinTrustFile(TRUST)
    within(Release(MANIFEST, ID, TRUST.expires))
    with pytest.raises(ExpiredError, match="the trust file has expired"):
        within(Release(MANIFEST, ID, TRUST.expires + 1))


def test_tickets_are_signed_by_roots_or_by_keys_that_are_named() -> None:
    data = Envelope(Kind.TICKET, Ticket(bytes(32), bytes(16), (ForgetQuarantine(),)).to_bytes()).signed(
        Signer(KEY)
    )
    named = Verifier(KEY.public_key(), model="m").verify_ticket(data.to_bytes())
    assert named.signers == {ID.key}
    for threshold, keys in ((1, [KEY]), (2, [KEY, OTHER])):
        roots = Roots.of_keys([each.public_key() for each in (KEY, OTHER)], threshold)
        verifier = Verifier.from_trust_file(replace(TRUST, roots=roots), model="m")
        if len(keys) == 2:
            with pytest.raises(SignatureError, match="1 of its roots, and 2 are needed"):
                verifier.verify_ticket(data.to_bytes())
            data = data.signed(Signer(OTHER))
        assert len(verifier.verify_ticket(data.to_bytes()).signers) == len(keys)


def test_publishers_do_not_sign_the_file_that_names_them() -> None:
    with pytest.raises(UsageError, match="is a publisher of this file"):
        TRUST.to_bytes(Signer(KEY))
    data = TRUST.to_bytes(Signer(OTHER))
    keys = [OTHER.public_key()]
    assert TrustFile.from_bytes(data, keys).number == 3
    TRUST.check_time(50)
    with pytest.raises(ExpiredError):
        TRUST.check_time(51)


def test_which_models_a_pattern_covers() -> None:
    for pattern, model, fits in (
        ("*", "a/b", True),
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", True),
        ("a/*", "a", False),
        ("a/*", "ab/c", False),
        ("a", "a", True),
        ("a", "a/b", False),
    ):
        assert matches(pattern, model) is fits
    for wider, pattern, does in (
        ("*", "*", True),
        ("*", "a/*", True),
        ("a/*", "a/*", True),
        ("a/*", "a/b/*", True),
        ("a/*", "a/b", True),
        ("a/b/*", "a/*", False),
        ("a/*", "*", False),
        ("a", "a/*", False),
    ):
        assert covers(wider, pattern) is does
    limited = Publisher(KEY.public_key(), ("m",), ("f",), 10, 20)
    made = replace(MANIFEST, model="m", family="f")
    assert [limited.may_sign(replace(made, sealed_at=at)) for at in (9, 10, 20, 21)] == [
        False,
        True,
        True,
        False,
    ]
    assert not limited.may_sign(replace(made, sealed_at=15, family="g"))
    assert not limited.may_sign(replace(made, sealed_at=15, model="n"))
    assert replace(limited, families=("*",)).may_sign(replace(made, sealed_at=15, family="g"))
    assert (Publisher(KEY.public_key(), ("m",)).not_before, limited.fingerprint) == (0, ID.key.hex())
    assert Publisher(KEY.public_key(), ("m",)).not_after == LATEST_TIME


def test_identities_are_told_apart_by_name_kind_and_issuer() -> None:
    mail, address = SigstoreSigner("me@acme.example", "i"), SigstoreSigner("https://acme.example/w", "i")
    assert mail.signed_with(bytes(32)).subject == TypedSubject("email", "me@acme.example")
    assert address.signed_with(bytes(32)).subject == TypedSubject("uri", "https://acme.example/w")
    assert mail.is_behind(mail.signed_with(bytes(32)))
    assert not mail.is_behind(replace(mail, issuer="j").signed_with(bytes(32)))
    assert not mail.is_behind(address.signed_with(bytes(32)))
    with pytest.raises(UsageError, match="printable"):
        SigstoreSigner("a\nb", "i")


def test_the_root_of_a_chain_and_its_subject_vouch_for_a_signer() -> None:
    key, root = certificate("root")
    fingerprint = bytes.fromhex(public_key.fingerprint(key.public_key()))
    signer = SignerId(bytes([1]) * 32, fingerprint, TypedSubject("cn", "acme"))
    assert CertificateRoots([root]).vouches(signer)
    assert CertificateRoots([root], subject="CN=acme").vouches(signer)
    assert not CertificateRoots([root], subject="CN=other").vouches(signer)
    assert not CertificateRoots([root]).vouches(SignerId(bytes([1]) * 32))
    assert not CertificateRoots([root]).vouches(replace(signer, root=bytes(32)))
    for revoked in (bytes([1]) * 32, fingerprint):
        assert not CertificateRoots([root], revoked_keys=[revoked.hex()]).vouches(signer)
    assert CertificateRoots([root], revoked_keys=["ab" * 32]).vouches(signer)


def test_addresses_of_authorities_and_the_time_that_they_may_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://tsa.example", "https://tsa.example/x"):
        assert timestamps.check_address(url) == url
    assert timestamps.earliest([], b"", []) is None
    monkeypatch.setattr(timestamps, "_moment", lambda data, _signature, _root: {b"a": 7, b"b": 5}.get(data))
    assert timestamps.earliest([b"a", b"b", b"c"], b"", [certificate("r")[1]]) == 5
