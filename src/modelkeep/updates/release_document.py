"""What a repository says of one release, before anything of it is fetched: a target, signed for its family.

Source: spec/update-v1.md, "The release document".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.channels.channel import LONGEST_NAME, check_name
from modelkeep.errors import MalformedError, UsageError
from modelkeep.manifest import Manifest, check_model_id
from modelkeep.record import Record
from modelkeep.release_order import ReleaseOrder

FORMAT, VERSION = "modelkeep/release", 1
LARGEST_RELEASE_DOCUMENT = 2**14
FOLDER = "releases"

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")
_DOCUMENT = re.compile(r"[0-9a-f]{32}\.json")
_BUNDLE_BYTES, _DIGEST_BYTES = 16, 32


@dataclass(frozen=True, slots=True)
class Requires:
    """What a device has to have; None and 0 where nothing is asked.

    Attributes:
        modelkeep: the lowest version of this library, as three numbers.
        guard: the version of the guard's statistics that the profile is for.
        disk: bytes that the installation takes.
        memory: bytes that the open model takes.
    """

    modelkeep: tuple[int, int, int] | None = None
    guard: int | None = None
    disk: int = 0
    memory: int = 0


NOTHING = Requires()


@dataclass(frozen=True, slots=True)
class ReleaseDocument:
    """One release of a model, as its publisher offers it.

    Attributes:
        model: the model's id, which is also in the document's name, and in the manifest.
        bundle: the bundle's id, 16 bytes; nobody knows it before it is sealed.
        order: the release's place among those of its model.
        manifest: SHA-256 of `manifest.json`, 32 bytes.
        archive: name of the bundle in the channel, in its archive form, below the targets.
        size: its length in bytes.
        grants: name of a file of grants in the channel, below the targets; None where those in the bundle
            are all there are.
        requires: what a device has to have.
        attempt: raised to have it tried again where it failed its trial.
        root: the lowest version of TUF's root that counts.
        withdrawn: whether it is not to be staged or tried any more; where it counts, it goes on counting.
    """

    model: str
    bundle: bytes
    order: ReleaseOrder
    manifest: bytes
    archive: str
    size: int
    grants: str | None = None
    requires: Requires = NOTHING
    attempt: int = 0
    root: int = 1
    withdrawn: bool = False

    @property
    def name(self) -> str:
        """The document's name, a path among the targets."""
        return document_name(self.model, self.bundle)

    def describes(self, manifest: Manifest, digest: bytes) -> bool:
        """Returns whether a bundle's manifest, of which `digest` is the SHA-256, is the one that is meant."""
        meant = (self.model, self.bundle, self.order, self.manifest)
        return meant == (manifest.model, manifest.bundle, manifest.order, digest)

    def to_bytes(self) -> bytes:
        """Returns the document, canonical JSON."""
        members: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "bundle": self.bundle.hex(),
            "epoch": self.order.epoch,
            "sealed_at": self.order.sealed_at,
            "manifest": self.manifest.hex(),
            "archive": self.archive,
            "size": self.size,
            "requires": _requires_to_json(self.requires),
            "attempt": self.attempt,
            "root": self.root,
        }
        if self.grants is not None:
            members["grants"] = self.grants
        return canonical.encode(members | ({"withdrawn": True} if self.withdrawn else {}))

    @staticmethod
    def from_bytes(data: bytes, name: str) -> ReleaseDocument:
        """Reads a document whose bytes were verified.

        Args:
            data: the document.
            name: the name under which it was listed.

        Raises:
            MalformedError: not of this form, or of another release than its name says.
            UnsupportedVersionError: made by a newer version.
        """
        if len(data) > LARGEST_RELEASE_DOCUMENT:
            raise MalformedError(f"release document: larger than {LARGEST_RELEASE_DOCUMENT} bytes")
        with Record(canonical.decode(data, "release document"), "release document") as record:
            record.check_format(FORMAT, VERSION)
            document = _from_record(record)
        if document.name != name:
            raise MalformedError(f"release document: is that of {document.name}, and listed as {name!r:.200}")
        return document


def document_name(model: str, bundle: bytes) -> str:
    """Returns the name of the document of a release, a path among the targets.

    Raises:
        UsageError: not a model id.
    """
    return f"{FOLDER}/{check_model_id(model)}/{bundle.hex()}.json"


def is_document_of(name: str, model: str) -> bool:
    """Returns whether this is the name of a release document of `model`, and not of a model below it."""
    return _DOCUMENT.fullmatch(name.removeprefix(f"{FOLDER}/{model}/")) is not None


def parse_version(text: str) -> tuple[int, int, int]:
    """Returns a version such as ``0.2.0`` as its three numbers.

    Raises:
        UsageError: it is none.
    """
    found = _VERSION.fullmatch(text)
    if found is None or text != ".".join(str(int(part)) for part in found.groups()):
        raise UsageError(f"not a version of three numbers: {text!r:.40}", hint="write 0.2.0")
    return int(found[1]), int(found[2]), int(found[3])


def _requires_to_json(requires: Requires) -> dict[str, Any]:
    found = {
        "modelkeep": requires.modelkeep and ".".join(map(str, requires.modelkeep)),
        "guard": requires.guard,
        "disk": requires.disk or None,
        "memory": requires.memory or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _from_record(record: Record) -> ReleaseDocument:
    return ReleaseDocument(
        model=_named(record, "model", check_model_id),
        bundle=record.hexadecimal("bundle", _BUNDLE_BYTES),
        order=ReleaseOrder(record.integer("epoch"), record.integer("sealed_at")),
        manifest=record.hexadecimal("manifest", _DIGEST_BYTES),
        archive=_named(record, "archive", check_name),
        size=record.integer("size", lowest=1),
        grants=_named(record, "grants", check_name) if "grants" in record else None,
        requires=_requires(record.object("requires")),
        attempt=record.integer("attempt"),
        root=record.integer("root", lowest=1),
        withdrawn=record.switch("withdrawn"),
    )


def _requires(record: Record) -> Requires:
    with record:
        return Requires(
            modelkeep=_version(record) if "modelkeep" in record else None,
            guard=record.integer("guard") if "guard" in record else None,
            disk=record.integer("disk", lowest=1) if "disk" in record else 0,
            memory=record.integer("memory", lowest=1) if "memory" in record else 0,
        )


def _version(record: Record) -> tuple[int, int, int]:
    text = record.text("modelkeep", longest=20)
    try:
        return parse_version(text)
    except UsageError:
        raise record.fault("modelkeep", "must be a version of three numbers") from None


def _named(record: Record, member: str, check: Callable[[str], str]) -> str:
    text = record.text(member, longest=LONGEST_NAME)
    try:
        return check(text)
    except UsageError:
        raise record.fault(member, "is not a name of its kind") from None
