"""The HTTP client of downloads: whom it trusts, what it shows, and how long it waits."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from modelkeep.channels.pace import DownloadLimits, Patience
from modelkeep.errors import UsageError
from modelkeep.storage import words_for

# Compressed answers have no length before they are unpacked, and offsets in them mean something else.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "modelkeep"}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How servers are reached.

    Attributes:
        roots: PEM file of the authorities that vouch for servers, instead of the system's.
        certificate: PEM file with the certificate that is shown to servers, or None.
        key: PEM file with its private key; None where `certificate` holds it, too.
        proxy: address of a proxy, instead of the one that ``https_proxy`` and its like name.
    """

    roots: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    proxy: str | None = None


def http_client(
    settings: ClientSettings,
    limits: DownloadLimits,
    patience: Patience,
    tls: ssl.SSLContext | None = None,
) -> httpx.Client:
    """Returns a client that follows no redirects by itself.

    Args:
        settings: how servers are reached.
        limits: how long to wait.
        patience: ends waiting.
        tls: what `tls_context` has made of the settings, for several clients.

    Raises:
        UsageError: a certificate, key or proxy that cannot be used.
        StorageError: a file cannot be read.
    """
    context = tls or tls_context(settings)
    try:
        client = httpx.Client(
            verify=context,
            proxy=settings.proxy,
            headers=_HEADERS,
            timeout=limits.silence,
            follow_redirects=False,
            # A download is one answer: nothing is left open behind it.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(f"this proxy cannot be used: {error}") from None
    for transport in (client._transport, *client._mounts.values()):
        _be_patient(transport, patience)
    return client


def tls_context(settings: ClientSettings) -> ssl.SSLContext:
    """Returns whom to trust among servers, and what to show them.

    Raises:
        UsageError: a certificate or key that cannot be used.
        StorageError: a file cannot be read.
    """
    if settings.key is not None and settings.certificate is None:
        raise UsageError("a key without a certificate", hint="name the certificate as well")
    given = (settings.roots, settings.certificate, settings.key)
    files = [str(each) for each in given if each is not None]
    with words_for(" or ".join(files) or "the system's certificates"):
        context = _loaded(settings)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _loaded(settings: ClientSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.roots)
        if settings.certificate is not None:
            # Never asks a terminal for a passphrase.
            context.load_cert_chain(settings.certificate, settings.key, password=lambda: b"")
    except ssl.SSLError as error:
        raise UsageError(
            f"not certificates and a key that belong together: {error.reason or error}",
            hint="pass PEM files; the key without a passphrase",
        ) from None
    return context


def _be_patient(transport: Any, patience: Patience) -> None:
    # httpx has no deadline for an answer that comes byte by byte, and no other way to a socket.
    if isinstance(transport, httpx.HTTPTransport):
        pool: Any = transport._pool
        pool._network_backend = _Backend(pool._network_backend, patience)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, patience: Patience) -> None:
        self._backend, self._patience = backend, patience

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _positive(self._patience.left(timeout), httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._patience)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, patience: Patience) -> None:
        self._stream, self._patience = stream, patience

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _positive(self._patience.left(timeout), httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _positive(self._patience.left(timeout), httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _positive(self._patience.left(timeout), httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._patience)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _positive(seconds: float, error: type[Exception]) -> float:
    # A timeout of 0 would mean not to wait at all, and be told otherwise.
    if seconds <= 0:
        raise error("the deadline has passed")
    return seconds
