"""What packages register under a group of entry points: this package's own first.

To read what every installed package registers takes milliseconds, and so does importing what reads it: that
is done for names which this package does not have, where some package may have them. It also means that no
other package can take one of ours.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from modelkeep.errors import RuntimeMissingError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# What pyproject.toml registers for those who look from outside; a test compares the two.
_OURS: Mapping[str, Mapping[str, str]] = {
    "modelkeep.keys": {
        "file": "modelkeep.keys.file:FileStore",
        "fleet": "modelkeep.keys.fleet:FleetStore",
        "kernel": "modelkeep.keys.kernel_keyring:KernelStore",
        "keyring": "modelkeep.keys.os_keyring:KeyringStore",
        "passphrase": "modelkeep.keys.passphrase:PassphraseStore",
        "systemd": "modelkeep.keys.systemd:CredentialStore",
        "pkcs11": "modelkeep.keys.pkcs11.store:TokenStore",
        "tpm2": "modelkeep.keys.tpm2.store:TpmStore",
    },
    "modelkeep.signers": {
        "pkcs11": "modelkeep.keys.pkcs11.signer:TokenSigner",
        "tpm2": "modelkeep.keys.tpm2.signer:TpmSigner.open",
    },
    "modelkeep.formats": {
        "executorch": "modelkeep.formats.ours:ExecuTorchFormat",
        "gguf": "modelkeep.formats.ours:GgufFormat",
        "ncnn": "modelkeep.formats.ours:NcnnFormat",
        "onnx": "modelkeep.formats.ours:OnnxFormat",
        "openvino": "modelkeep.formats.ours:OpenVinoFormat",
        "ort": "modelkeep.formats.ours:OrtFormat",
        "safetensors": "modelkeep.formats.ours:SafetensorsFormat",
        "tflite": "modelkeep.formats.ours:TfliteFormat",
        "torch": "modelkeep.formats.ours:TorchFormat",
    },
    "modelkeep.runtimes": {
        "executorch": "modelkeep.runtimes.executorch:ExecuTorchRuntime",
        "litert": "modelkeep.runtimes.litert:LiteRtRuntime",
        "ncnn": "modelkeep.runtimes.ncnn:NcnnRuntime",
        "llamacpp": "modelkeep.runtimes.llamacpp:LlamaCppRuntime",
        "onnx": "modelkeep.runtimes.onnx:OnnxRuntime",
        "openvino": "modelkeep.runtimes.openvino:OpenVinoRuntime",
        "ort": "modelkeep.runtimes.ort:OrtRuntime",
        "torch": "modelkeep.runtimes.torch:TorchRuntime",
    },
}

# What the library of an extra is compiled with, where pip says nothing of it: Debian's packages.
_COMPILED_WITH = {"tpm2": "apt-get install libtss2-dev pkg-config gcc python3-dev, then "}


class Plugin(NamedTuple):
    """Something registered.

    Attributes:
        name: under which name.
        value: where it is: ``module:attribute``.
    """

    name: str
    value: str

    def load(self) -> Any:
        """Returns what is registered.

        Raises:
            ImportError, AttributeError: it is not there.
        """
        module, _, attribute = self.value.partition(":")
        loaded = importlib.import_module(module.strip())
        # Extras may follow in brackets; pip has seen to them.
        return operator.attrgetter(attribute.partition("[")[0].strip())(loaded)


def find(group: str, name: str) -> tuple[Plugin, ...]:
    """Returns what is registered under a name: ours, or what other packages offer, each value once."""
    if name in _own(group):
        return (Plugin(name, _own(group)[name]),)
    return tuple(dict.fromkeys(_named(entry_points(group=group, name=name))))


def install_hint(extra: str) -> str:
    """Returns what to type for an extra of ours."""
    return f"{_COMPILED_WITH.get(extra, '')}pip install 'modelkeep[{extra}]'"


def own(group: str) -> tuple[Plugin, ...]:
    """Returns what this package registers, by name; that costs nothing."""
    return tuple(Plugin(name, value) for name, value in sorted(_own(group).items()))


def every(group: str) -> Iterator[Plugin]:
    """Yields everything that is registered, by name: ours first, then what other packages add."""
    yield from own(group)
    others = (each for each in _named(entry_points(group=group)) if each.name not in _own(group))
    yield from sorted(others, key=lambda each: each.name)


def load(plugin: Plugin, what: str) -> object:
    """Returns what is registered, a `what`.

    Raises:
        RuntimeMissingError: its package cannot be imported.
    """
    try:
        loaded: object = plugin.load()
    except (ImportError, AttributeError) as error:
        raise RuntimeMissingError(
            f"{what} {plugin.name}: cannot be imported", hint=f"install the package of {plugin.value}"
        ) from error
    return loaded


def entry_points(*, group: str, name: str | None = None) -> Iterable[EntryPoint]:
    """Returns what all installed packages register; nothing where this one is the only one."""
    from modelkeep import registrations

    if not registrations.may_exist(group):
        return ()
    from importlib import metadata

    points = metadata.entry_points(group=group)
    return points if name is None else points.select(name=name)


def _own(group: str) -> Mapping[str, str]:
    return _OURS.get(group, {})


def _named(points: Iterable[EntryPoint]) -> Iterator[Plugin]:
    return (Plugin(point.name, point.value) for point in points)
