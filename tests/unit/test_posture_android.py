"""Android key attestation: what is read, and which chains count."""

from __future__ import annotations

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import ExpiredError, MalformedError, PostureError, SignatureError, UntrustedSignerError
from modelkeep.posture.android.authorization_list import Application, BootState, Origin, Tag
from modelkeep.posture.android.chain import AttestedKey, verify_chain
from modelkeep.posture.android.findings import device_key, findings_of
from modelkeep.posture.android.key_description import KeyDescription, SecurityLevel
from modelkeep.posture.android.revocations import Revocations
from support import android_keys
from support import der_writer as der
from support.android_keys import NOW, SIGNER, Maker, authorizations, hardware_list

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
NOTHING_REVOKED = Revocations(frozenset())


def verified(maker: Maker, extension: bytes, now: int = NOW) -> AttestedKey:
    chain = maker.attest(KEY, extension)
    return verify_chain(chain, now, roots={maker.fingerprint}, revocations=NOTHING_REVOKED)


def test_a_description_is_read() -> None:
    read = KeyDescription.parse(android_keys.description(b"question"))
    assert (read.version, read.level, read.challenge) == (300, SecurityLevel.TRUSTED_ENVIRONMENT, b"question")
    assert read.hardware.get(Tag.PURPOSE) == (6,)
    assert read.hardware.get(Tag.ORIGIN) is Origin.GENERATED
    assert read.hardware.get(Tag.NO_AUTH_REQUIRED) is True
    assert read.hardware.get(Tag.ROOT_OF_TRUST).boot_state is BootState.VERIFIED
    assert read.software.get(Tag.APPLICATION) == Application((("com.acme.sensor", 7),), (SIGNER,))


def test_the_weaker_of_the_two_levels_counts() -> None:
    good = android_keys.description(b"question", level=2)
    # The first of two levels stands behind a version of four bytes.
    place = good.index(der.enumerated(2))
    mixed = good[:place] + der.enumerated(0) + good[place + 3 :]
    assert KeyDescription.parse(mixed).level is SecurityLevel.SOFTWARE


def test_tags_of_tomorrow_are_named_and_passed_over() -> None:
    read = KeyDescription.parse(
        android_keys.description(b"", hardware=hardware_list() | {900: der.integer(1)})
    )
    assert read.hardware.unknown == (900,)


@pytest.mark.parametrize(
    "hardware",
    [
        {2: der.integer(3), 1: der.collection([der.integer(6)])},
        {1: der.collection([der.integer(6), der.integer(6)])},
        {1: der.octets(b"")},
        {503: b"\x05\x01\x00"},
        {702: der.integer(9)},
        {704: android_keys.root_of_trust(locked=b"\x01")},
        {704: android_keys.root_of_trust(state=7)},
        {704: der.sequence(der.octets(b""))},
    ],
)
def test_lists_out_of_form_are_refused(hardware: dict[int, bytes]) -> None:
    with pytest.raises(MalformedError):
        KeyDescription.parse(android_keys.description(b"", hardware=hardware))


@pytest.mark.parametrize(
    "application",
    [der.octets(b"\x30\x00"), der.octets(b""), der.integer(1), der.octets(der.sequence(der.integer(1)))],
)
def test_applications_out_of_form_are_refused(application: bytes) -> None:
    with pytest.raises(MalformedError):
        KeyDescription.parse(android_keys.description(b"", software={709: application}))


def test_a_tag_that_comes_twice_is_refused() -> None:
    twice = der.sequence(der.tagged(3, der.integer(1)), der.tagged(3, der.integer(2)))
    good = android_keys.description(b"", hardware={})
    body = der.sequence(*_parts(good)[:-1], twice)
    assert authorizations({}) in good
    with pytest.raises(MalformedError, match="tag 3 comes after tag 3"):
        KeyDescription.parse(body)


def _parts(data: bytes) -> list[bytes]:
    from modelkeep.posture.der import decode

    return [
        der.value(bytes([part.space << 6 | part.constructed << 5 | part.number]), part.content)
        for part in decode(data, "test").sequence()
    ]


@pytest.mark.parametrize("factory", [True, False])
def test_a_chain_to_a_pinned_root_counts(factory: bool) -> None:
    key = verified(Maker(factory), android_keys.description(b"question"))
    assert key.description.challenge == b"question"
    assert device_key(key) == KEY
    found = {finding.name: (finding.value, finding.proven) for finding in findings_of(key.description)}
    assert found["key-protection"] == ("tee", True)
    assert found["boot-state"] == ("verified", True)
    assert found["boot-locked"] == (True, True)
    assert found["os-patch-level"] == (202605, True)
    assert found["application-signer"] == ((SIGNER.hex(),), False)


def test_a_patch_level_in_no_known_form_is_none() -> None:
    read = KeyDescription.parse(android_keys.description(b"", hardware=hardware_list(patch=20260505)))
    assert "os-patch-level" not in {finding.name for finding in findings_of(read)}


def test_certificates_that_are_renewed_expire_and_those_of_the_factory_do_not() -> None:
    late = NOW + int(datetime.timedelta(days=800).total_seconds())
    extension = android_keys.description(b"")
    assert verified(Maker(factory=True), extension, late)
    with pytest.raises(ExpiredError, match="TEE"):
        verified(Maker(factory=False), extension, late)
    for factory in (True, False):
        with pytest.raises(ExpiredError):
            verified(Maker(factory), extension, 0)


def test_a_chain_under_another_root_is_refused() -> None:
    chain = Maker().attest(KEY, android_keys.description(b""))
    with pytest.raises(UntrustedSignerError, match="no root of ours"):
        verify_chain(chain, NOW, revocations=NOTHING_REVOKED)


def test_links_that_do_not_belong_together_are_refused() -> None:
    maker, other = Maker(), Maker()
    chain, foreign = (each.attest(KEY, android_keys.description(b"")) for each in (maker, other))
    for place in range(3):
        mixed = [*chain[:place], foreign[place], *chain[place + 1 :]]
        with pytest.raises(SignatureError):
            verify_chain(mixed, NOW, roots={maker.fingerprint}, revocations=NOTHING_REVOKED)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_short_chains_are_refused(cut: int) -> None:
    chain = Maker().attest(KEY, android_keys.description(b""))[:cut]
    with pytest.raises(MalformedError):
        verify_chain(chain, NOW, revocations=NOTHING_REVOKED)


def test_a_key_without_attestation_is_refused() -> None:
    with pytest.raises(PostureError, match="no attestation"):
        verify_chain(Maker().attest(KEY, None), NOW, revocations=NOTHING_REVOKED)


def test_what_is_no_certificate_is_refused() -> None:
    for junk in (b"", b"junk", bytes(20_000)):
        with pytest.raises(MalformedError):
            verify_chain([junk] * 3, NOW, revocations=NOTHING_REVOKED)


def test_revocation_lists_are_read_as_google_writes_them() -> None:
    listed = b'{"entries": {"0A1b": {"status": "REVOKED"}, "7": {"status": "SUSPENDED"}}}'
    assert Revocations.parse(listed).serials == {"a1b", "7"}
    for bad in (b"", b"[]", b"{}", b'{"entries": []}'):
        with pytest.raises(MalformedError):
            Revocations.parse(bad)
