"""Settings spare typing and never weaken a check: typed before the environment, that before the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import CommandLine

RUN = "modelkeep run model.keep -i x=x.npy --json"


@pytest.fixture
def home(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of settings, which says whose key and whom to trust."""
    path = shop.folder / "home" / "modelkeep" / "config.toml"
    path.parent.mkdir(parents=True)
    monkeypatch.delenv("MODELKEEP_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shop.folder / "home"))
    path.write_text(f'key = "file:{shop.folder}/pi-17.pem"\ntrust = ["../../publisher.pub"]\n')
    return path


def test_what_is_set_need_not_be_typed_and_is_said(shop: CommandLine, home: Path) -> None:
    result = shop.ok(RUN)
    assert result.json["model"]
    assert f"taken: key of {home}, trust of {home}" in result.err


def test_what_is_typed_comes_first_and_trust_is_one_thing(shop: CommandLine, home: Path) -> None:
    home.write_text(home.read_text() + f'trust-root = ["{shop.folder}/stranger.pub"]\ntrust-threshold = 1\n')
    assert shop.shell(RUN).code != 0
    assert shop.ok(f"{RUN} -t publisher.pub").json["model"]
    assert shop.shell(f"{RUN} -t stranger.pub").code == 3
    assert shop.shell(f"{RUN} -t publisher.pub -k file:pi-18.pem").code == 4


def test_the_environment_comes_before_the_file(
    shop: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELKEEP_KEY", f"file:{shop.folder}/pi-18.pem")
    assert shop.shell(RUN).code == 4
    monkeypatch.setenv("MODELKEEP_KEY", f"file:{shop.folder}/pi-17.pem")
    monkeypatch.setenv("MODELKEEP_TRUST", f"{shop.folder}/stranger.pub:{shop.folder}/publisher.pub")
    monkeypatch.setenv("MODELKEEP_MODEL_ID", "acme/other")
    assert shop.shell(RUN).code == 3
    monkeypatch.setenv("MODELKEEP_TRUST_THRESHOLD", "two")
    assert shop.shell(RUN).code == 2


def test_nobody_is_trusted_where_that_was_said(shop: CommandLine, home: Path) -> None:
    # Without a signature's check nothing of the settings' trust counts, so nothing can look as if it did.
    home.write_text(home.read_text() + 'signer = "nobody.pem"\n')
    shop.ok("modelkeep seal model.onnx -r pi-17.pub --unsafe-unsigned -o plain.keep")
    result = shop.ok("modelkeep run plain.keep -i x=x.npy --unsafe-unsigned")
    assert "trust of" not in result.err


def test_a_file_of_no_model_is_verified_whatever_model_was_set(shop: CommandLine, home: Path) -> None:
    home.write_text(f'{home.read_text()}model-id = "acme/detector"\n')
    shop.ok("modelkeep keys create --kind plain plain.pem > plain.pub")
    shop.ok("modelkeep sign x.npy -s plain.pem -o x.sig")
    shop.ok("modelkeep verify x.npy --signature x.sig -t plain.pub")


def test_a_command_without_such_options_reads_no_settings(shop: CommandLine, home: Path) -> None:
    home.write_text("not toml")
    shop.ok("modelkeep inspect model.keep")
    shop.ok("modelkeep run --help")
    assert shop.shell(RUN).code == 2


@pytest.mark.parametrize(
    "text",
    ["unsafe-unsigned = true", "force = true", "trust = 'x.pub'", "key = 7", "trust = ['']", "\xff"],
)
def test_what_cannot_be_set_is_said(shop: CommandLine, home: Path, text: str) -> None:
    home.write_bytes(text.encode("latin-1"))
    result = shop.shell(RUN)
    assert result.code == 2
    assert str(home) in result.err
