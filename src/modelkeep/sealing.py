"""Sealing: model files -> contract -> segments -> signature -> grants."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelkeep import public_key
from modelkeep.bundle.lease import check_leasable
from modelkeep.bundle.writer import Grantee, Recipe, write_bundle
from modelkeep.canonical import LARGEST_INTEGER, is_text
from modelkeep.contract import Contract
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.folder_signature import SignedFolder
from modelkeep.grants.constraints import Constraints
from modelkeep.keys.recipients import RecipientsLike, check_company, resolve
from modelkeep.manifest import (
    LONGEST_UPSTREAM,
    MOST_GRANT_ISSUERS,
    Coverage,
    LeafAlgorithm,
    Manifest,
    Suite,
    check_model_id,
)
from modelkeep.model import Model, model_digest, read_model
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.public_key import TrustedKey
from modelkeep.runtimes.registry import is_loadable
from modelkeep.storage import path_of
from modelkeep.trust import timestamps
from modelkeep.trust.second_signature import SecondSigner
from modelkeep.trust.signers import SignerLike, as_signer

if TYPE_CHECKING:
    from modelkeep.golden import Golden
    from modelkeep.guard.profile import GuardProfile

MOST_EMBEDDED_GRANTS = 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """A model that is ready to be sealed; `save` does the work.

    Attributes:
        model: the files, their format and their input contract.
        recipe: everything else that decides the bundle.
    """

    model: Model
    recipe: Recipe

    @property
    def size(self) -> int:
        """Length of the plaintext in bytes, for progress."""
        return self.model.size

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful publisher should know, in words."""
        strange = [entry for entry in self.model.entries if not is_loadable(entry.format)]
        notes = [
            f"no runtime is known for {entry.path}; a program on the device gets a path to it from open_files"
            for entry in strange
        ]
        unchecked = [entry for entry in self.model.entries if entry.contract is None and entry not in strange]
        notes += [
            f"inputs of {entry.name} will not be checked: {entry.format} files do not describe them, "
            "and no contract was given"
            for entry in unchecked
        ]
        return tuple(notes)

    def save(
        self, path: str | os.PathLike[str], *, force: bool = False, progress: Progress = no_progress
    ) -> Path:
        """Seals the model into a new file; every call takes a new data key.

        Args:
            path: the bundle to write, for example ``model.keep``.
            force: replace an existing file.
            progress: told the plaintext bytes of each finished segment; called from several threads.

        Raises:
            StorageError: something cannot be read or written; an existing file is intact.
            UsageError: the file exists and `force` is not set.
        """
        target = path_of(path)
        write_bundle(self.recipe, target, force=force, progress=progress)
        return target


def seal(
    source: str | os.PathLike[str] | Model,
    *,
    model: str,
    to: RecipientsLike = (),
    admins: RecipientsLike = (),
    signer: SignerLike | None = None,
    unsafe_unsigned: bool = False,
    epoch: int = 1,
    family: str = "",
    release: str = "",
    entry: str | Sequence[str] | None = None,
    format: str | None = None,
    contract: Mapping[str, Mapping[str, Any]] | None = None,
    constraints: Constraints | None = None,
    suite: Suite = Suite.AES256_GCM_HKDF_1MB,
    leaf: LeafAlgorithm = LeafAlgorithm.BLAKE3,
    digest: Coverage = Coverage.FILES,
    grant_signer: SignerLike | None = None,
    grant_issuers: Iterable[TrustedKey] = (),
    guard: GuardProfile | None = None,
    golden: Golden | None = None,
    second_signer: SecondSigner | None = None,
    timestamp: str | None = None,
    upstream: SignedFolder | None = None,
    leased: bool = False,
) -> Draft:
    """Prepares a model for sealing: reads its structure, not yet its weights.

    Args:
        source: model file, or folder with everything that belongs to the model.
        model: stable id of the model, for example ``acme/detector``.
        to: who may open it: one or several recipients, lines or files with public keys, or key URIs.
        admins: like `to`, and may grant it to others.
        signer: who vouches for it, or the URI or path of the key.
        unsafe_unsigned: allow `signer` to be missing.
        epoch: release counter; devices never go back to a lower one.
        family: group of models, for rules on which key may sign what.
        release: version for people.
        entry: file within a folder that the runtime is handed, where that is not obvious; with ``#`` and
            the name of a function where it has several. Several entries may be chosen from at opening.
        format: name of the model's format where its content does not tell, for example a third party's;
            ``files`` for a set of files that no runtime is meant to load.
        contract: changes of the input contract by input name, see `Contract.adjust`; where the format says
            nothing of inputs, all of it, see `Contract.declare`. Changes for further entries lie under
            their names.
        constraints: what the embedded grants demand.
        suite: AES-256-GCM, or ChaCha20-Poly1305 for processors without AES instructions.
        leaf: digest of segments; SHA-256 where BLAKE3 is not allowed or not available.
        digest: what the signed statement lists; `Coverage.LEAVES` saves a SHA-256 pass.
        grant_signer: signs the embedded grants; the bundle then accepts signed grants only.
        grant_issuers: public keys of others whose signed grants the bundle accepts as well.
        guard: what inputs usually look like; it must have been learned with this very model.
        golden: what the model makes of known inputs, tried on a device before a new release counts there.
        second_signer: an ML-DSA-65 key that signs as well, for verifiers that demand it.
        timestamp: address (HTTP or HTTPS) of an authority of time (RFC 3161), asked when the bundle is
            written: a certificate that is valid then stays good for this bundle.
        upstream: what `verify_folder` said of `source`: nothing but what was signed there is sealed, and the
            manifest tells whose signature it was.
        leased: refuse what would open the bundle for ever: it takes signed grants only, and no embedded one
            is without end but for those who may grant.

    Raises:
        UsageError: an argument is wrong or missing, or the profile belongs to another model.
        TamperedError: a file that `upstream` does not vouch for.
        StorageError: something cannot be read.
        MalformedError: the model is damaged.
    """
    signer, grant_signer = as_signer(signer), as_signer(grant_signer)
    if signer is None and not unsafe_unsigned:
        raise UsageError("a bundle needs a signer", hint="pass signer=, or unsafe_unsigned=True for a trial")
    if signer is None and second_signer is not None:
        raise UsageError("a second signature needs a first one", hint="pass signer= as well")
    if signer is None and timestamp is not None:
        raise UsageError("a timestamp is for a signature", hint="pass signer= as well")
    found = source if isinstance(source, Model) else read_model(source, entry=entry, format=format)
    found = found if upstream is None else upstream.vouched(found)
    found = _with_golden(_guarded(_adjusted(found, contract), guard), golden, guard)
    grantees = _grantees(to, admins, constraints or Constraints())
    issuers = _issuers(grant_signer, grant_issuers)
    if leased:
        check_leasable(issuers, (grantee.constraints for grantee in grantees))
    manifest = Manifest(
        model=check_model_id(model),
        bundle=bytes(16),
        epoch=_epoch(epoch),
        sealed_at=int(time.time()),
        family=_label(family, 1024),
        release=_label(release, 256),
        suite=suite,
        commitment=bytes(32),
        leaf_algorithm=leaf,
        coverage=digest,
        members=(),
        grant_issuers=issuers,
        upstream="" if upstream is None else _label(upstream.signer, LONGEST_UPSTREAM),
    )
    return Draft(
        found,
        Recipe(
            manifest,
            found.inner_manifest(),
            tuple(found.sources.values()),
            grantees,
            signer,
            grant_signer,
            second_signer,
            None if timestamp is None else partial(timestamps.request, timestamps.check_address(timestamp)),
        ),
    )


def _adjusted(model: Model, contract: Mapping[str, Mapping[str, Any]] | None) -> Model:
    if not contract:
        return model
    of_others = {entry.name: contract[entry.name] for entry in model.others if entry.name in contract}
    own = {name: changes for name, changes in contract.items() if name not in of_others}
    others = tuple(
        entry._replace(contract=_changed(entry.contract, of_others.get(entry.name))) for entry in model.others
    )
    return replace(model, contract=_changed(model.contract, own), others=others)


def _changed(
    contract: Contract | None, changes: Mapping[str, Mapping[str, object]] | None
) -> Contract | None:
    if not changes:
        return contract
    return Contract.declare(changes) if contract is None else contract.adjust(changes)


def _guarded(model: Model, guard: GuardProfile | None) -> Model:
    if guard is None:
        return model
    if guard.model != model_digest(model):
        raise UsageError(
            "the guard profile was learned with another model",
            hint="learn it again: `modelkeep learn SAMPLES --model MODEL -o guard.json`",
        )
    return replace(model, guard=guard.to_bytes())


def _with_golden(model: Model, golden: Golden | None, guard: GuardProfile | None) -> Model:
    if golden is None:
        return model
    from modelkeep.golden_sealing import with_golden

    return with_golden(model, golden, guard)


def _epoch(epoch: int) -> int:
    if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch <= LARGEST_INTEGER:
        raise UsageError("an epoch is an integer from 0 to 2^53 - 1", hint="count releases: 1, 2, 3")
    return epoch


def _label(text: str, longest: int) -> str:
    if len(text) > longest or not is_text(text):
        raise UsageError(f"family and release take at most {longest} characters of Unicode")
    return text


def _issuers(signer: EcdsaSigner | None, others: Iterable[TrustedKey]) -> tuple[bytes, ...]:
    keys = [public_key.load(key) for key in others]
    if keys and signer is None:
        raise UsageError(
            "a bundle that accepts signed grants only needs somebody to sign the embedded ones",
            hint="pass grant_signer= as well",
        )
    if signer is not None:
        keys.insert(0, signer.public_key)
    # In the order given, each once.
    issuers = tuple(dict.fromkeys(public_key.to_der(key) for key in keys))
    if len(issuers) > MOST_GRANT_ISSUERS:
        raise UsageError(f"at most {MOST_GRANT_ISSUERS} grant issuers fit into a bundle")
    return issuers


def _grantees(to: RecipientsLike, admins: RecipientsLike, constraints: Constraints) -> tuple[Grantee, ...]:
    constraints.check_window()
    plain = replace(constraints, delegate=False)
    delegating = replace(constraints, delegate=True)
    openers, administrators = resolve(to), resolve(admins)
    check_company([*openers, *administrators])
    grantees = [Grantee(recipient, plain) for recipient in openers]
    grantees += [Grantee(recipient, delegating) for recipient in administrators]
    if not grantees:
        raise UsageError("nobody could open this bundle", hint="name at least one recipient")
    if len(grantees) > MOST_EMBEDDED_GRANTS:
        raise UsageError(
            f"at most {MOST_EMBEDDED_GRANTS} grants fit into a bundle",
            hint="seal for an administrator and issue the others with `modelkeep grant`",
        )
    return tuple(grantees)
