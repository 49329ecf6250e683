"""Whose key, and whom to trust, as the settings of this user or service say it: for programs."""

from __future__ import annotations

from typing import Any

from modelkeep.errors import UsageError
from modelkeep.named_trust import authorities_in, refuse_subject, roots_in, trust_file_in, trusted
from modelkeep.settings import NAMES, THRESHOLD, find, variable_of
from modelkeep.storage import named
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier


def configured_identity() -> str:
    """Returns the URI of this device's key, from the environment or the settings' file.

    Raises:
        UsageError: it is not set, or the settings are not of their form.
        StorageError: they cannot be read, or others may change them.
    """
    return str(_needed(_settings(), "key"))


def configured_verifier(model: str | None = None) -> Verifier:
    """Returns whom and what to accept, from the environment or the settings' file.

    Args:
        model: the only model to accept, in place of the one that the settings name.

    Raises:
        UsageError, StorageError: see `configured_identity`; or a file that they name cannot be used.
        RefusedError: the trust file does not hold.
    """
    found = _settings()
    paths = _needed(found, "trust")
    rules: dict[str, Any] = {
        "model": model or _needed(found, "model-id"),
        "second": found.get("second-trust"),
        "time_authorities": authorities_in(found.get("time-authority", [])),
    }
    if "trust-root" in found:
        return Verifier.from_trust_file(_trust_file(found, paths), **rules)
    if THRESHOLD in found:
        raise UsageError("trust-threshold is set, and nobody who signs trust files", hint="set trust-root")
    return Verifier(*trusted(paths, found.get("subject")), **rules)


def _settings() -> dict[str, Any]:
    return {name: value for name, (value, _origin) in find(NAMES).items()}


def _trust_file(found: dict[str, Any], paths: list[str]) -> TrustFile:
    refuse_subject(found.get("subject"), "a trust file says it itself")
    roots = roots_in(found["trust-root"], found.get(THRESHOLD, 1))
    data = trust_file_in(paths)
    with named(paths[0]):
        return TrustFile.from_bytes(data, roots)


def _needed(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise UsageError(
            f"{name} is not set", hint=f"set {variable_of(name)}, or {name} in modelkeep's config.toml"
        )
    return found[name]
