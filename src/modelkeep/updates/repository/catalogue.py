"""What is published, in our words: models and their releases, what is offered, whom devices are to trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from modelkeep.errors import MalformedError, TamperedError, UsageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.roots import Roots
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.phase import Phase, phase_name
from modelkeep.updates.release_document import FOLDER as RELEASES
from modelkeep.updates.release_document import ReleaseDocument, document_name
from modelkeep.updates.repository.metadata import PHASE_ROLE, DelegatedRole, Metadata, Root, Targets, ours

TRUST_NAME, ROOTS_NAME = "trust/trust.json", "trust/roots.json"
HIGHEST, FAMILY = "highest", "family"

_ANY_BUNDLE = bytes(16)


class Contents(Protocol):
    """What is published, or is going to be."""

    @property
    def root(self) -> Metadata[Root]:
        """The root that counts."""

    @property
    def targets(self) -> Metadata[Targets]:
        """The top role of targets."""

    @property
    def roles(self) -> Mapping[str, Metadata[Targets]]:
        """The delegated roles, by name; others may be there as well."""

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Content of the targets, by name."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A repository, read.

    Attributes:
        contents: what was verified, or is going to be published.
    """

    contents: Contents

    def role_of(self, model: str) -> str:
        """Returns the role that signs the releases of a model.

        Raises:
            UsageError: none does, or not a model id.
        """
        name = document_name(model, _ANY_BUNDLE)
        for role in self._delegated():
            if role.is_delegated_path(name):
                return str(role.name)
        raise UsageError(
            f"this repository has no family for model {model}", hint="`modelkeep repo status` names them"
        )

    def family_of(self, role: str) -> str:
        """Returns the family that the models of a role name; empty for those without one."""
        return str(ours(self.contents.roles[role].signed).get(FAMILY, ""))

    def releases(self, model: str) -> dict[str, ReleaseDocument]:
        """Returns the documents of a model's releases that are listed, by name.

        Raises:
            UsageError: no family has the model.
            MalformedError: a document is none.
        """
        found = self._documents(self.role_of(model))
        return {name: document for name, document in found if document.model == model}

    def release(self, model: str, bundle: bytes) -> ReleaseDocument:
        """Returns the document of one release.

        Raises:
            UsageError: it is not listed.
        """
        found = self.releases(model).get(document_name(model, bundle))
        if found is None:
            raise UsageError(
                f"no release {bundle.hex()} of {model} is published here",
                hint="`modelkeep repo status` names them",
            )
        return found

    def all_releases(self) -> list[ReleaseDocument]:
        """Returns the documents of all releases that are listed, by model and place."""
        roles = [role.name for role in self._delegated() if role.name != PHASE_ROLE]
        found = [document for role in roles for _, document in self._documents(role)]
        return sorted(found, key=lambda document: (document.model, document.order))

    def places(self, role: str) -> dict[str, ReleaseOrder]:
        """Returns the highest place that a release of each model of a role ever had here.

        Raises:
            MalformedError: the role says something else.
        """
        noted = ours(self.contents.roles[role].signed).get(HIGHEST, {})
        if not isinstance(noted, dict):
            raise MalformedError(f"role {role!r}: member {HIGHEST!r} must be an object")
        return {model: _place(model, said) for model, said in noted.items()}

    def highest(self, model: str) -> ReleaseOrder | None:
        """Returns the highest place that a release of the model ever had here; None for the first."""
        return self.places(self.role_of(model)).get(model)

    def phase(self, model: str) -> Phase:
        """Returns what is offered of a model."""
        data = self.contents.documents.get(phase_name(model))
        return Phase(model) if data is None else Phase.from_bytes(data, model)

    def trust(self) -> TrustFile:
        """Returns the trust file, verified with the roots document that the root of TUF names.

        Raises:
            TamperedError: they do not belong together.
            MalformedError: one is missing.
            SignatureError: too few roots have signed it.
        """
        missing = {ROOTS_NAME, TRUST_NAME} - self.contents.documents.keys()
        if missing:
            raise MalformedError(
                f"the repository lists no {min(missing)}: modelkeep has not made it",
                hint="make one: modelkeep repo init FOLDER",
            )
        roots = Roots.of_document(self.contents.documents[ROOTS_NAME])
        check_roots(self.contents.root.signed, roots)
        return TrustFile.from_bytes(self.contents.documents[TRUST_NAME], roots)

    def _documents(self, role: str) -> Iterator[tuple[str, ReleaseDocument]]:
        for name in self.contents.roles[role].signed.targets:
            if name.startswith(f"{RELEASES}/"):
                yield name, ReleaseDocument.from_bytes(self.contents.documents[name], name)

    def _delegated(self) -> list[DelegatedRole]:
        targets: Targets = self.contents.targets.signed
        return list((targets.delegations.roles or {}).values()) if targets.delegations else []


def _place(model: str, said: object) -> ReleaseOrder:
    match said:
        case [int(epoch), int(sealed_at)]:
            return ReleaseOrder(epoch, sealed_at)
    raise MalformedError(f"what is noted of {model!r:.200} is no place of a release")


def roots_named(roots: Roots) -> dict[str, object]:
    """Returns how the root of TUF names the roots of trust files: both chains change together."""
    assert roots.newest is not None and roots.set is not None
    return {
        "set": roots.set.hex(),
        "number": roots.newest.number,
        "digest": roots.newest.digest.hex(),
    }


def check_roots(root: Root, roots: Roots) -> None:
    """Refuses roots of trust files that are not those which the root of TUF names.

    Raises:
        TamperedError: they are others: one chain was changed and not the other.
    """
    if roots.newest is None or ours(root).get("trust_roots") != roots_named(roots):
        raise TamperedError(
            "the roots of trust files are not those that TUF's root names",
            hint="one chain was changed and not the other: finish the ceremony with `modelkeep repo init`",
        )
