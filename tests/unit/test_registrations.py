"""A look at what is installed finds whatever importlib.metadata would, and asks it where it cannot know."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from modelkeep import plugins, registrations

GROUP = "modelkeep.formats"
LINES = f"[console_scripts]\nacme = acme:main\n\n[{GROUP}]\nacme = acme:Format\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where packages are, in a process in which no backport took importlib's place."""

    class Finder(PathFinder):
        find_distributions = staticmethod(metadata.MetadataPathFinder.find_distributions)

    others = [finder for finder in sys.meta_path if not hasattr(finder, "find_distributions")]
    monkeypatch.setattr(registrations, "PathFinder", Finder)
    monkeypatch.setattr(sys, "meta_path", [*(each for each in others if each is not PathFinder), Finder])
    monkeypatch.setattr(sys, "path", ["", tmp_path / "nowhere", str(tmp_path / "all.zip"), tmp_path])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def register(place: Path, lines: str = LINES) -> None:
    place.mkdir(parents=True)
    (place / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (place / "entry_points.txt").write_text(lines)


@pytest.mark.parametrize("name", ["acme-1.dist-info", "Acme-1.DIST-INFO", "acme.egg-info"])
def test_what_a_package_registers_is_found(name: str, folder: Path) -> None:
    register(folder / name)
    assert registrations.may_exist(GROUP)
    assert {point.value for point in plugins.entry_points(group=GROUP)} == {"acme:Format"}


@pytest.mark.parametrize("name", ["modelkeep-1.dist-info", "acme-1.dist-info", "acme", "acme-1.egg-info"])
def test_what_nobody_registers_is_not_asked_for(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(folder / name, LINES if name in ("modelkeep-1.dist-info", "acme") else "[console_scripts]\n")
    (folder / "other.egg-info").write_text("Name: other\n")
    (folder / "bare-1.dist-info").mkdir()
    monkeypatch.setattr(metadata, "entry_points", None)
    assert not registrations.may_exist(GROUP)
    assert plugins.entry_points(group=GROUP) == ()


def test_archives_and_other_finders_are_left_to_importlib(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        @staticmethod
        def find_distributions() -> None:
            """Not asked here."""

    with monkeypatch.context() as patched:
        patched.setattr(sys, "meta_path", [*sys.meta_path, Finder])
        assert registrations.may_exist(GROUP)
    assert not registrations.may_exist(GROUP)
    register(folder / "acme-1.egg" / "EGG-INFO")
    monkeypatch.setattr(sys, "path", [str(folder / "acme-1.egg")])
    assert {point.value for point in plugins.entry_points(group=GROUP)} == {"acme:Format"}
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("acme-1.dist-info/entry_points.txt", LINES)
    monkeypatch.setattr(sys, "path", [str(folder / "all.zip")])
    assert registrations.may_exist(GROUP)
