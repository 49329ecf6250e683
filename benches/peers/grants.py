"""Granting one sealed model to many devices."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from benches.peer import Peer
from modelkeep.bulk_granting import grant_all
from modelkeep.granting import grant
from modelkeep.grants import sidecar
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys.file import FileStore
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Coverage
from modelkeep.sealing import seal
from modelkeep.trust.signer import Signer
from modelkeep.trust.signing_keys import create_signing_key
from modelkeep.trust.verifier import Verifier

_MODEL_ID = "bench/model"


class Issue(Peer):
    """`modelkeep.grant` to a file of public keys: parsed, wrapped, appended and synced."""

    @property
    def bundle(self) -> Path:
        """The sealed model."""
        return self.folder / "model.keep"

    @property
    def devices(self) -> Path:
        """One public key per line."""
        return self.folder / "devices.pub"

    def prepare(self) -> list[Path]:
        (self.folder / "publisher.pub").write_bytes(create_signing_key(self.folder / "publisher.pem"))
        admin = FileStore().create(str(self.folder / "admin.pem"))
        signer = Signer.from_pem(self.folder / "publisher.pem")
        (self.folder / "model.bin").write_bytes(os.urandom(1000))
        draft = seal(
            self.folder / "model.bin", model=_MODEL_ID, admins=[admin], signer=signer, digest=Coverage.LEAVES
        )
        draft.save(self.bundle)
        handles = (HpkeHandle(ec.generate_private_key(ec.SECP256R1()), f"pi-{n}") for n in range(self.size))
        self.devices.write_text("".join(f"{format_recipient(handle.recipient())}\n" for handle in handles))
        return [self.devices]

    def run(self) -> None:
        grant(
            self.bundle,
            identity=Identity(f"file:{self.folder / 'admin.pem'}"),
            to=[self.devices],
            verifier=Verifier(self.folder / "publisher.pub", model=_MODEL_ID),
            output=self.output,
        )

    def check(self) -> None:
        count = sum(1 for _ in sidecar.read(self.output))
        if count != self.size:
            raise ValueError(f"{count} grants instead of {self.size}")
        self.detail = f"{self.output.stat().st_size / count:.0f} bytes each"


class IssueAll(Issue):
    """`modelkeep.grant_all`: the same on all processors."""

    def run(self) -> None:
        grant_all(
            self.bundle,
            self.devices,
            self.output,
            identity=Identity(f"file:{self.folder / 'admin.pem'}"),
            verifier=Verifier(self.folder / "publisher.pub", model=_MODEL_ID),
        )


class WrapAlone(Peer):
    """pyca/cryptography's HPKE of 32 bytes, keys loaded beforehand: what no grant can beat."""

    def prepare(self) -> list[Path]:
        return []

    def run(self) -> None:
        self.opened = [_wrap(self.size)]

    def check(self) -> None:
        if not all(self.opened):
            raise ValueError("a wrapped key does not open")
        self.detail = "113 bytes each"


class WrapAll(WrapAlone):
    """The same in a process for each processor, which are there already."""

    def ready(self) -> None:
        self.processes = len(os.sched_getaffinity(0))
        self.pool = multiprocessing.get_context("fork").Pool(self.processes)

    def run(self) -> None:
        share = self.size // self.processes
        self.opened = self.pool.map(_wrap, [share] * self.processes)

    def check(self) -> None:
        self.pool.terminate()
        super().check()


def _wrap(count: int) -> bool:
    """Wraps a key so many times; returns whether the last one opens."""
    key, secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)
    public, suite = key.public_key(), Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    wrapped = [suite.encrypt(secret, public, info=b"") for _ in range(count)]
    return suite.decrypt(wrapped[-1], key, info=b"") == secret
