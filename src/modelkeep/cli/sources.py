"""Where `modelkeep install` takes a bundle from, and `modelkeep update` follows a repository."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from modelkeep.channels.channel import Channel
from modelkeep.errors import UsageError
from modelkeep.updates.client.following import channel_of
from modelkeep.updates.source import Source, is_address, source_of

_CLIENT = {
    "tls_roots": "roots",
    "client_certificate": "certificate",
    "client_key": "key",
    "proxy": "proxy",
}
_DOWNLOAD = (*_CLIENT, "bandwidth", "deadline", "mirror", "slowest")


def source(arguments: argparse.Namespace) -> Source:
    """Returns where a bundle comes from.

    Raises:
        UsageError: options of downloads for something else, or ones that cannot be used.
        StorageError: a file cannot be read.
        UnavailableError: the extra for downloads is not installed.
    """
    chosen = _chosen(arguments)
    if not is_address(arguments.bundle):
        _refuse(chosen)
        return source_of(arguments.bundle)
    return _download(arguments, chosen)


def channel(arguments: argparse.Namespace) -> Channel:
    """Returns where a repository is; raises what `source` does."""
    chosen = _chosen(arguments)
    if is_address(arguments.repository) and not arguments.repository.startswith("file:"):
        from modelkeep.channels.http import HttpChannel

        return HttpChannel(arguments.repository, **_details(arguments, chosen))
    _refuse(chosen)
    return channel_of(arguments.repository)


def _chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in _DOWNLOAD if getattr(arguments, name)}


def _refuse(chosen: Mapping[str, Any]) -> None:
    if chosen:
        raise UsageError(f"--{min(chosen).replace('_', '-')} is for downloads", hint="name an address")


def _download(arguments: argparse.Namespace, chosen: Mapping[str, Any]) -> Source:
    # What most commands do without, and an extra.
    from modelkeep.channels.download import HttpSource

    return HttpSource(arguments.bundle, **_details(arguments, chosen))


def _details(arguments: argparse.Namespace, chosen: Mapping[str, Any]) -> dict[str, Any]:
    from modelkeep.channels.http_client import ClientSettings
    from modelkeep.channels.pace import DownloadLimits

    limits = {name: chosen[name] for name in ("bandwidth", "slowest", "deadline") if name in chosen}
    client = {setting: chosen[name] for name, setting in _CLIENT.items() if name in chosen}
    return {
        "mirrors": arguments.mirror,
        "limits": DownloadLimits(**limits),
        "client": ClientSettings(**client),
    }
