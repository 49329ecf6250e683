"""Grants under mutation: nothing but the sealed data key ever comes out, and no error but ours."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME, Now
from modelkeep.errors import ExpiredError, KeepError, PostureError, TamperedError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.grant import Grant
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.recipient import issue
from modelkeep.grants.recipient_text import format_recipient, parse_recipient
from modelkeep.keys.identity import Identity

BUNDLE = bytes(range(16))
DATA_KEY = bytes(range(32))

HANDLES = [
    HpkeHandle(ec.generate_private_key(ec.SECP256R1())),
    HpkeHandle(x25519.X25519PrivateKey.generate()),
    HpkeHandle((mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())),
]
IDENTITIES = [*map(Identity, HANDLES), Identity(FleetDevice.derive(bytearray(32), "pi-17"))]

moments = st.none() | st.integers(0, LATEST_TIME)
postures = st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}", fullmatch=True), max_size=4).map(tuple)
constraints = st.builds(Constraints, moments, moments, postures, st.booleans())
identities = st.sampled_from(IDENTITIES)
device_ids = st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True)


def granted(identity: Identity, demanded: Constraints) -> Grant:
    with DataKey.from_buffer(bytearray(DATA_KEY)) as data_key:
        return issue(identity.recipient(), BUNDLE, data_key, demanded)


def opened(identity: Identity, grant: Grant) -> bytes:
    with identity.unwrap(identity.select([grant], BUNDLE), BUNDLE) as unwrapped:
        return bytes(unwrapped.data_key.view)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes of `data` replaced, removed or inserted."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 4))
        changed[start : start + length] = draw(st.binary(max_size=4))
    return bytes(changed)


@settings(max_examples=200)
@given(st.data(), identities, constraints)
def test_mutated_grant_gives_the_same_key_or_one_of_our_errors(
    data: st.DataObject, identity: Identity, demanded: Constraints
) -> None:
    encoded = granted(identity, demanded).to_bytes()
    changed = data.draw(mutations(encoded))
    with contextlib.suppress(KeepError):
        assert opened(identity, Grant.from_bytes(changed)) == DATA_KEY
        assert changed == encoded


@settings(max_examples=200)
@given(st.data(), identities)
def test_mutated_parts_never_open(data: st.DataObject, identity: Identity) -> None:
    # Below the encoding, where a mutation of the text would mostly end in the JSON parser.
    grant = granted(identity, Constraints())
    header_bytes = data.draw(st.just(grant.header_bytes) | mutations(grant.header_bytes))
    wrapped = data.draw(st.just(grant.wrapped) | mutations(grant.wrapped))
    assume((header_bytes, wrapped) != (grant.header_bytes, grant.wrapped))
    try:
        identity.unwrap(replace(grant, header_bytes=header_bytes, wrapped=wrapped), BUNDLE)
    except TamperedError:
        return
    raise AssertionError("a changed grant opened")


@given(identities, constraints, constraints)
def test_other_constraints_in_the_header_never_open(
    identity: Identity, demanded: Constraints, claimed: Constraints
) -> None:
    assume(demanded != claimed)
    grant = granted(identity, demanded)
    header = grant.header._replace(constraints=claimed)
    try:
        identity.unwrap(Grant(header, header.to_bytes(), grant.wrapped), BUNDLE)
    except TamperedError:
        return
    raise AssertionError("constraints were exchanged")


@given(identities, constraints)
def test_parsing_and_serialising_is_the_identity(identity: Identity, demanded: Constraints) -> None:
    grant = granted(identity, demanded)
    assert Grant.from_bytes(grant.to_bytes()) == grant
    assert Grant.from_bytes(grant.to_bytes()).to_bytes() == grant.to_bytes()


@settings(max_examples=300)
@given(st.data(), identities)
def test_whatever_parses_serialises_to_the_same_bytes(data: st.DataObject, identity: Identity) -> None:
    changed = data.draw(mutations(granted(identity, Constraints()).to_bytes()))
    with contextlib.suppress(KeepError):
        assert Grant.from_bytes(changed).to_bytes() == changed


@given(st.data())
def test_arbitrary_headers_give_our_errors(data: st.DataObject) -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=5,
    )
    names = ["bundle", "constraints", "ext", "key_id", "scrypt", "type", "version"]
    header = canonical_header() | data.draw(st.dictionaries(st.sampled_from(names), values, max_size=2))
    with contextlib.suppress(KeepError):
        encoded = base64.b64encode(canonical.encode(header)).decode()
        grant = canonical.encode({"header": encoded, "wrapped": "AAAA"})
        assert Grant.from_bytes(grant).to_bytes() == grant


def canonical_header() -> dict[str, object]:
    return {
        "bundle": BUNDLE.hex(),
        "constraints": {},
        "key_id": "ab" * 16,
        "type": "hpke-p256",
        "version": 1,
    }


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_our_errors(data: bytes) -> None:
    with contextlib.suppress(KeepError):
        Grant.from_bytes(data)


def passes(demanded: Constraints, now: int, posture: frozenset[str]) -> bool:
    try:
        demanded.check(Now(now, now), posture)
    except (ExpiredError, PostureError):
        return False
    return True


small = st.none() | st.integers(0, 6)
few = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple)
near = st.builds(Constraints, small, small, few, st.booleans())


@given(near, near, st.integers(0, 6), st.frozensets(st.sampled_from("abc")))
def test_narrowed_passes_exactly_where_both_pass(
    one: Constraints, other: Constraints, now: int, posture: frozenset[str]
) -> None:
    both = passes(one, now, posture) and passes(other, now, posture)
    assert passes(one.narrow(other), now, posture) == both
    assert one.narrow(other).delegate == (one.delegate and other.delegate)


@given(st.sampled_from(HANDLES), device_ids)
def test_recipient_text_is_parsed_back(handle: HpkeHandle, device_id: str) -> None:
    recipient = handle.recipient(device_id)
    text = format_recipient(recipient)
    assert format_recipient(parse_recipient(text)) == text


@settings(max_examples=200)
@given(st.text(max_size=120))
def test_arbitrary_text_is_a_recipient_or_one_of_our_errors(text: str) -> None:
    with contextlib.suppress(KeepError):
        parse_recipient(text)
