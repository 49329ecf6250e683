"""Which contestants meet in which table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_PEERS = "benches.peers"


class Unit(Enum):
    """What a table counts."""

    BYTES = "GB/s"
    ITEMS = "per second"
    TIMES = "ms"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row: its name, and the class that runs it as ``module:class`` under benches.peers."""

    name: str
    peer: str

    @property
    def target(self) -> str:
        """What a sample process loads."""
        return f"{_PEERS}.{self.peer}"


@dataclass(frozen=True, slots=True)
class Table:
    """Contestants that do the same work; the first one is what the others are compared with.

    Attributes:
        key: name on the command line.
        title: heading.
        about: what is inside the timed part, and other things a reader must know.
        unit: what is counted.
        contestants: the rows.
        work: bytes or items of every run, or None where the command line's sizes apply.
        writes: the contestants write a file and sync it.
    """

    key: str
    title: str
    about: str
    unit: Unit
    contestants: tuple[Contestant, ...]
    work: int | None = None
    writes: bool = False


TABLES = (
    Table(
        "open",
        "Open: sealed file to plaintext in memory",
        "modelkeep's rows are end to end: open the bundle, check the signature and the policy, read the key "
        "file, unwrap the grant, check every segment's digest and decrypt it into locked huge pages; "
        "an installed model had its digests checked before, and is under a device-only key. The other "
        "ciphers know no publisher: they only decrypt. `file.read()` and the memory copy do no "
        "cryptography at all; the copy has its source in memory already.",
        Unit.BYTES,
        (
            Contestant("**modelkeep**, BLAKE3 leaves (default)", "modelkeep:Open"),
            Contestant("modelkeep, SHA-256 leaves", "modelkeep:OpenSha256"),
            Contestant("modelkeep, installed", "modelkeep:OpenInstalled"),
            Contestant("read all, then `AESGCM.decrypt`", "tutorial:Open"),
            Contestant("pyca/cryptography GCM in 1 MiB pieces", "chunked:Open"),
            Contestant("Tink for Python, streaming", "tink_python:Open"),
            Contestant("age, through a pipe", "age:Open"),
            Contestant("pyrage", "age_library:Open"),
            Contestant("`file.read()`, no cryptography", "plain:Read"),
            Contestant("memory copy into fresh huge pages, all processors", "plain:CopyMemory"),
        ),
    ),
    Table(
        "seal",
        "Seal: plain file to sealed file",
        "Everybody syncs the result and its folder (`fsync`) within the timed part, because modelkeep always "
        "does; the second rate leaves the time in `fsync` out. modelkeep's rows sign and issue a grant, too.",
        Unit.BYTES,
        (
            Contestant("**modelkeep** (default)", "modelkeep:Seal"),
            Contestant("modelkeep, `digest=Coverage.LEAVES`", "modelkeep:SealLeaves"),
            Contestant("read all, then `AESGCM.encrypt`", "tutorial:Seal"),
            Contestant("pyca/cryptography GCM in 1 MiB pieces", "chunked:Seal"),
            Contestant("Tink for Python, streaming", "tink_python:Seal"),
            Contestant("age", "age:Seal"),
            Contestant("pyrage", "age_library:Seal"),
            Contestant("`cat`, no cryptography", "plain:CopyFile"),
        ),
        writes=True,
    ),
    Table(
        "verify",
        "Verify: who published this, and is every byte the published one",
        "No decryption. modelkeep's default bundle carries two kinds of digests, BLAKE3 leaves and "
        "SHA-256 for `model_signing`, and checks both. The commands' rows include their start-up, the "
        "others' do not. `cat` only reads.",
        Unit.BYTES,
        (
            Contestant("**modelkeep**, both kinds of digests (default)", "modelkeep:Verify"),
            Contestant("modelkeep, BLAKE3 leaves alone", "modelkeep:VerifyLeaves"),
            Contestant("modelkeep, SHA-256 leaves alone", "modelkeep:VerifySha256Leaves"),
            Contestant("`modelkeep verify`, default bundle", "modelkeep:VerifyCommand"),
            Contestant("model_signing, Python interface", "model_signing:Verify"),
            Contestant("`model_signing verify key`", "model_signing:VerifyCommand"),
            Contestant("`openssl dgst -sha256 -verify`", "openssl:Verify"),
            Contestant("`cat` to /dev/null", "plain:ReadAway"),
        ),
    ),
    Table(
        "inference",
        "From a file to the first result: a perceptron of 200 MB",
        "Imports are done before. The sealed row verifies, decrypts, loads, checks the input and runs.",
        Unit.TIMES,
        (
            Contestant("**modelkeep**: `open` and `run`", "inference:Sealed"),
            Contestant("onnxruntime, plain file", "inference:PlainFile"),
            Contestant("onnxruntime, plain file read into bytes", "inference:FromMemory"),
        ),
        work=200_000_000,
    ),
    Table(
        "grants",
        "Grants: one sealed model for 10,000 devices",
        "The first row reads a file of 10,000 public keys, wraps the data key for each on one thread, "
        "and appends the grants to a file that it syncs; the model is not touched. The second is the bare "
        "HPKE call, with one public key that is loaded already.",
        Unit.ITEMS,
        (
            Contestant("**modelkeep**: `grant` to `hpke-p256` keys", "grants:Issue"),
            Contestant("HPKE of pyca/cryptography alone", "grants:WrapAlone"),
        ),
        work=10_000,
    ),
    Table(
        "startup",
        "Start-up",
        "A whole program, from start to end.",
        Unit.TIMES,
        (
            Contestant("`modelkeep --help`", "startup:ModelkeepHelp"),
            Contestant("`python -c pass`", "startup:Python"),
            Contestant("`import modelkeep`", "startup:ImportModelkeep"),
            Contestant("`from modelkeep import Identity, Verifier, open`", "startup:ImportForOpening"),
            Contestant("`import onnxruntime`", "startup:ImportOnnxRuntime"),
            Contestant("`model_signing --help`", "startup:ModelSigningHelp"),
            Contestant("`age --version`", "startup:AgeVersion"),
            Contestant("`openssl version`", "startup:OpensslVersion"),
        ),
        work=0,
    ),
)
