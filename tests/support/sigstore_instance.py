"""A Sigstore of one's own: an authority, logs of certificates and of signatures, and their trusted root.

Real keys and real documents, made here: nothing is signed in anybody's name, and no network is asked.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelkeep import dsse
from modelkeep.clock import LATEST_TIME
from modelkeep.trust import oms
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.sigstore_signer import SigstoreSigner
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from support.certificates import START, Extension, certificate, common_name
from support.workshop import MODEL_ID, Workshop

GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main"
OURS = SigstoreSigner(WORKFLOW, GITHUB)
# When everything is signed: long after that, the certificate of ten minutes has ended.
SIGNED_AT = START + datetime.timedelta(minutes=5)

_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_TEN_MINUTES = datetime.timedelta(minutes=10)


class SigstoreInstance:
    """Vouches for whoever asks."""

    def __init__(self, name: str = "sigstore.example") -> None:
        self.name = name
        self.key, self.log, self.certificate_log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        extensions: list[Extension] = [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(signs_certificates=True), True),
            (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False),
        ]
        self.certificate = certificate(common_name(name), self.key, extensions)

    def trusted_root(self) -> bytes:
        """Returns the trusted root, JSON."""
        authority = {
            "subject": {"organization": self.name, "commonName": self.name},
            "uri": f"https://{self.name}",
            "certChain": {"certificates": [{"rawBytes": _der(self.certificate)}]},
            "validFor": {"start": _moment(START)},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [self._log(self.log)],
                "certificateAuthorities": [authority],
                "ctlogs": [self._log(self.certificate_log)],
                "timestampAuthorities": [],
            }
        ).encode()

    def trust_file(self, *more: Publisher, models: tuple[str, ...] = ("acme/*",)) -> TrustFile:
        """Returns a trust file, not signed yet, that pins this instance and names the usual workflow."""
        root = self.trusted_root().decode()
        return TrustFile(1, LATEST_TIME, (Publisher(OURS, models), *more), sigstore_root=root)

    def signer(self, identity: str = WORKFLOW, issuer: str = GITHUB) -> IdentitySigner:
        """Returns who signs under an identity."""
        return IdentitySigner(self, identity, issuer)

    def _log(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        public = {"rawBytes": _base64(_public(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        return {
            "baseUrl": f"https://log.{self.name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": public | {"validFor": {"start": _moment(START)}},
            "logId": {"keyId": _base64(_key_id(key))},
        }

    def certify(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        """Returns a certificate of ten minutes for a key, with the promise of the log of certificates."""
        extensions: list[Extension] = [
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (_usage(signs_certificates=False), True),
            (x509.SubjectAlternativeName([_name(identity)]), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
            (x509.UnrecognizedExtension(_ISSUER, issuer.encode()), False),
        ]
        serial = x509.random_serial_number()
        draft = certificate(x509.Name([]), key, extensions, self, lasts=_TEN_MINUTES, serial=serial)
        promised = x509.UnrecognizedExtension(_TIMESTAMPS, self._promise(draft.tbs_certificate_bytes))
        extensions.append((promised, False))
        return certificate(x509.Name([]), key, extensions, self, lasts=_TEN_MINUTES, serial=serial)

    def _promise(self, draft: bytes) -> bytes:
        """Returns the promise that a certificate is in its log. Source: RFC 6962, section 3."""
        moment = struct.pack(">Q", int(START.timestamp() * 1000))
        entry = _key_id(self.key) + len(draft).to_bytes(3) + draft
        signed = _sign(self.certificate_log, b"\0\0" + moment + struct.pack(">H", 1) + entry + bytes(2))
        promise = b"\0" + _key_id(self.certificate_log) + moment + bytes(2) + b"\x04\x03" + _sized(signed)
        listed = _sized(_sized(promise))
        return b"\x04" + (bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])) + listed

    def logged(self, body: bytes) -> dict[str, Any]:
        """Returns the entry of the log of signatures, whose only one it is."""
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{self.name}\n1\n{_base64(root)}\n"
        signed = _base64(_key_id(self.log)[:4] + _sign(self.log, note.encode()))
        entry: dict[str, Any] = {"body": _base64(body), "integratedTime": int(SIGNED_AT.timestamp())}
        named = rfc8785.dumps({**entry, "logID": _key_id(self.log).hex(), "logIndex": 0})
        return {
            "logIndex": "0",
            "logId": {"keyId": _base64(_key_id(self.log))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(entry["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": _base64(_sign(self.log, named))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _base64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {self.name} {signed}\n"},
            },
            "canonicalizedBody": entry["body"],
        }


@dataclass(frozen=True)
class IdentitySigner:
    """Signs with a new key each time, for which the instance vouches; a signer of bundles."""

    instance: SigstoreInstance
    identity: str
    issuer: str

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Of no use: every signature has its own."""
        raise NotImplementedError

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """None: they are in the document."""
        return ()

    def sign(self, message: bytes) -> bytes:
        """Of no use without what the logs say."""
        raise NotImplementedError

    def document_size(self, payload: bytes) -> int:
        """Returns more bytes than the document needs; signatures differ in length."""
        return len(self.sign_document(payload)) + 64

    def sign_document(self, payload: bytes) -> bytes:
        """Returns a Sigstore bundle about a payload."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self.instance.certify(key, self.identity, self.issuer)
        signature = _base64(_sign(key, dsse.pae(oms.PAYLOAD_TYPE, payload)))
        entry = self.instance.logged(_body(payload, signature, issued))
        envelope = {"payload": _base64(payload), "payloadType": oms.PAYLOAD_TYPE}
        return json.dumps(
            {
                "mediaType": oms.MEDIA_TYPE,
                "verificationMaterial": {"certificate": {"rawBytes": _der(issued)}, "tlogEntries": [entry]},
                "dsseEnvelope": envelope | {"signatures": [{"sig": signature, "keyid": ""}]},
            }
        ).encode()


def trusting(workshop: Workshop, trust: TrustFile, **rules: Any) -> Verifier:
    """Returns who goes by a trust file, once a root has signed it."""
    return Verifier.from_trust_file(workshop.signed(trust), model=MODEL_ID, **rules)


def _body(payload: bytes, signature: str, issued: x509.Certificate) -> bytes:
    verifier = _base64(issued.public_bytes(Encoding.PEM))
    digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    spec: dict[str, Any] = {
        "envelopeHash": digest,
        "payloadHash": digest,
        "signatures": [{"signature": signature, "verifier": verifier}],
    }
    return rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def _name(identity: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(identity) if "://" in identity else x509.RFC822Name(identity)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    rest = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    never = dict.fromkeys((*rest, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        **never,
    )


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_public(key)).digest()


def _der(certificate: x509.Certificate) -> str:
    return _base64(certificate.public_bytes(Encoding.DER))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _moment(moment: datetime.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
