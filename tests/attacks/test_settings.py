"""An attacker who can write settings, or hopes that they add up with what is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelkeep.configuration import configured_verifier
from modelkeep.errors import UsageError
from modelkeep.settings import FILE_VARIABLE
from support.command_line import CommandLine

RUN = "modelkeep run model.keep -k file:pi-17.pem -i x=x.npy"


@pytest.fixture
def config(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of settings that trusts the attacker."""
    path = shop.folder / "config.toml"
    path.write_text('trust = ["stranger.pub"]\n')
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


@pytest.mark.parametrize("mode", [0o622, 0o666, 0o620])
def test_settings_that_others_may_change_stop_a_command(shop: CommandLine, config: Path, mode: int) -> None:
    config.write_text('trust = ["publisher.pub"]\n')
    shop.ok(RUN)
    config.chmod(mode)
    result = shop.shell(RUN)
    assert (result.code, "others may change these settings" in result.err) == (6, True)


def test_settings_never_join_whom_somebody_typed(shop: CommandLine, config: Path) -> None:
    shop.ok("modelkeep seal model.onnx -r pi-17.pub -s stranger.pem -o strange.keep")
    shop.ok("modelkeep verify strange.keep")
    assert shop.shell("modelkeep verify strange.keep -t publisher.pub").code == 3
    # Nor does what is typed become a trust file of the settings' roots.
    config.write_text('trust = ["stranger.pub"]\ntrust-root = ["stranger.pub"]\n')
    assert shop.shell("modelkeep verify strange.keep -t publisher.pub").code == 3
    shop.ok("modelkeep verify model.keep -t publisher.pub")


@pytest.mark.parametrize("text", ["unsafe-unsigned = true", "any-model = true", "force = true"])
def test_settings_switch_no_check_off(shop: CommandLine, config: Path, text: str) -> None:
    shop.ok("modelkeep seal model.onnx -r pi-17.pub --unsafe-unsigned -o plain.keep")
    config.write_text(f"{text}\n")
    assert shop.shell("modelkeep run plain.keep -k file:pi-17.pem -i x=x.npy").code == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # Cut at the largest size, it would lack the last line without a word.
        (f'trust = ["publisher.pub"]\n#{"x" * 2**16}\nmodel-id = "acme/other"\n', 6),
        ('trust = ["trust.json"]\ntrust-root = ["root.pub"]\ntrust-threshold = true\n', 2),
        ('trust = ["publisher.pub\\u0000"]\n', 6),
        ('trust = ["~nobody-here/publisher.pub"]\n', 2),
        ('trust = ["publisher.pub"]\nsecond-trust = "~nobody-here/second.pub"\n', 2),
    ],
)
def test_settings_that_say_less_than_they_hold_are_refused(
    shop: CommandLine, config: Path, text: str, code: int
) -> None:
    config.write_text(text)
    result = shop.shell("modelkeep verify model.keep")
    assert (result.code, "config.toml" in result.err) == (code, True)
    assert "Traceback" not in result.err


def test_settings_that_somebody_named_and_removed_are_missed(shop: CommandLine, config: Path) -> None:
    config.unlink()
    assert shop.shell("modelkeep verify model.keep -t publisher.pub").code == 6


def test_settings_that_cannot_be_looked_for_are_not_taken_for_none(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FILE_VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shop.folder / "of-account"))
    verify = "modelkeep verify model.keep -t publisher.pub"
    shop.ok(verify)
    (shop.folder / "of-account").mkdir()
    (shop.folder / "of-account" / "modelkeep").symlink_to("modelkeep")
    assert shop.shell(verify).code == 6


@pytest.mark.parametrize("roots", ["", 'trust-root = ["publisher.pub"]\n'])
def test_a_subject_that_would_count_for_nothing_is_refused(
    shop: CommandLine, config: Path, roots: str
) -> None:
    config.write_text(f'trust = ["publisher.pub"]\nmodel-id = "acme/detector"\nsubject = "CN=acme"\n{roots}')
    assert "whose certificate counts" in shop.shell("modelkeep verify model.keep").err
    with pytest.raises(UsageError, match="whose certificate counts"):
        configured_verifier()


def test_an_account_without_a_home_has_no_settings_there(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    # To Python the same as none at all, which not every account can set.
    monkeypatch.setenv("HOME", "~")
    shop.ok("modelkeep verify model.keep -t publisher.pub")
    assert shop.shell("modelkeep verify model.keep").code == 2


def test_a_number_without_end_is_refused_in_words(shop: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELKEEP_TRUST_THRESHOLD", "1" * 6000)
    refused = shop.shell("modelkeep verify model.keep")
    assert (refused.code, "trust-threshold is a number" in refused.err) == (2, True)
