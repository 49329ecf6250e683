"""Trust files: who may sign what and when, thresholds, revocation, and bundles that obey them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.bundle.access import Access, unlock
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import (
    ExpiredError,
    MalformedError,
    RefusedError,
    RollbackError,
    SignatureError,
    UnsupportedVersionError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.keys.identity import Identity
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust import oms
from modelkeep.trust.envelope import Kind
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from support.command_line import CommandLine
from support.states import path_of
from support.workshop import MODEL_ID, Workshop

ROOTS = [Signer(ec.generate_private_key(ec.SECP256R1())) for _ in range(3)]
STRANGER = Signer(ec.generate_private_key(ec.SECP384R1()))
OUTSIDER = Signer(ec.generate_private_key(ec.SECP256R1()))
ROOT_KEYS = [root.public_key for root in ROOTS]
PUBLISHER = Publisher(STRANGER.public_key, ("acme/*", "other"), ("vision",), 10, 20)
TRUST = TrustFile(
    3,
    LATEST_TIME,
    (PUBLISHER,),
    frozenset({"ab" * 32}),
    frozenset({bytes(16)}),
    void=frozenset({bytes(range(16))}),
    floors={"acme/detector": ReleaseOrder(3, 100)},
)


def test_file_reads_back_as_it_was_written() -> None:
    assert TrustFile.from_bytes(TRUST.to_bytes(ROOTS[0]), ROOT_KEYS) == TRUST


@pytest.mark.parametrize(
    ("signers", "threshold", "accepted"),
    [
        ([ROOTS[0]], 1, True),
        ([ROOTS[0], ROOTS[2]], 2, True),
        ([ROOTS[0]], 2, False),
        ([ROOTS[0], ROOTS[0]], 2, False),
        ([ROOTS[0], OUTSIDER], 2, False),
        ([OUTSIDER], 1, False),
        ([], 1, False),
    ],
)
def test_different_roots_count_and_nothing_else(
    signers: list[Signer], threshold: int, accepted: bool
) -> None:
    data = TRUST.to_bytes(*signers)
    if accepted:
        assert TrustFile.from_bytes(data, ROOT_KEYS, threshold) == TRUST
        return
    with pytest.raises(SignatureError, match=f"and {threshold} are needed"):
        TrustFile.from_bytes(data, ROOT_KEYS, threshold)


@pytest.mark.parametrize("threshold", [0, 4, -1])
def test_threshold_that_cannot_be_meant_is_refused(threshold: int) -> None:
    with pytest.raises(UsageError, match="threshold"):
        TrustFile.from_bytes(TRUST.to_bytes(*ROOTS), ROOT_KEYS, threshold)


def test_one_root_named_twice_is_one_root() -> None:
    with pytest.raises(UsageError, match="threshold"):
        TrustFile.from_bytes(TRUST.to_bytes(ROOTS[0]), [ROOT_KEYS[0], ROOT_KEYS[0]], 2)


def test_changed_file_and_older_file_are_refused() -> None:
    data = TRUST.to_bytes(ROOTS[0])
    document = json.loads(data)
    document["payload"] = json.loads(replace(TRUST, number=9).to_bytes())["payload"]
    with pytest.raises(SignatureError):
        TrustFile.from_bytes(canonical.encode(document), ROOT_KEYS)
    assert TrustFile.from_bytes(data, ROOT_KEYS, minimum=3).number == 3
    with pytest.raises(RollbackError, match="trust file 3 is older than 4"):
        TrustFile.from_bytes(data, ROOT_KEYS, minimum=4)


def signed(payload: bytes, payload_type: str = Kind.TRUST.value) -> bytes:
    """Returns an envelope of any payload, signed by a root."""
    import base64

    signature = ROOTS[0].sign(dsse.pae(payload_type, payload))
    entry = {
        "key": public_key.fingerprint(ROOT_KEYS[0]),
        "signature": base64.b64encode(signature).decode(),
    }
    members = {"payload": base64.b64encode(payload).decode(), "payloadType": payload_type}
    return canonical.encode({**members, "signatures": [entry]})


def payload(**changes: object) -> bytes:
    import base64

    members = json.loads(base64.b64decode(json.loads(TRUST.to_bytes())["payload"]))
    return canonical.encode({**members, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "modelkeep/other"},
        {"publishers": [{"key": "no key", "models": ["*"], "families": [], "not_before": 0, "not_after": 0}]},
        {"publishers": [5]},
        {"expires": LATEST_TIME + 1},
        {"number": -1},
        {"revoked": {"keys": ["zz"], "bundles": []}},
        {"revoked": {"keys": [], "bundles": [5]}},
        {"revoked": {"keys": [], "bundles": ["bb" * 16, "aa" * 16]}},
        {"void": ["aa" * 16, "aa" * 16]},
        {"void": "aa" * 16},
        {"floors": [{"model": "a", "epoch": 1}]},
        {"floors": [{"model": "a//b", "epoch": 1, "sealed_at": 1}]},
        {"floors": [{"model": each, "epoch": 1, "sealed_at": 1} for each in ("b", "a")]},
        {"floors": [{"model": "a", "epoch": epoch, "sealed_at": 1} for epoch in (1, 2)]},
        {"authorities": ["no certificate"]},
        {"authorities": [5]},
        {"colour": "red"},
        {"ext": {"colour": "red"}},
    ],
)
def test_signed_nonsense_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        TrustFile.from_bytes(signed(payload(**changes)), ROOT_KEYS)


def test_documents_of_other_kinds_and_times_are_told_apart() -> None:
    with pytest.raises(SignatureError, match="another kind"):
        TrustFile.from_bytes(signed(payload(), "application/vnd.modelkeep.grant.v1+json"), ROOT_KEYS)
    with pytest.raises(UnsupportedVersionError):
        TrustFile.from_bytes(signed(payload(version=2)), ROOT_KEYS)
    with pytest.raises(MalformedError, match="larger than"):
        TrustFile.from_bytes(bytes(3 * 2**20), ROOT_KEYS)
    with pytest.raises(MalformedError):
        TrustFile.from_bytes(b"{}", ROOT_KEYS)


def trust_in(
    workshop: Workshop, *families: str, models: tuple[str, ...] = ("*",), **limits: int
) -> TrustFile:
    publisher = Publisher(workshop.signer.public_key, models, families or ("*",), **limits)
    return TrustFile(1, LATEST_TIME, (publisher,))


def opens(workshop: Workshop, trust: TrustFile, *, model: str = MODEL_ID, family: str = "") -> bool:
    bundle = workshop.seal(family=family)
    return bool(workshop.read(bundle, verifier=Verifier.from_trust_file(trust, model=model)))


def test_publisher_signs_its_families_only(workshop: Workshop) -> None:
    assert opens(workshop, trust_in(workshop), family="audio")
    assert opens(workshop, trust_in(workshop, "vision", "audio"), family="audio")
    assert opens(workshop, trust_in(workshop, ""))
    for families, family in ((("vision",), "audio"), (("vision",), ""), ((), "audio")):
        trust = trust_in(workshop, *families) if families else TrustFile(1, LATEST_TIME, (PUBLISHER,))
        with pytest.raises(UntrustedSignerError):
            opens(workshop, trust, family=family)


@pytest.mark.parametrize(
    ("patterns", "signs"),
    [
        (("*",), True),
        (("acme/*",), True),
        (("other", "acme/detector"), True),
        (("acme",), False),
        (("acme/detect",), False),
        (("acme/detector/*",), False),
        (("ac/*", "acme/audio/*"), False),
    ],
)
def test_publisher_signs_its_models_only(workshop: Workshop, patterns: tuple[str, ...], signs: bool) -> None:
    trust = trust_in(workshop, models=patterns)
    assert trust.publishers[0].signs(MODEL_ID) is signs
    if signs:
        assert opens(workshop, trust)
        return
    with pytest.raises(UntrustedSignerError, match="may not sign model"):
        opens(workshop, trust)


@pytest.mark.parametrize("patterns", [(), ("",), ("**",), ("acme*",), ("*/detector",), ("/*",), ("acme//*",)])
def test_patterns_that_are_none(patterns: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        Publisher(STRANGER.public_key, patterns)
    keys = {"key": public_key.to_pem(STRANGER.public_key).decode(), "not_before": 0, "not_after": 0}
    entry = keys | {"families": ["*"], "models": list(patterns)}
    with pytest.raises(MalformedError):
        TrustFile.from_bytes(signed(payload(publishers=[entry])), ROOT_KEYS)


def test_who_vouches_is_asked_of_keys_and_models_and_of_no_clock() -> None:
    signer = SignerId(bytes.fromhex(PUBLISHER.fingerprint))
    verifier = Verifier.from_trust_file(TRUST, model=UnsafeAnyModel())
    assert verifier.vouches("acme/detector", signer)
    assert verifier.vouches("acme/detector", signer) is verifier.no_earlier_than(30).vouches("other", signer)
    assert not verifier.vouches("acne/detector", signer)
    assert not verifier.vouches("acme/detector", SignerId(bytes(32)))
    assert verifier.floor("acme/detector") == (3, 100)
    assert verifier.floor("other") is None
    assert verifier.void == {bytes(range(16))}
    others = replace(TRUST, publishers=(PUBLISHER, Publisher(ROOT_KEYS[0], ("*",))))
    revoked = replace(others, revoked_keys=frozenset({PUBLISHER.fingerprint}))
    assert not Verifier.from_trust_file(revoked, model=UnsafeAnyModel()).vouches("acme/detector", signer)


@pytest.mark.parametrize("limits", [{"not_after": 1_600_000_000}, {"not_before": LATEST_TIME}])
def test_publisher_signs_in_its_time_only(workshop: Workshop, limits: dict[str, Any]) -> None:
    with pytest.raises(UntrustedSignerError, match="at the time of sealing"):
        opens(workshop, trust_in(workshop, **limits))


def test_both_ends_of_a_publishers_time_are_inside(workshop: Workshop) -> None:
    bundle = workshop.seal(sealed_at=1_700_000_000)
    for begin, end, is_inside in [
        (1_700_000_000, 1_700_000_000, True),
        (1_700_000_001, LATEST_TIME, False),
        (0, 1_699_999_999, False),
    ]:
        trust = trust_in(workshop, not_before=begin, not_after=end)
        verifier = Verifier.from_trust_file(trust, model=MODEL_ID)
        with contextlib.nullcontext() if is_inside else pytest.raises(UntrustedSignerError):
            workshop.read(bundle, verifier=verifier)


def test_rotated_key_takes_over_where_the_old_one_ends(workshop: Workshop) -> None:
    old = Publisher(STRANGER.public_key, ("*",), not_after=1_600_000_000)
    new = Publisher(workshop.signer.public_key, ("*",), not_before=1_600_000_001)
    assert opens(workshop, TrustFile(2, LATEST_TIME, (old, new)))
    with pytest.raises(UntrustedSignerError):
        bundle = workshop.seal(signer=STRANGER)
        workshop.read(
            bundle, verifier=Verifier.from_trust_file(TrustFile(2, LATEST_TIME, (old, new)), model=MODEL_ID)
        )


def test_revoked_keys_and_bundles_do_not_open(workshop: Workshop) -> None:
    trust = trust_in(workshop)
    own = trust.publishers[0].fingerprint
    with pytest.raises(UsageError, match="leaves nobody"):
        Verifier.from_trust_file(replace(trust, revoked_keys=frozenset({own})), model=MODEL_ID)
    besides = replace(trust, publishers=(*trust.publishers, PUBLISHER), revoked_keys=frozenset({own}))
    with pytest.raises(UntrustedSignerError, match="key that is revoked"):
        opens(workshop, besides)
    bundle = workshop.seal()
    with unlock(bundle, Access(workshop.identity(), workshop.verifier())) as opened:
        identifier = opened.manifest.bundle
    listed = frozenset({identifier})
    for revoked in (replace(trust, revoked_bundles=listed), replace(trust, void=listed)):
        with pytest.raises(RefusedError, match="is revoked"):
            workshop.read(bundle, verifier=Verifier.from_trust_file(revoked, model=MODEL_ID))


def test_expired_file_and_other_models_are_refused(workshop: Workshop) -> None:
    with pytest.raises(ExpiredError, match="trust file has expired"):
        opens(workshop, replace(trust_in(workshop), expires=1_600_000_000))
    with pytest.raises(WrongModelError):
        opens(workshop, trust_in(workshop), model="acme/other")


def test_an_expired_file_vouches_for_no_statement_of_a_plain_folder_either() -> None:
    # There no policy is asked, which would look at the time once more.
    document = oms.sign(Statement("folder", {"file": bytes(32)}), STRANGER)
    assert Verifier.from_trust_file(TRUST, model=UnsafeAnyModel()).verify_statement(document)
    expired = Verifier.from_trust_file(replace(TRUST, expires=1_600_000_000), model=UnsafeAnyModel())
    with pytest.raises(ExpiredError, match="trust file has expired"):
        expired.verify_statement(document)


def test_a_file_that_had_expired_when_the_release_was_sealed_does_not_count_by_a_clock_that_is_behind(
    workshop: Workshop,
) -> None:
    end = 1_900_000_000
    trust, bundle = replace(trust_in(workshop), expires=end), workshop.seal(sealed_at=end + 1)
    verifier = Verifier.from_trust_file(trust, model=MODEL_ID, clock=lambda: end - 1.0)
    assert workshop.read(workshop.seal(sealed_at=end), verifier=verifier)
    with pytest.raises(ExpiredError, match="trust file has expired"):
        workshop.read(bundle, verifier=verifier)


def test_any_model_has_to_be_asked_for(workshop: Workshop) -> None:
    verifier = Verifier.from_trust_file(trust_in(workshop), model=UnsafeAnyModel())
    assert verifier.requires_signature
    assert workshop.read(workshop.seal(), verifier=verifier)


def test_command_line_takes_a_trust_file(shop: CommandLine) -> None:
    root = Signer.from_pem(shop.folder / "stranger.pem")
    publisher = Publisher(public_key.load(shop.folder / "publisher.pub"), ("*",))
    Path("trust.json").write_bytes(TrustFile(1, LATEST_TIME, (publisher,)).to_bytes(root))
    run = "modelkeep run model.keep -k file:pi-17.pem -i x=x.npy -t trust.json"
    shop.ok(f"{run} --trust-root stranger.pub")
    assert shop.shell(f"{run} --trust-root publisher.pub").code == 3
    assert shop.shell(f"{run} --trust-root stranger.pub --trust-threshold 2").code == 2
    assert shop.shell(f"{run} -t publisher.pub --trust-root stranger.pub").code == 2
    shop.ok(f"{run} --trust-root stranger.pub --minimum-trust-number 1")
    assert shop.shell(f"{run} --trust-root stranger.pub --minimum-trust-number 2").code == 3
    by_key = run.replace("trust.json", "publisher.pub")
    assert shop.shell(f"{by_key} --minimum-trust-number 1").code == 2


def test_passphrase_has_no_state_to_look_into(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLE_PASSPHRASE", "correct horse battery staple")
    uri = "passphrase:?env=BUNDLE_PASSPHRASE"
    bundle = workshop.seal(to=[uri])
    publisher = Publisher(workshop.signer.public_key, ("*",))
    for number in (2, 1):
        data = TrustFile(number, LATEST_TIME, (publisher,)).to_bytes(ROOTS[0])
        verifier = Verifier.from_trust_file(TrustFile.from_bytes(data, ROOT_KEYS), model=MODEL_ID)
        assert workshop.read(bundle, identity=Identity(uri), verifier=verifier)


def test_opening_a_bundle_does_not_begin_a_state(workshop: Workshop) -> None:
    data = trust_in(workshop).to_bytes(ROOTS[0])
    verifier = Verifier.from_trust_file(TrustFile.from_bytes(data, ROOT_KEYS), model=MODEL_ID)
    assert workshop.read(workshop.seal(), verifier=verifier)
    assert not path_of(workshop.identity()).exists()
