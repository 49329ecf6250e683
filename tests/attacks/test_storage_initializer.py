"""Whoever serves, forges or misnames a sealed model does not get it into a pod; nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.errors import (
    KeepError,
    MalformedError,
    TamperedError,
    UnavailableError,
    UntrustedSignerError,
    UsageError,
    WrongModelError,
)
from modelkeep.integrations.kserve.initializer import fetch, main
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from support.integrations import set_up
from support.web import giving, serving
from support.workshop import Workshop


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The folder of a pod that models are put into."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


def served(data: bytes, workshop: Workshop, mounted: Path) -> Path:
    with serving(giving(data)) as web:
        return fetch(f"keep+{web.url}", mounted, workshop.verifier())


def test_what_was_verified_is_what_lies_there(workshop: Workshop, mounted: Path) -> None:
    data = workshop.seal().read_bytes()
    path = served(data, workshop, mounted)
    assert (path.name, path.read_bytes(), list(mounted.iterdir())) == ("model.keep", data, [path])


def test_each_change_by_a_server_is_noticed_and_nothing_is_left(workshop: Workshop, mounted: Path) -> None:
    data = workshop.seal().read_bytes()
    flipped = bytearray(data)
    flipped[-1500] ^= 1  # within the payload, which comes last
    changes: list[tuple[bytes, type[KeepError]]] = [
        (bytes(flipped), TamperedError),
        (data + b"\0", MalformedError),
        (data[:-1], KeepError),
        (data[:-512], KeepError),
        (b"\x08\x08", MalformedError),
        (workshop.model().read_bytes(), MalformedError),
    ]
    for changed, kind in changes:
        with pytest.raises(kind):
            served(changed, workshop, mounted)
        assert list(mounted.iterdir()) == []


def test_what_nobody_trusted_signed_or_is_another_model_is_refused(workshop: Workshop, mounted: Path) -> None:
    stranger = workshop.folder / "stranger.pem"
    create_signing_key(stranger)
    by_stranger = workshop.seal(signer=Signer.from_pem(stranger))
    for bundle in (by_stranger, workshop.seal(model="acme/other")):
        with pytest.raises((UntrustedSignerError, WrongModelError)):
            fetch(f"keep+file://{bundle}", mounted, workshop.verifier())
    assert list(mounted.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["keep+file:///a/..", "keep+https://h/..%2f..%2fevil.keep/", "keep+https://h/a%2f..%2f.ssh.keep", "s3://h/m.keep",
     "keep+https://h/m.onnx", "keep+https://h/", "/etc/m.keep", "keep+ftp://h/m.keep", "keep+file:///m%00.keep",
     "keep+https:m.keep", "keep+https://h/-m.keep", "keep+https://[/m.keep", ""],
)  # fmt: skip
def test_addresses_lead_nowhere_else(address: str, workshop: Workshop, mounted: Path) -> None:
    with pytest.raises((UsageError, UnavailableError)):
        fetch(address, mounted, workshop.verifier())
    assert list(mounted.iterdir()) == []


def test_passwords_in_addresses_that_are_wrong_are_not_shown(workshop: Workshop, mounted: Path) -> None:
    for place in ("[/m.keep", "h:port/m.keep?sig=s3cret@h", "/m.keep#s3cret"):
        with pytest.raises(UsageError, match="not an address") as refused:
            fetch(f"keep+https://user:s3cret@{place}", mounted, workshop.verifier())
        assert "s3cret" not in f"{refused.value} {refused.value.hint}"


def test_a_path_without_a_scheme_is_not_a_source(workshop: Workshop, mounted: Path) -> None:
    with pytest.raises(UsageError, match="not a source"):
        fetch(str(workshop.seal(name="m.keep")), mounted, workshop.verifier())


def test_a_link_in_the_models_place_is_replaced_and_not_followed(workshop: Workshop, mounted: Path) -> None:
    elsewhere = mounted.parent / "elsewhere"
    elsewhere.write_text("mine")
    (mounted / "model.keep").symlink_to(elsewhere)
    assert not served(workshop.seal().read_bytes(), workshop, mounted).is_symlink()
    assert elsewhere.read_text() == "mine"


def test_a_pod_does_not_start_with_what_was_refused(
    workshop: Workshop, mounted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and words; the key that no initializer needs is never asked for."""
    set_up(workshop, monkeypatch)
    monkeypatch.setenv("MODELKEEP_KEY", "file:/nowhere")
    good, other = workshop.seal(name="good.keep"), workshop.seal(model="acme/other", name="other.keep")
    main([f"keep+file://{good}", str(mounted)])
    assert capsys.readouterr().err == f"verified: {mounted / 'good.keep'}\n"
    steering = [f"keep+file://{mounted}/%1b[31m/%E2%80%AE/good.keep", str(mounted)]
    for words in (
        [f"keep+file://{good}", str(mounted), f"keep+file://{other}", str(mounted)],
        ["one"],
        [],
        steering,
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert str(ended.value).startswith("modelkeep: ")
        # Whoever asks for a pod chooses the address, and others read the log.
        assert str(ended.value).replace("\n", "").isprintable()
    assert not (mounted / "other.keep").exists()
