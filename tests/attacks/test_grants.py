"""Grants bent, relabelled, laundered or made by somebody else."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep import canonical
from modelkeep.bundle.access import grants_of
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import (
    ExpiredError,
    MalformedError,
    NotForThisDeviceError,
    PostureError,
    RefusedError,
    SignatureError,
    StorageError,
    TamperedError,
    UntrustedSignerError,
    UsageError,
)
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.data_key import DataKey
from modelkeep.grants.grant import Grant
from modelkeep.grants.recipient import issue
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.unsigned import UnsafeUnsigned
from support.attacker import Forgery, label_for, stolen_data_key
from support.workshop import Workshop

LONG_AGO, FAR_AWAY = 1_000_000_000, 4_000_000_000
STRICT = Constraints(not_before=LONG_AGO, not_after=FAR_AWAY, posture=("verified-boot",))


def _set(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["constraints"].__setitem__(name, value)


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["constraints"].__delitem__(name)


@pytest.mark.parametrize(
    "change",
    [
        _set("not_before", 0),
        _drop("not_before"),
        _set("not_after", FAR_AWAY + 1),
        _drop("not_after"),
        _set("posture", ["present"]),
        _drop("posture"),
        _set("delegate", True),
        lambda header: header.update(constraints={}),
        lambda header: header.update(ext={}),
    ],
    ids=["start", "no-start", "end", "no-end", "posture", "no-posture", "delegate", "none", "extension"],
)
def test_edited_constraints_are_refused(workshop: Workshop, change: Callable[[dict[str, Any]], None]) -> None:
    forgery = Forgery(workshop.seal(constraints=STRICT))
    forgery.edit_grant(0, change)
    with pytest.raises(TamperedError, match="the grant is damaged"):
        workshop.read(
            forgery.write(workshop.folder / "edited.keep"), posture=frozenset({"verified-boot", "present"})
        )


@pytest.mark.parametrize("kind", ["p256", "x25519", "mlkem768-x25519"])
def test_a_grant_under_the_header_of_a_better_grant_is_refused(workshop: Workshop, kind: str) -> None:
    device = workshop.new_device(f"device-{kind}", kind)
    public = device.with_suffix(".pub")
    bundle = workshop.seal(to=[public], constraints=Constraints(not_after=LONG_AGO))
    better = Forgery(workshop.seal(to=[public]))
    forgery = Forgery(bundle)
    expired = json.loads(forgery.files["grants/0"])
    header = json.loads(base64.b64decode(json.loads(better.files["grants/0"])["header"]))
    identity = workshop.identity(device)
    header |= {"bundle": forgery.manifest["bundle"], "key_id": label_for(identity, forgery)}
    expired["header"] = base64.b64encode(canonical.encode(header)).decode()
    forgery.files["grants/0"] = bytearray(canonical.encode(expired))
    with pytest.raises(TamperedError, match="the grant is damaged"):
        workshop.read(forgery.write(workshop.folder / "edited.keep"), identity=identity)


def test_a_grant_of_another_bundle_does_not_fit(workshop: Workshop) -> None:
    cheap, dear = Forgery(workshop.seal()), Forgery(workshop.seal(to=[_stranger(workshop)]))
    dear.files["grants/1"] = cheap.files["grants/0"]
    with pytest.raises(NotForThisDeviceError):
        workshop.read(dear.write(workshop.folder / "mixed.keep"))


def test_a_grant_of_another_bundle_with_a_fitting_label_is_refused(workshop: Workshop) -> None:
    cheap, dear = Forgery(workshop.seal()), Forgery(workshop.seal(to=[_stranger(workshop)]))
    labels = {"bundle": dear.manifest["bundle"], "key_id": label_for(workshop.identity(), dear)}
    cheap.edit_grant(0, lambda header: header.update(labels))
    dear.files["grants/1"] = cheap.files["grants/0"]
    with pytest.raises(TamperedError, match="the grant is damaged"):
        workshop.read(dear.write(workshop.folder / "mixed.keep"))


def test_a_grant_labelled_for_this_key_but_for_another_bundle_is_refused(workshop: Workshop) -> None:
    cheap, dear = Forgery(workshop.seal()), Forgery(workshop.seal(to=[_stranger(workshop)]))
    label = label_for(workshop.identity(), dear)
    cheap.edit_grant(0, lambda header: header.update(key_id=label))
    dear.files["grants/1"] = cheap.files["grants/0"]
    with pytest.raises(TamperedError, match="made for another bundle"):
        workshop.read(dear.write(workshop.folder / "mixed.keep"))


def test_a_grant_that_anybody_made_with_a_key_of_his_own_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    bundle = bytes.fromhex(forgery.manifest["bundle"])
    with DataKey.generate() as key:
        planted = issue(workshop.identity().recipient(), bundle, key)
    forgery.files["grants/0"] = bytearray(planted.to_bytes())
    with pytest.raises(TamperedError, match="another data key"):
        workshop.read(forgery.write(workshop.folder / "planted.keep"))


def test_a_grant_taken_to_another_device_is_of_no_use(workshop: Workshop) -> None:
    thief = workshop.identity(workshop.new_device("thief"))
    forgery = Forgery(workshop.seal())
    label = label_for(thief, forgery)
    forgery.edit_grant(0, lambda header: header.update(key_id=label))
    with pytest.raises(TamperedError, match="the grant is damaged"):
        workshop.read(forgery.write(workshop.folder / "taken.keep"), identity=thief)


def _stranger(workshop: Workshop) -> Path:
    return workshop.new_device(f"stranger-{os.urandom(4).hex()}").with_suffix(".pub")


def _only_grant(path: Path) -> Grant:
    return Grant.from_bytes(path.read_bytes().splitlines()[-1])


def test_granting_cannot_widen_what_was_granted(workshop: Workshop) -> None:
    bundle = workshop.seal(
        to=[],
        admins=[workshop.device.with_suffix(".pub")],
        constraints=Constraints(not_before=LONG_AGO, not_after=FAR_AWAY),
    )
    wider = Constraints(not_before=0, not_after=FAR_AWAY + 1000)
    made = grant(
        bundle,
        identity=workshop.identity(),
        verifier=UnsafeUnsigned(),
        admins=[_stranger(workshop)],
        constraints=wider,
    )
    expected = Constraints(not_before=LONG_AGO, not_after=FAR_AWAY, delegate=True)
    assert _only_grant(made.path).header.constraints == expected


def test_a_grant_without_delegation_cannot_grant(workshop: Workshop) -> None:
    bundle = workshop.seal()
    with pytest.raises(RefusedError, match="may not be passed on"):
        grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])
    assert not bundle.with_name(f"{bundle.name}.grants").exists()


def test_delegation_written_into_the_header_cannot_grant(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.edit_grant(0, _set("delegate", True))
    bundle = forgery.write(workshop.folder / "edited.keep")
    with pytest.raises(TamperedError, match="the grant is damaged"):
        grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


@pytest.mark.parametrize(
    ("constraints", "refusal"),
    [
        (Constraints(not_after=LONG_AGO), ExpiredError),
        (Constraints(not_before=FAR_AWAY), ExpiredError),
        (Constraints(posture=("verified-boot",)), PostureError),
    ],
)
def test_a_grant_that_does_not_count_cannot_grant(
    workshop: Workshop, constraints: Constraints, refusal: type[RefusedError]
) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")], constraints=constraints)
    with pytest.raises(refusal):
        grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


def test_a_dear_model_dressed_up_as_a_cheap_one_is_not_granted_to_a_stranger(workshop: Workshop) -> None:
    admin: dict[str, Any] = {"to": [], "admins": [workshop.device.with_suffix(".pub")]}
    dear, cheap = workshop.seal(**admin), workshop.seal(model="acme/toy", **admin)
    disguised = Forgery(cheap)
    original = Forgery(dear)
    for name in ("bundle", "commitment"):
        disguised.edit_manifest(**{name: original.manifest[name]})
    disguised.files["grants/0"] = original.files["grants/0"]
    path = disguised.write(workshop.folder / "toy.keep")
    with pytest.raises(TamperedError, match=r"manifest\.json is not the one that was signed"):
        grant(
            path,
            identity=workshop.identity(),
            to=[_stranger(workshop)],
            verifier=workshop.verifier(model="acme/toy"),
        )
    # Even an administrator who checks no signature is safe: the commitment names what people decide by.
    with pytest.raises(TamperedError, match="another data key"):
        grant(path, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


@pytest.mark.parametrize(
    "claim", [{"release": "9.0 trial"}, {"epoch": 1000}, {"family": "demo"}, {"sealed_at": LONG_AGO}]
)
def test_a_release_dressed_up_as_another_one_is_not_granted(
    workshop: Workshop, claim: dict[str, object]
) -> None:
    dressed = Forgery(workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")], epoch=7))
    dressed.edit_manifest(**claim)
    path = dressed.write(workshop.folder / "dressed.keep")
    with pytest.raises(TamperedError, match="another data key"):
        grant(path, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


def test_a_grants_file_that_is_a_link_to_somebody_elses_file(workshop: Workshop) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    precious = workshop.folder / "authorized_keys"
    precious.write_text("a line without an end")
    bundle.with_name(f"{bundle.name}.grants").symlink_to(precious)
    with pytest.raises(StorageError):
        grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])
    other = workshop.folder / "output"
    other.symlink_to(precious)
    with pytest.raises(StorageError):
        grant(
            bundle,
            identity=workshop.identity(),
            verifier=UnsafeUnsigned(),
            to=[_stranger(workshop)],
            output=other,
        )
    assert precious.read_text() == "a line without an end"


def test_a_grants_file_that_is_a_pipe_nobody_writes_to(workshop: Workshop) -> None:
    bundle = workshop.seal()
    os.mkfifo(bundle.with_name(f"{bundle.name}.grants"))
    with pytest.raises(StorageError, match="not a regular file"):
        workshop.open(bundle, identity=workshop.identity(workshop.new_device("other")))


def test_the_manifest_of_one_bundle_with_the_grant_of_another_cannot_grant(workshop: Workshop) -> None:
    admin: dict[str, Any] = {"to": [], "admins": [workshop.device.with_suffix(".pub")]}
    one, other = workshop.seal(**admin), Forgery(workshop.seal(**admin))
    other.files["grants/0"] = Forgery(one).files["grants/0"]
    mixed = other.write(workshop.folder / "mixed.keep")
    with pytest.raises(NotForThisDeviceError):
        grant(mixed, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


@pytest.fixture
def issuer(workshop: Workshop) -> Signer:
    path = workshop.folder / "issuer.pem"
    create_signing_key(path)
    return Signer.from_pem(path)


def _own_grant(workshop: Workshop, bundle: Path) -> Grant:
    """A grant that a device makes for itself, without any constraint."""
    key = stolen_data_key(bundle, workshop.identity(), workshop.verifier())
    with DataKey.from_buffer(bytearray(key)) as data_key, Bundle(bundle) as opened:
        return issue(workshop.identity().recipient(), opened.unverified_manifest().bundle, data_key)


def test_a_device_that_grants_itself_more_time_lacks_the_issuers_signature(
    workshop: Workshop, issuer: Signer
) -> None:
    bundle = workshop.seal(grant_signer=issuer)
    forgery = Forgery(bundle)
    forgery.files["grants/0"] = bytearray(_own_grant(workshop, bundle).to_bytes())
    with pytest.raises(SignatureError, match="the grant is not signed"):
        workshop.read(forgery.write(workshop.folder / "own.keep"))


def test_a_grant_signed_by_somebody_who_is_not_listed_is_refused(workshop: Workshop, issuer: Signer) -> None:
    bundle = workshop.seal(grant_signer=issuer)
    forgery = Forgery(bundle)
    planted = _own_grant(workshop, bundle).signed_by(workshop.signer)
    forgery.files["grants/0"] = bytearray(planted.to_bytes())
    with pytest.raises(UntrustedSignerError, match="issuer"):
        workshop.read(forgery.write(workshop.folder / "own.keep"))


def test_a_grant_with_the_signature_of_another_grant_is_refused(workshop: Workshop, issuer: Signer) -> None:
    bundle = workshop.seal(grant_signer=issuer)
    forgery = Forgery(bundle)
    signed = json.loads(forgery.files["grants/0"])
    planted = json.loads(_own_grant(workshop, bundle).to_bytes())
    planted |= {name: signed[name] for name in ("issuer", "signature")}
    forgery.files["grants/0"] = bytearray(canonical.encode(planted))
    with pytest.raises(SignatureError, match="does not verify"):
        workshop.read(forgery.write(workshop.folder / "own.keep"))


def test_an_unsigned_grant_in_front_does_not_hide_a_signed_one(workshop: Workshop, issuer: Signer) -> None:
    bundle = workshop.seal(grant_signer=issuer)
    forgery = Forgery(bundle)
    forgery.files["grants/1"] = forgery.files["grants/0"]
    forgery.files["grants/0"] = bytearray(_own_grant(workshop, bundle).to_bytes())
    assert workshop.read(forgery.write(workshop.folder / "both.keep"))


def test_granting_without_the_issuers_key_is_refused(workshop: Workshop, issuer: Signer) -> None:
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")], grant_signer=issuer)
    with pytest.raises(UsageError, match="signed grants only"):
        grant(bundle, identity=workshop.identity(), verifier=UnsafeUnsigned(), to=[_stranger(workshop)])


def test_a_passphrase_grant_beside_others_is_refused(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    header = {"log_n": 14, "p": 1, "r": 8, "salt": "00" * 16}
    forgery.files["grants/1"] = forgery.files["grants/0"]
    forgery.edit_grant(0, lambda members: members.update(type="passphrase", scrypt=header))
    bundle = forgery.write(workshop.folder / "beside.keep")
    with Bundle(bundle) as opened, pytest.raises(MalformedError, match="must be the only grant"):
        workshop.identity().select(grants_of(opened), opened.unverified_manifest().bundle)


def test_a_session_does_not_outlive_its_grant(workshop: Workshop) -> None:
    """A service opens the model the day before its grant ends, and never closes it."""
    now = [int(time.time())]
    verifier = workshop.verifier(clock=lambda: float(now[0]))
    bundle = workshop.seal(constraints=Constraints(not_after=now[0] + 60))
    with workshop.open(bundle, verifier=verifier) as session:
        session.run({"x": np.zeros((1, 4), np.float32)})
        now[0] += 61
        for attempt in (session.run, session.run_unchecked):
            with pytest.raises(ExpiredError, match="the grant expired"):
                attempt({"x": np.zeros((1, 4), np.float32)})
        with pytest.raises(ExpiredError):
            session.native  # noqa: B018


def test_a_passphrase_grant_in_the_sidecar_is_refused_for_everybody(workshop: Workshop) -> None:
    devices = [workshop.new_device(name) for name in ("pi-18", "pi-19")]
    bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
    grants = grant(
        bundle,
        identity=workshop.identity(),
        verifier=workshop.verifier(),
        to=[devices[0].with_suffix(".pub")],
        output=workshop.folder / "later.grants",
    )
    header = json.loads(base64.b64decode(json.loads(grants.path.read_text())["header"]))
    scrypt = {"log_n": 14, "p": 1, "r": 8, "salt": "00" * 16}
    planted = canonical.encode(header | {"type": "passphrase", "scrypt": scrypt})
    members = {"header": planted, "wrapped": bytes(112)}
    line = canonical.encode({name: base64.b64encode(value).decode() for name, value in members.items()})
    grants.path.write_bytes(line + b"\n" + grants.path.read_bytes())
    for device in devices:
        with pytest.raises(MalformedError, match="must be the only grant"):
            workshop.open(bundle, identity=workshop.identity(device), grant_file=grants.path)
