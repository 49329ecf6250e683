"""What attackers do to bundles: take them apart, change anything, put them together again.

Nothing here asks the code under attack for permission: files are rebuilt byte by byte, with the
keys that the attacker of the test is said to hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep import canonical
from modelkeep.bundle.access import Access, unlock_bundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.container.order import archive_order
from modelkeep.container.slots import lay_out
from modelkeep.grants.header import key_id
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.identity import Identity
from modelkeep.trust import oms
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.signer import Signer
from modelkeep.trust.statement import Statement
from support.ghash import GcmKey

SEGMENT = 2**20
STREAM_HEADER = 40


class Forgery:
    """The files of a bundle, free to be changed.

    Attributes:
        files: content by name; whatever is in there when `write` is called goes into the bundle.
    """

    def __init__(self, bundle: Path) -> None:
        with Bundle(bundle) as opened:
            self.files = {name: bytearray(opened.read(name)) for name in opened.sizes}

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of the manifest."""
        return dict(json.loads(self.files["manifest.json"]))

    def edit_manifest(self, **members: Any) -> None:
        """Replaces members of the manifest, which invalidates the signature."""
        self.files["manifest.json"][:] = canonical.encode(self.manifest | members)

    def edit_member(self, index: int, **members: Any) -> None:
        """Replaces what the manifest says of one member."""
        listed = self.manifest["members"]
        listed[index] |= members
        self.edit_manifest(members=listed)

    def recompute_leaves(self, index: int) -> None:
        """Makes leaf list and manifest fit the payload as it is now."""
        self.files[f"leaves/{index}"][:] = leaves_of(bytes(self.files[f"payload/{index}"]))
        self.edit_member(index, leaves=blake3(self.files[f"leaves/{index}"]).hexdigest())

    def resources(self) -> dict[str, bytes]:
        """Returns what an honest statement over all files lists."""
        signed = ("manifest.json", "leaves/", "payload/")
        return {
            name: hashlib.sha256(content).digest()
            for name, content in self.files.items()
            if name.startswith(signed)
        }

    def sign(
        self,
        signer: Signer,
        resources: Mapping[str, bytes] | None = None,
        ignore_paths: tuple[str, ...] = (),
    ) -> None:
        """Signs the files as they are now, or whatever `resources` claims about them."""
        listed = self.resources() if resources is None else resources
        statement = Statement("a model", listed, ignore_paths)
        self.files["model.sig"] = bytearray(oms.sign(statement, signer))

    def edit_signature(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the signature document without signing it again."""
        document = json.loads(self.files["model.sig"])
        change(document)
        self.files["model.sig"] = bytearray(canonical.encode(document))

    def edit_grant(self, index: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the header of an embedded grant; the wrapped key stays."""
        name = f"grants/{index}"
        self.files[name] = bytearray(edited_grant(bytes(self.files[name]), change))

    def write(self, path: Path) -> Path:
        """Writes an archive that is in perfect outer form."""
        path.write_bytes(archive(self.files))
        return path


def archive(files: Mapping[str, bytes | bytearray]) -> bytes:
    """Returns the archive form of `files`."""
    ordered = {name: len(files[name]) for name in sorted(files, key=archive_order)}
    slots = lay_out(ordered)
    data = bytearray(max(slot.end for slot in slots.values()) + 1024)
    for name, slot in slots.items():
        data[slot.data_offset - len(slot.front) : slot.data_offset] = slot.front
        data[slot.data_offset : slot.data_offset + slot.size] = files[name]
    return bytes(data)


def edited_grant(grant: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Returns a grant with another header around the same wrapped key."""
    outer = json.loads(grant)
    header = json.loads(base64.b64decode(outer["header"]))
    change(header)
    outer["header"] = base64.b64encode(canonical.encode(header)).decode()
    return canonical.encode(outer)


def leaves_of(payload: bytes) -> bytes:
    """Returns the leaf list (BLAKE3) of a sealed stream."""
    segments = range(0, len(payload), SEGMENT)
    return b"".join(blake3(payload[start : start + SEGMENT]).digest() for start in segments)


def stolen_data_key(bundle: Path, identity: Identity, verifier: BundleVerifier) -> bytes:
    """Returns the data key as any device that may open the bundle can read it from its own memory."""
    with unlock_bundle(bundle, Access(identity, verifier)) as opened:
        return bytes(opened.grant.data_key.view)


def label_for(identity: Identity, forgery: Forgery) -> str:
    """Returns the key id that makes `identity` take a grant of this bundle for its own."""
    recipient = identity.recipient()
    assert isinstance(recipient, HpkeRecipient)
    return key_id(bytes.fromhex(forgery.manifest["bundle"]), recipient.type, recipient.public).hex()


@dataclass(frozen=True)
class StreamKey:
    """The AES key of one stream, in the hands of somebody who holds the data key.

    Derived here from the specification, not with the code under attack.
    """

    key: bytes
    prefix: bytes

    @classmethod
    def derive(cls, data_key: bytes, forgery: Forgery, index: int) -> StreamKey:
        """Returns the key of member `index` in the suite with AES."""
        header = bytes(forgery.files[f"payload/{index}"][:STREAM_HEADER])
        associated = stream_associated_data(forgery, index)
        return cls(_hkdf(payload_key(data_key), header[1:33], associated), header[33:])

    def nonce(self, segment: int, *, last: bool) -> bytes:
        """Returns the nonce of a segment."""
        return self.prefix + segment.to_bytes(4, "big") + bytes([last])

    def gcm(self, segment: int, *, last: bool) -> GcmKey:
        """Returns the key for tag arithmetic on a segment."""
        return GcmKey(self.key, self.nonce(segment, last=last))

    def encrypt(self, segment: int, plain: bytes, *, last: bool) -> bytes:
        """Returns ciphertext and a genuine tag for any plaintext."""
        return AESGCM(self.key).encrypt(self.nonce(segment, last=last), plain, None)

    def decrypt(self, segment: int, sealed: bytes, *, last: bool) -> bytes:
        """Returns the plaintext, as every implementation of AES-GCM would."""
        return AESGCM(self.key).decrypt(self.nonce(segment, last=last), sealed, None)


def payload_key(data_key: bytes) -> bytes:
    """Returns the key that the streams of a bundle have in common, which is the key of a Tink keyset."""
    return _hkdf(data_key, None, b"modelkeep/v1/payload")


def stream_associated_data(forgery: Forgery, index: int) -> bytes:
    """Returns the associated data of a stream in the suite with AES."""
    bundle = bytes.fromhex(forgery.manifest["bundle"])
    role = b"\0" if index == 0 else b"\1"
    return b"modelkeep/v1/stream" + b"\1" + bundle + role + index.to_bytes(4, "big")


def _hkdf(key: bytes, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)
