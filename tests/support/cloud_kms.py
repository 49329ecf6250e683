"""A key management service of one's own: AWS KMS as moto plays it, over HTTP on this machine."""

from __future__ import annotations

import importlib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from modelkeep import public_key
from support.needs import missing

SECRET_ACCESS_KEY = "wJalrXUtnFEMI-secret-of-the-publisher"
_HASHES = {"ECDSA_SHA_256": hashes.SHA256(), "ECDSA_SHA_384": hashes.SHA384()}


class CloudKms:
    """A running service, which boto3 finds through the environment."""

    def __init__(self, server: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._server, self._folder, self._patch = server, folder, patch
        host, port = server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        patch.setenv("AWS_ENDPOINT_URL", self.address)
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        self.log_in("AKIAPUBLISHER", SECRET_ACCESS_KEY)

    def client(self, service: str) -> Any:
        """Returns boto3's client for a service."""
        return importlib.import_module("boto3").client(service)

    def log_in(self, key: str, secret: str) -> None:
        """Sets the credentials that boto3 finds."""
        self._patch.setenv("AWS_ACCESS_KEY_ID", key)
        self._patch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    def create(self, spec: str = "ECC_NIST_P256", use: str = "SIGN_VERIFY") -> str:
        """Makes a key in the service and returns the signer's URI, with the file of its public key."""
        client = self.client("kms")
        name = client.create_key(KeySpec=spec, KeyUsage=use)["KeyMetadata"]["KeyId"]
        key = load_der_public_key(client.get_public_key(KeyId=name)["PublicKey"])
        assert isinstance(key, ec.EllipticCurvePublicKey)
        file = self._folder / f"{name}.pub"
        file.write_bytes(public_key.to_pem(key))
        return f"awskms:{name}#{file}"

    @contextmanager
    def restricted(self) -> Iterator[None]:
        """Has the service check signatures of requests, and what users may do, for the length of a block."""
        self._allow_unchecked(b"0")
        try:
            yield
        finally:
            self._allow_unchecked(b"inf")

    def _allow_unchecked(self, requests: bytes) -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.address}/moto-api/reset-auth", requests, plain)
        urllib.request.urlopen(request).close()

    def stop(self) -> None:
        """Takes the service down."""
        self._server.stop()


@contextmanager
def cloud_kms(folder: Path) -> Iterator[CloudKms]:
    """Runs a service for the length of a `with` block; skips the test where moto is not installed."""
    try:
        servers, utils = (importlib.import_module(name) for name in ("moto.server", "moto.kms.utils"))
        importlib.import_module("boto3")
    except ImportError:
        missing("moto is not installed (pip install --group services)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils.ECDSAPrivateKey, "sign", _sign)
        server = servers.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        service = CloudKms(server, folder, patch)
        try:
            yield service
        finally:
            service.stop()


def _sign(key: Any, message: bytes, signing_algorithm: str) -> bytes:
    # moto hashes what it gets once more. AWS signs a digest as it is (KMS API, "Sign", MessageType).
    algorithm = _HASHES[signing_algorithm]
    assert len(message) == algorithm.digest_size
    signature: bytes = key.private_key.sign(message, ec.ECDSA(Prehashed(algorithm)))
    return signature
