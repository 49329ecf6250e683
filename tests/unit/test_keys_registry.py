import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from modelkeep import plugins
from modelkeep.errors import KeyStoreError, MalformedError, UsageError
from modelkeep.grants.recipient import KeyHandle
from modelkeep.key_address import parse_address
from modelkeep.keys import registry
from modelkeep.keys.registry import create_key, open_key, schemes
from modelkeep.uri import is_uri, split

REGISTRATION = """
[modelkeep.keys]
mine = {module}:MyStore
raising = {module}:RaisingStore
missing = modelkeep_no_such_module:Store
broken = {module}:NoSuchStore
"""
MODULE = '''
from modelkeep.errors import MalformedError
from modelkeep.keys.file import FileStore


class MyStore:
    """The whole of an adapter: it opens to a handle of ours."""

    def open(self, address):
        return FileStore().open(address)

    def create(self, address, kind=None, *, force=False):
        return FileStore().create(address, kind, force=force)


class RaisingStore:
    def open(self, address):
        if address == "own":
            raise MalformedError("our own words")
        raise RuntimeError("pin=1234")
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs a package with key stores of its own, as pip would lay it out."""
    module = "modelkeep_test_adapter"
    (tmp_path / f"{module}.py").write_text(MODULE)
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(REGISTRATION.format(module=module))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    return module


def test_own_schemes_are_registered() -> None:
    assert set(schemes()) >= {"file", "fleet", "passphrase"}


def test_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown key scheme 'tpm9'") as caught:
        open_key("tpm9:0x81000001")
    assert caught.value.hint is not None
    assert "file, fleet, " in caught.value.hint
    with pytest.raises(UsageError, match="tpm9"):
        create_key("tpm9:0x81000001")


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("file:a.pem", ("file", "a.pem")),
        ("a.pem", ("file", "a.pem")),
        ("/keys/a.pem", ("file", "/keys/a.pem")),
        ("./odd:name.pem", ("file", "./odd:name.pem")),
        ("passphrase:", ("passphrase", "")),
        ("pkcs11:token=a;object=b", ("pkcs11", "token=a;object=b")),
        ("fleet:m.key?device=pi", ("fleet", "m.key?device=pi")),
    ],
)
def test_uri_is_scheme_and_address(uri: str, parts: tuple[str, str]) -> None:
    assert split(uri) == parts
    assert is_uri(uri) == (not uri.startswith((".", "/", "a.pem")))


def test_path_object_is_never_a_uri() -> None:
    assert split(Path("fleet:x")) == ("file", "fleet:x")


def test_adapter_of_another_package_opens_keys(installed: str, tmp_path: Path) -> None:
    recipient = create_key(f"mine:{tmp_path / 'pi-17.pem'}", "x25519")
    handle: KeyHandle = open_key(f"mine:{tmp_path / 'pi-17.pem'}")
    assert recipient is not None
    assert handle.type == recipient.type == "hpke-x25519"


def test_foreign_exceptions_stay_inside(installed: str) -> None:
    with pytest.raises(KeyStoreError, match="'raising' failed: RuntimeError") as caught:
        open_key("raising:x")
    assert "1234" not in str(caught.value)
    with pytest.raises(MalformedError, match="our own words"):
        open_key("raising:own")


@pytest.mark.parametrize("scheme", ["missing", "broken"])
def test_adapter_that_does_not_load_is_named(installed: str, scheme: str) -> None:
    with pytest.raises(KeyStoreError, match=f"'{scheme}' cannot be loaded"):
        open_key(f"{scheme}:x")


def test_two_packages_for_one_scheme_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint("twice", f"package_{number}:Store", registry.GROUP) for number in range(2)
    )
    monkeypatch.setattr(plugins, "entry_points", points.select)
    with pytest.raises(KeyStoreError, match="several packages"):
        open_key("twice:x")


def test_path_with_a_zero_byte_gives_words() -> None:
    with pytest.raises(KeyStoreError, match="'file' failed"):
        open_key("file:a\x00b")


def test_address_is_path_and_options() -> None:
    address = parse_address("a+b%20.pem?device=pi-17&master=/m=n", frozenset({"device", "master"}))
    assert address.path == "a+b%20.pem"
    assert address.options == {"device": "pi-17", "master": "/m=n"}


@pytest.mark.parametrize(
    "text", ["a?x=hunter2", "a?b", "a?b=", "a?b=hunter2&b=hunter2", "a?&b=1", "a?=hunter2"]
)
def test_address_options_are_strict_and_never_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text, frozenset({"b"}))
    assert "hunter2" not in str(caught.value) + str(caught.value.hint)
