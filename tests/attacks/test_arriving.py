"""Bundles that arrive as a stream: nothing of a stranger's is read, and nothing changed gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.errors import (
    MalformedError,
    RollbackError,
    SignatureError,
    TamperedError,
    UntrustedSignerError,
    WrongModelError,
)
from modelkeep.manifest import Coverage
from modelkeep.trust.signing_keys import SECOND_KIND, create_signing_key
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.installation import install
from support.arriving import Arriving, first_payload, payload_of
from support.attacker import Forgery
from support.workshop import MODEL_ID, Workshop


@pytest.fixture
def source(workshop: Workshop) -> Path:
    source = workshop.folder / "source"
    source.mkdir()
    (source / "empty.bin").write_bytes(b"")
    (source / "weights.bin").write_bytes(bytes(range(251)) * 10_000)
    return source


@pytest.fixture
def bundle(workshop: Workshop, source: Path) -> Path:
    return workshop.seal(source)


def test_what_is_refused_is_refused_before_grants_and_payload(workshop: Workshop, bundle: Path) -> None:
    with Bundle(bundle) as opened, opened.open_file("grants/0") as grants:
        front = bundle.read_bytes()[: grants.offset]
    stranger = create_signing_key(workshop.folder / "stranger.pem")
    with pytest.raises(UntrustedSignerError):
        ArrivingBundle(Arriving(front)).verify(Verifier(stranger, model=MODEL_ID))
    with pytest.raises(WrongModelError):
        ArrivingBundle(Arriving(front)).verify(workshop.verifier(model="acme/other"))


def test_an_older_release_is_refused_before_a_byte_of_it_is_kept(
    workshop: Workshop, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, made = workshop.folder / "installed.keep", []
    settings: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    install(workshop.seal(epoch=2), target, **settings)
    monkeypatch.setattr("modelkeep.updates.unfinished.Layout.write", lambda *_: made.append(1))
    with pytest.raises(RollbackError):
        install(Arriving(bundle.read_bytes()[: first_payload(bundle)]), target, force=True, **settings)
    assert not made


def test_second_signature_is_demanded_before_the_payload(workshop: Workshop, bundle: Path) -> None:
    second = create_signing_key(workshop.folder / "second.pem", SECOND_KIND)
    front = bundle.read_bytes()[: first_payload(bundle)]
    with pytest.raises(SignatureError, match="no second signature"):
        ArrivingBundle(Arriving(front)).verify(workshop.verifier(second=second))


@pytest.mark.parametrize(
    "name", ["manifest.json", "model.sig", "leaves/1", "leaves/2", "payload/0", "payload/2"]
)
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("coverage", list(Coverage))
def test_any_change_is_found(
    workshop: Workshop, source: Path, name: str, place: int, coverage: Coverage
) -> None:
    forgery = Forgery(workshop.seal(source, digest=coverage))
    forgery.files[name][place] ^= 4
    changed = forgery.write(workshop.folder / "changed.keep").read_bytes()
    with pytest.raises((TamperedError, SignatureError, MalformedError, UntrustedSignerError)):
        payload_of(Arriving(changed), workshop.verifier())


def test_a_file_is_refused_by_its_digest_alone(workshop: Workshop, bundle: Path) -> None:
    forgery = Forgery(bundle)
    forgery.sign(workshop.signer, forgery.resources())
    assert payload_of(Arriving(forgery.write(bundle).read_bytes()), workshop.verifier())
    forgery.sign(workshop.signer, forgery.resources() | {"payload/2": bytes(32)})
    data = forgery.write(bundle).read_bytes()
    with pytest.raises(TamperedError, match="a file is not the one that was signed"):
        payload_of(Arriving(data), workshop.verifier())
    with Bundle(bundle) as opened, pytest.raises(TamperedError, match="a file is not the one"):
        opened.verify(workshop.verifier()).check_digests()


@pytest.mark.parametrize("change", ["drop a file", "add a file", "shorten a stream", "no manifest"])
def test_other_files_than_the_manifest_lists_are_refused(
    workshop: Workshop, bundle: Path, change: str
) -> None:
    files = (forgery := Forgery(bundle)).files
    if change == "drop a file":
        del files["leaves/2"], files["payload/2"]
    elif change == "add a file":
        files["leaves/3"], files["payload/3"] = files["leaves/2"], files["payload/2"]
    elif change == "shorten a stream":
        del files["payload/2"][-100:]
    else:
        del files["manifest.json"]
    data = forgery.write(workshop.folder / "changed.keep").read_bytes()
    with pytest.raises((TamperedError, MalformedError)):
        payload_of(Arriving(data), workshop.verifier())


def test_cut_anywhere_is_refused_and_so_is_what_follows_the_end(workshop: Workshop, bundle: Path) -> None:
    data = bundle.read_bytes()
    for length in (0, 511, 512, first_payload(bundle), len(data) - 1025, len(data) - 1):
        with pytest.raises(MalformedError):
            payload_of(Arriving(data[:length]), workshop.verifier())
    with pytest.raises(MalformedError, match="does not end"):
        payload_of(Arriving(data + b"\0"), workshop.verifier())
