"""Registrations: ours first, others when they are asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError
from typing import Any, NoReturn

import pytest

from modelkeep import plugins

GROUP = "modelkeep.keys"
OTHERS = EntryPoints([EntryPoint("acme", "acme:Store", GROUP), EntryPoint("file", "acme:Thief", GROUP)])


def refuse(**_wanted: Any) -> NoReturn:
    raise AssertionError("every package was read")


def test_our_names_are_found_without_a_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", refuse)
    assert [point.value for point in plugins.find(GROUP, "file")] == ["modelkeep.keys.file:FileStore"]
    assert next(plugins.every("modelkeep.runtimes")).name == "litert"


def test_other_packages_add_names_and_take_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", OTHERS.select)
    assert [point.value for point in plugins.find(GROUP, "acme")] == ["acme:Store"]
    found = {point.name: point.value for point in plugins.every(GROUP)}
    assert found["acme"] == "acme:Store"
    assert found["file"] == "modelkeep.keys.file:FileStore"


def test_where_this_package_is_not_installed_only_others_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> NoReturn:
        raise PackageNotFoundError

    monkeypatch.setattr(plugins, "distribution", missing)
    monkeypatch.setattr(plugins, "entry_points", OTHERS.select)
    plugins._registered.cache_clear()
    try:
        assert [point.value for point in plugins.find(GROUP, "file")] == ["acme:Thief"]
    finally:
        plugins._registered.cache_clear()
