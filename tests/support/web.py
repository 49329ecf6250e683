"""A web server of sockets alone, so that it can do everything wrong that a server can do."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Headers = dict[str, str]
Answer = Callable[["Headers", socket.socket], None]


@dataclass
class Web:
    """A server that gives one answer after the other, the last one for ever.

    Attributes:
        url: its address.
        asked: the headers of each request, with the first line as ``line``.
    """

    url: str
    asked: list[Headers] = field(default_factory=list)


@contextmanager
def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Runs a server on this machine for the length of a `with` block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "http" if tls is None else "https"
        web = Web(f"{scheme}://localhost:{listener.getsockname()[1]}/model.keep?token=secret")
        thread = threading.Thread(target=_accept, args=(listener, web, answers, tls), daemon=True)
        thread.start()
        try:
            yield web
        finally:
            # Wakes `accept`, which closing alone does not.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(
    listener: socket.socket, web: Web, answers: tuple[Answer, ...], tls: ssl.SSLContext | None
) -> None:
    left = list(answers)
    with suppress(OSError):
        while True:
            raw, _ = listener.accept()
            # A client that leaves in the middle is no concern of the next one.
            with suppress(OSError), raw if tls is None else tls.wrap_socket(raw, server_side=True) as client:
                web.asked.append(_headers(client))
                (left.pop(0) if len(left) > 1 else left[0])(web.asked[-1], client)


def _headers(client: socket.socket) -> Headers:
    data = b""
    while b"\r\n\r\n" not in data and (piece := client.recv(4096)):
        data += piece
    line, *rest = data.decode("latin-1").split("\r\n")
    pairs = (each.partition(": ")[::2] for each in rest if each)
    return {"line": line, **{name.lower(): value for name, value in pairs}}


def reply(status: int, headers: Headers, body: bytes = b"") -> Answer:
    """Returns an answer of these parts, and nothing else."""

    def answer(_asked: Headers, client: socket.socket) -> None:
        lines = [f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in headers.items())]
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def giving(data: bytes, tag: str | None = '"one"', *, most: int | None = None, ranges: bool = True) -> Answer:
    """Returns an answer as it should be; with `most`, the connection breaks after so many bytes of it."""

    def answer(asked: Headers, client: socket.socket) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        start = int(wanted[1]) if wanted and ranges and asked.get("if-range", tag) == tag else 0
        headers = {"Content-Length": str(len(data) - start)} | ({} if tag is None else {"ETag": tag})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        reply(206 if start else 200, headers, data[start:][:most])(asked, client)

    return answer


@dataclass(frozen=True)
class Authority:
    """Somebody who vouches for servers and clients.

    Attributes:
        roots: PEM file of its certificate.
    """

    roots: Path
    _key: ec.EllipticCurvePrivateKey
    _folder: Path

    @classmethod
    def made(cls, folder: Path, name: str = "root") -> Authority:
        """Makes one with files in `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        roots = folder / f"{name}.pem"
        roots.write_bytes(_certificate(name, name, key, key, is_authority=True))
        return cls(roots, key, folder)

    def certify(self, name: str) -> Path:
        """Returns a PEM file with a new key and a certificate for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{self.roots.stem}-{name}.pem"
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(_certificate(name, self.roots.stem, key, self._key, is_authority=False) + plain)
        return path

    def server(self, *, demand_clients: bool = False) -> ssl.SSLContext:
        """Returns what a server called localhost needs; it may demand certificates of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certify("localhost"))
        if demand_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.roots)
        return context


def _certificate(
    name: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
