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
    """One row.

    Attributes:
        name: what it is called.
        peer: the class that runs it, as ``module:class`` under benches.peers.
        floor: the row that does the same bytes by bare calls, by its class; none for those that are floors.
    """

    name: str
    peer: str
    floor: str | None = None

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
        compared: the first row is ours, and the others are held against it.
    """

    key: str
    title: str
    about: str
    unit: Unit
    contestants: tuple[Contestant, ...]
    work: int | None = None
    writes: bool = False
    compared: bool = True


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
            Contestant("**modelkeep**, BLAKE3 leaves (default)", "modelkeep:Open", "floor:Open"),
            Contestant("modelkeep, SHA-256 leaves", "modelkeep:OpenSha256", "floor:OpenSha256"),
            Contestant("modelkeep, installed", "modelkeep:OpenInstalled", "floor:OpenAlone"),
            Contestant("read all, then `AESGCM.decrypt`", "tutorial:Open", "floor:OpenAlone"),
            Contestant("pyca/cryptography GCM in 1 MiB pieces", "chunked:Open", "floor:OpenAlone"),
            Contestant("Tink for Python, streaming", "tink_python:Open", "floor:OpenAlone"),
            Contestant("age, through a pipe", "age:Open", "floor:OpenAlone"),
            Contestant("pyrage", "age_library:Open", "floor:OpenAlone"),
            Contestant("`file.read()`, no cryptography", "plain:Read"),
            Contestant("memory copy into fresh huge pages, all processors", "plain:CopyMemory"),
            Contestant("floor: fresh pages, `pread`, BLAKE3, AES-256-GCM", "floor:Open"),
            Contestant("floor with SHA-256 instead", "floor:OpenSha256"),
            Contestant("floor without digests", "floor:OpenAlone"),
        ),
    ),
    Table(
        "seal",
        "Seal: plain file to sealed file",
        "Everybody syncs the result and its folder (`fsync`) within the timed part, because modelkeep always "
        "does; the second rate leaves the time in `fsync` out. modelkeep's rows sign and issue a grant, too.",
        Unit.BYTES,
        (
            Contestant("**modelkeep** (default)", "modelkeep:Seal", "floor:Seal"),
            Contestant("modelkeep, `digest=Coverage.LEAVES`", "modelkeep:SealLeaves", "floor:SealLeaves"),
            Contestant("read all, then `AESGCM.encrypt`", "tutorial:Seal", "floor:SealAlone"),
            Contestant("pyca/cryptography GCM in 1 MiB pieces", "chunked:Seal", "floor:SealAlone"),
            Contestant("Tink for Python, streaming", "tink_python:Seal", "floor:SealAlone"),
            Contestant("age", "age:Seal", "floor:SealAlone"),
            Contestant("pyrage", "age_library:Seal", "floor:SealAlone"),
            Contestant("`cat`, no cryptography", "plain:CopyFile"),
            Contestant("floor: `pread`, AES-256-GCM, two BLAKE3, whole SHA-256, `pwrite`", "floor:Seal"),
            Contestant("floor without SHA-256", "floor:SealLeaves"),
            Contestant("floor without digests", "floor:SealAlone"),
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
            Contestant("**modelkeep**, both kinds of digests (default)", "modelkeep:Verify", "floor:Verify"),
            Contestant("modelkeep, BLAKE3 leaves alone", "modelkeep:VerifyLeaves", "floor:VerifyBlake3"),
            Contestant(
                "modelkeep, SHA-256 leaves alone", "modelkeep:VerifySha256Leaves", "floor:VerifySha256"
            ),
            Contestant("`modelkeep verify`, default bundle", "modelkeep:VerifyCommand", "floor:Verify"),
            Contestant("model_signing, Python interface", "model_signing:Verify", "floor:VerifySha256"),
            Contestant("`model_signing verify key`", "model_signing:VerifyCommand", "floor:VerifySha256"),
            Contestant("`openssl dgst -sha256 -verify`", "openssl:Verify", "floor:VerifySha256"),
            Contestant("`cat` to /dev/null", "plain:ReadAway"),
            Contestant("floor: `pread`, BLAKE3, whole SHA-256", "floor:Verify"),
            Contestant("floor: `pread`, BLAKE3", "floor:VerifyBlake3"),
            Contestant("floor: `pread`, SHA-256", "floor:VerifySha256"),
        ),
    ),
    Table(
        "pieces",
        "The pieces of the floors",
        "Each alone, in memory that is used again, on the threads that the floors use; the cipher and the "
        "digests find their 1 MiB in the processor's cache.",
        Unit.BYTES,
        (
            Contestant("`pread` of cached pages", "floor:Read"),
            Contestant("fresh huge pages, every one written to", "floor:Fault"),
            Contestant("AES-256-GCM", "floor:Cipher"),
            Contestant("BLAKE3", "floor:Blake3"),
            Contestant("SHA-256", "floor:Sha256"),
            Contestant("`pwrite` into a new file, synced", "floor:Write"),
        ),
        compared=False,
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
        "The first row reads a file of 10,000 public keys, wraps the data key for each on all processors, "
        "and appends the grants to a file that it syncs; the model is not touched. The second does it on one "
        "thread. The floors are the bare HPKE call, with one public key that is loaded already.",
        Unit.ITEMS,
        (
            Contestant("**modelkeep**: `grant_all` to `hpke-p256` keys", "grants:IssueAll", "grants:WrapAll"),
            Contestant("modelkeep: `grant`", "grants:Issue", "grants:WrapAlone"),
            Contestant("floor: HPKE of pyca/cryptography, all processors", "grants:WrapAll"),
            Contestant("floor: HPKE of pyca/cryptography, one thread", "grants:WrapAlone"),
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
            Contestant(
                "`from modelkeep import Identity, Verifier, open`",
                "startup:ImportForOpening",
                "startup:ImportLibraries",
            ),
            Contestant(
                "NumPy, BLAKE3 and what of pyca/cryptography an opening needs", "startup:ImportLibraries"
            ),
            Contestant("`import onnxruntime`", "startup:ImportOnnxRuntime"),
            Contestant("`model_signing --help`", "startup:ModelSigningHelp"),
            Contestant("`age --version`", "startup:AgeVersion"),
            Contestant("`openssl version`", "startup:OpensslVersion"),
        ),
        work=0,
    ),
)
