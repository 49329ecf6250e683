"""Where `modelkeep install` takes a bundle from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from modelkeep.errors import UsageError
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
    chosen = {name: getattr(arguments, name) for name in _DOWNLOAD if getattr(arguments, name)}
    if not is_address(arguments.bundle):
        if chosen:
            raise UsageError(f"--{min(chosen).replace('_', '-')} is for downloads", hint="name an address")
        return source_of(arguments.bundle)
    return _download(arguments, chosen)


def _download(arguments: argparse.Namespace, chosen: Mapping[str, Any]) -> Source:
    # What most commands do without, and an extra.
    from modelkeep.channels.download import HttpSource
    from modelkeep.channels.http_client import ClientSettings
    from modelkeep.channels.pace import DownloadLimits

    limits = {name: chosen[name] for name in ("bandwidth", "slowest", "deadline") if name in chosen}
    client = {setting: chosen[name] for name, setting in _CLIENT.items() if name in chosen}
    return HttpSource(
        arguments.bundle,
        mirrors=arguments.mirror,
        limits=DownloadLimits(**limits),
        client=ClientSettings(**client),
    )
