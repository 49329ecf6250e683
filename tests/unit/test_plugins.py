"""Registrations: ours first, others when they are asked for."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, EntryPoints, distribution
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
    assert next(plugins.every("modelkeep.runtimes")).name == "executorch"


def test_other_packages_add_names_and_take_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", OTHERS.select)
    assert [point.value for point in plugins.find(GROUP, "acme")] == ["acme:Store"]
    found = {point.name: point.value for point in plugins.every(GROUP)}
    assert found["acme"] == "acme:Store"
    assert found["file"] == "modelkeep.keys.file:FileStore"


def test_what_other_packages_see_is_what_we_find() -> None:
    registered = distribution("modelkeep").entry_points
    for group in registered.groups:
        if group.startswith("modelkeep."):
            outside = {point.name: point.value for point in registered.select(group=group)}
            assert {plugin.name: plugin.value for plugin in plugins.own(group)} == outside


def test_values_may_name_extras_and_attributes_of_attributes() -> None:
    assert plugins.Plugin("x", "os:path.join [extra]").load() is os.path.join
