"""A folder that somebody signed with OpenSSF Model Signing: a model as it is, not a bundle of ours."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from modelkeep.errors import TamperedError
from modelkeep.model import Model
from modelkeep.payload.vouched_source import VouchedSource
from modelkeep.storage import opened, path_of, read_small, words_for
from modelkeep.trust import oms
from modelkeep.trust.statement import Statement

# The name under which a model of one file is signed.
_ITSELF = "."


class SignedStatement(Protocol):
    """A statement whose signature holds."""

    @property
    def statement(self) -> Statement:
        """What was signed."""

    @property
    def signer(self) -> object:
        """Who signed; its text is for people."""


class StatementVerifier(Protocol):
    """Whoever can say whose signature document one is: a `Verifier`, a `SigstoreVerifier`."""

    def verify_statement(self, document: bytes) -> SignedStatement:
        """Returns what a document says, or raises RefusedError or MalformedError."""


@dataclass(frozen=True, slots=True)
class SignedFolder:
    """A folder, or file, whose files are those that were signed.

    Attributes:
        signer: who signed.
        files: names of the files that were signed.
        ignored: names of files that signer or caller left out: nobody vouches for them.
        digests: name of each file that was signed -> its SHA-256.
        signature: name of the signature itself.
    """

    signer: str
    files: tuple[str, ...]
    ignored: tuple[str, ...]
    digests: Mapping[str, bytes] = field(repr=False)
    signature: str

    def vouched(self, model: Model) -> Model:
        """Returns the model without what was left out, of which only what was signed can be sealed.

        Raises:
            TamperedError: it has a file that nobody signed.
        """
        alone = self.digests.get(_ITSELF) if len(model.sources) == 1 else None
        left_out = {*self.ignored, self.signature} - {entry.path for entry in model.entries}
        sources = {
            name: VouchedSource(source, name, alone or self._digest(name))
            for name, source in model.sources.items()
            if name not in left_out
        }
        return replace(model, sources=sources)

    def _digest(self, name: str) -> bytes:
        if name not in self.digests:
            raise TamperedError(
                f"{name} is not among the files that were signed", hint="seal the folder that was signed"
            )
        return self.digests[name]


def verify_folder(
    folder: str | os.PathLike[str],
    signature: str | os.PathLike[str],
    verifier: StatementVerifier,
    *,
    ignore: Sequence[str] = (),
) -> SignedFolder:
    """Checks every file below a folder, or one file, against a signature document.

    Args:
        folder: the model as its publisher has it: a folder, or a file.
        signature: the document; may lie in the folder.
        verifier: whom to trust; which model and release it expects is not asked of a plain folder.
        ignore: names of files and folders below it that need not be signed.

    Raises:
        StorageError: a file cannot be read.
        SignatureError: the signature does not hold.
        UntrustedSignerError: no trusted key or root stands behind it.
        TamperedError: a file is missing, added, different, or a link.
        MalformedError: not a signature document.
    """
    document = read_small(signature, oms.LARGEST_DOCUMENT, "a signature")
    verified = verifier.verify_statement(document)
    statement, place = verified.statement, path_of(folder)
    with words_for(folder):
        found = {_ITSELF} if place.is_file() else set(_files(place, Path(signature)))
    paths = (*statement.ignore_paths, *ignore)
    ignored = {name for name in found - statement.resources.keys() if _is_below(name, paths)}
    _compare(found - ignored, statement)
    for name, digest in statement.resources.items():
        _check(place / name, digest)
    digests = dict(statement.resources)
    name = Path(signature).name
    return SignedFolder(str(verified.signer), tuple(digests), tuple(sorted(ignored)), digests, name)


def _files(folder: Path, signature: Path) -> Iterator[str]:
    """Yields the names of files and links below a folder, but for the signature itself."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in [*names, *links]:
            path = Path(place) / name
            if path.is_symlink() or not _is_same(path, signature):
                yield path.relative_to(folder).as_posix()


def _is_same(path: Path, signature: Path) -> bool:
    return path.name == signature.name and path.samefile(signature)


def _is_below(name: str, paths: Sequence[str]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)


def _compare(found: set[str], statement: Statement) -> None:
    if added := found - statement.resources.keys():
        raise TamperedError(f"{min(added)} is not among the files that were signed")
    if missing := statement.resources.keys() - found:
        raise TamperedError(f"{min(missing)} was signed and is missing")


def _check(path: Path, expected: bytes) -> None:
    with words_for(path):
        if path.is_symlink() or not path.is_file():
            raise TamperedError(f"{path} is a link, or no file")
        with opened(path) as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    if not hmac.compare_digest(digest, expected):
        raise TamperedError(f"{path} is not the file that was signed")
