"""The documents that people sign in a ceremony, as they follow from the plan and from what is published.

Nothing here reads or signs. Who signs makes them anew and compares: nothing else is to be signed than what
follows from the plan that people agreed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.trust import trust_editing
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsDocument, RootsName
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.repository.catalogue import FAMILY, ROOTS_NAME, TRUST_NAME, roots_named
from modelkeep.updates.repository.family import Family, phase_paths
from modelkeep.updates.repository.metadata import (
    LIFETIME,
    PHASE_ROLE,
    ROOT_ROLE,
    SNAPSHOT_ROLE,
    SOON,
    TARGETS_ROLE,
    TIMESTAMP_ROLE,
    DelegatedRole,
    Delegations,
    Root,
    Targets,
    set_end,
    set_ours,
)
from modelkeep.updates.repository.plan import CHANNEL, ONLINE, TRUST, Plan, publisher_place
from modelkeep.updates.repository.published import listed
from modelkeep.updates.repository.role_signer import role_key


def roots_envelope(plan: Plan, last: Envelope | None) -> Envelope:
    """Returns the roots document of a plan: the first of a chain, the next one, or the last one as it is."""
    keys = plan.keys_of(TRUST)
    if last is None:
        return Envelope(Kind.ROOTS, RootsDocument.first(keys, plan.threshold).to_bytes())
    before = RootsDocument.from_bytes(last.payload)
    wanted = {public_key.fingerprint(key): key for key in keys}
    if (dict(before.keys), before.threshold) == (wanted, plan.threshold):
        return last
    new = before.following(wanted.values(), set(before.keys) - set(wanted), plan.threshold)
    return Envelope(Kind.ROOTS, new.to_bytes(), documents=(*last.documents, last.bare()))


def trust_envelope(plan: Plan, roots: Envelope, last: Envelope | None, now: int) -> Envelope:
    """Returns the trust file of a plan: the first one, the next one, or the last one as it is.

    Publishers that a later file has changed stay as they are; the plan adds and replaces nobody then.
    """
    name = RootsName.of(RootsDocument.from_bytes(roots.payload))
    documents = (*roots.documents, roots.bare()) if roots.documents else ()
    if last is not None:
        before = TrustFile.unverified(last)
        if before.named_roots == name and before.expires > now + SOON:
            return last
        trust = trust_editing.following(before, now + LIFETIME)
    else:
        trust = _publishers(plan, trust_editing.first(1, now + LIFETIME))
    data = trust_editing.with_roots(trust, name).to_bytes(documents=documents)
    return Envelope.from_bytes(data, Kind.TRUST)


def root(plan: Plan, roots: Envelope, version: int, now: int) -> Root:
    """Returns the root of TUF for a plan; it names the roots of trust files."""
    made = Root(version=version, consistent_snapshot=True)
    for name, keys in _root_roles(plan).items():
        for key in keys:
            made.add_key(role_key(key), name)
    for name in (ROOT_ROLE, TARGETS_ROLE):
        made.roles[name].threshold = plan.threshold
    set_ours(made, {"trust_roots": roots_named(Roots.of_envelope(roots))})
    set_end(made, ROOT_ROLE, now)
    return made


def targets(plan: Plan, documents: Mapping[str, bytes], version: int, now: int) -> Targets:
    """Returns the top role of targets: trust file and roots, and who signs for which models."""
    made = Targets(version=version, delegations=_delegations(plan))
    for name, data in documents.items():
        made.targets[name] = listed(data, name)
    set_end(made, TARGETS_ROLE, now)
    return made


def first_role(plan: Plan, role: str, now: int) -> Targets:
    """Returns the first document of a delegated role, which lists nothing yet."""
    made = Targets(version=1)
    if role != PHASE_ROLE:
        family = next(each for each in plan.families if each.role == role)
        set_ours(made, {FAMILY: family.name})
    set_end(made, role, now)
    return made


def trust_documents(roots: Envelope, trust: Envelope) -> dict[str, bytes]:
    """Returns the targets by which whom to trust travels."""
    return {TRUST_NAME: trust.to_bytes(), ROOTS_NAME: roots.to_bytes()}


def _publishers(plan: Plan, trust: TrustFile) -> TrustFile:
    for family in plan.families:
        key = plan.keys[publisher_place(family)]
        trust = trust_editing.with_publisher(trust, key, family.models, (family.name,))
    return trust


def _root_roles(plan: Plan) -> Mapping[str, Sequence[ec.EllipticCurvePublicKey]]:
    people, online = plan.keys_of(CHANNEL), [plan.keys[ONLINE]]
    return {ROOT_ROLE: people, TARGETS_ROLE: people, SNAPSHOT_ROLE: online, TIMESTAMP_ROLE: online}


def _delegations(plan: Plan) -> Delegations:
    paths = {PHASE_ROLE: phase_paths(), **{each.role: each.paths for each in plan.families}}
    # The place of a role's key has the name of the role.
    keys = {name: role_key(plan.keys[name]) for name in paths}
    roles = {
        name: DelegatedRole(name, [keys[name].keyid], 1, terminating=True, paths=paths[name])
        for name in paths
    }
    return Delegations({key.keyid: key for key in keys.values()}, roles)


def roles_of(families: Sequence[Family]) -> list[str]:
    """Returns the names of all delegated roles."""
    return [PHASE_ROLE, *(each.role for each in families)]
