"""An authority of time on this machine: `openssl ts` behind a small HTTP server."""

from __future__ import annotations

import datetime
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.needs import require

_CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_cert = authority.pem
certs = authority.pem
signer_key = authority.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_chain = no
"""


class TimeAuthority:
    """Signs the present time; `root` is what verifiers trust.

    Attributes:
        root: its root certificate.
        url: where it answers, while `serving`.
        answer: what it answers instead of a timestamp, or None.
    """

    def __init__(self, folder: Path) -> None:
        require("openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.url = ""
        self.answer: bytes | None = None
        key, self.root = certificate("time root")
        own, issued = certificate("time authority", key, self.root)
        (folder / "root.pem").write_bytes(self.root.public_bytes(Encoding.PEM))
        (folder / "authority.pem").write_bytes(issued.public_bytes(Encoding.PEM))
        (folder / "authority.key").write_bytes(
            own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (folder / "authority.cnf").write_text(_CONFIGURATION)

    @property
    def root_file(self) -> Path:
        """The root certificate as PEM file."""
        return self._folder / "root.pem"

    def reply(self, query: bytes) -> bytes:
        """Returns a TimeStampResp for a TimeStampReq."""
        (self._folder / "query").write_bytes(query)
        command = [
            "openssl",
            "ts",
            "-reply",
            "-config",
            "authority.cnf",
            "-queryfile",
            "query",
            "-out",
            "reply",
        ]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=60)
        return (self._folder / "reply").read_bytes()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answers at `url` for the length of a `with` block."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                reply = authority.reply(query) if authority.answer is None else authority.answer
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_arguments: object) -> None:
                """Says nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            self.url = f"http://127.0.0.1:{server.server_port}/"
            yield self.url
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def certificate(
    name: str, issuer_key: ec.EllipticCurvePrivateKey | None = None, issuer: x509.Certificate | None = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Returns the key and certificate of a root, or of an authority that `issuer` vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
    )
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return key, builder.sign(issuer_key or key, hashes.SHA256())
