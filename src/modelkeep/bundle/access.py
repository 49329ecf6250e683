"""From a path to something unlocked: what it takes, and the steps that every verb on the device shares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from modelkeep.bundle.bundle import Bundle, UnlockedBundle
from modelkeep.bundle.installation import Installation, is_installation
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.device.contents import Stage
from modelkeep.errors import KeepError, RefusedError, RollbackError, UnsupportedVersionError, UsageError
from modelkeep.grants import sidecar
from modelkeep.grants.glance import Glance
from modelkeep.grants.grant import Grant
from modelkeep.keys.identity import Identity
from modelkeep.storage import words_for
from modelkeep.trust.bundle_verifier import BundleVerifier

IdentityLike = Identity | str | os.PathLike[str]


class Access:
    """With what something sealed is opened; a context manager that closes the identity it made itself.

    Attributes:
        identity: who opens.
        verifier: whom to trust, and which model and release to accept.
        grant_file: where to look for the grant instead of in the bundle and its sidecar, or None.
        posture: names of what this device was found to be, for grants that demand some.
        stage: which installations are opened: those that count, or on a trial the one that is tried.
    """

    def __init__(
        self,
        identity: IdentityLike,
        verifier: BundleVerifier,
        grant_file: str | os.PathLike[str] | None = None,
        posture: Iterable[str] = (),
        *,
        stage: Stage = Stage.CURRENT,
    ) -> None:
        """Takes an identity, or the URI or path of its key.

        Raises:
            UsageError: an argument is of another kind, or the URI is not understood.
            KeyStoreError: the key cannot be found, unlocked or used.
            StorageError: a file cannot be read.
        """
        self.verifier = _verifier(verifier)
        self.identity = identity if isinstance(identity, Identity) else _identity(identity)
        self._is_own = self.identity is not identity
        self.grant_file = grant_file
        self.stage = stage
        self.posture = frozenset((posture,) if isinstance(posture, str) else posture)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the identity, if it was made from a URI here."""
        if self._is_own:
            self.identity.close()


def sidecar_path(bundle: Path) -> Path:
    """Returns where grants that were issued after sealing are kept: next to the bundle.

    Raises:
        UsageError: nothing can lie next to it.
    """
    # `.` and `..` are no names; what they stand for has one.
    named = bundle if bundle.name not in ("", "..") else Path(os.path.abspath(bundle))  # noqa: PTH100
    if not named.name:
        raise UsageError(f"{bundle}: not a bundle", hint="name the file or folder of one")
    return named.with_name(f"{named.name}.grants")


def grants_of(
    bundle: Bundle, grant_file: str | os.PathLike[str] | None = None, glance: Glance | None = None
) -> Iterator[Grant]:
    """Gives the grants to choose from: those of `grant_file`, or else embedded ones and the sidecar's.

    Grants in files that `glance` passes over are left out.

    Raises:
        MalformedError: one of them is not a grant.
        StorageError: a file cannot be read.
    """
    if grant_file is not None:
        return sidecar.read(grant_file, required=True, glance=glance)
    beside = sidecar.read(sidecar_path(bundle.path), glance=glance)
    return _one_after_the_other(bundle.embedded_grants(), beside)


def _one_after_the_other(*sources: Iterator[Grant]) -> Iterator[Grant]:
    """Gives all grants; complains of those that are too new only when none of the others served."""
    too_new: UnsupportedVersionError | None = None
    for source in sources:
        try:
            yield from source
        except UnsupportedVersionError as error:
            too_new = too_new or error
    if too_new is not None:
        raise too_new


@contextmanager
def unlock_bundle(
    path: str | os.PathLike[str], access: Access, *, delegating: bool = False
) -> Iterator[UnlockedBundle]:
    """Opens, verifies and unlocks a bundle for the length of a `with` block.

    With `delegating`, only a grant that allows delegation will do, and older releases are given on, too.

    Raises:
        KeepError: the subclass says what to do; see `Bundle.verify` and `VerifiedBundle.unlock`.
    """
    identity = access.identity
    with Bundle(path) as bundle, remembering(identity, access.verifier) as remembered:
        verified = bundle.verify(remembered.verifier)
        if not delegating:
            remembered.check(verified.manifest)
        glance = identity.glance(verified.manifest.bundle)
        grants = grants_of(bundle, access.grant_file, glance)
        passed_over = glance.kinds if glance else None
        with verified.unlock(
            identity, grants, posture=access.posture, passed_over=passed_over, delegating=delegating
        ) as unlocked:
            yield unlocked


@contextmanager
def unlock(path: str | os.PathLike[str], access: Access) -> Iterator[Unlocked]:
    """Opens, verifies and unlocks a bundle or an installation for the length of a `with` block.

    Raises:
        UsageError: a grant file for an installation, which needs none.
        RefusedError: this is a bundle, and the verifier asks for installations.
        KeepError: the subclass says what to do; see `Bundle.verify`, `VerifiedBundle.unlock` and
            `Installation.unlock`.
    """
    is_folder = Path(path).is_dir()
    is_slots = is_folder and SlotFolder.is_at(path)
    if not is_slots and (is_folder or not is_installation(path)):
        _refuse_bundles(access.verifier)
        with unlock_bundle(path, access) as bundle:
            yield bundle
        return
    if access.grant_file is not None:
        raise UsageError("an installation carries its grant", hint="leave the grant file out")
    with ExitStack() as stack:
        unlock_one = _unlock_slot if is_slots else _unlock_installation
        yield unlock_one(Path(path), access, stack)


def _unlock_installation(path: Path, access: Access, stack: ExitStack, *, once_more: bool = True) -> Unlocked:
    before = _identity_of(path)
    try:
        with remembering(access.identity, access.verifier) as remembered:
            return _unlock_at(path, access, remembered, stack)
    except RollbackError:
        # A newer one may have taken its place between the look at the state and the opening of the file.
        if not once_more or _identity_of(path) == before:
            raise
    return _unlock_installation(path, access, stack, once_more=False)


def _unlock_slot(path: Path, access: Access, stack: ExitStack, seen: bytes | None = None) -> Unlocked:
    folder = SlotFolder.read(path)
    with remembering(access.identity, access.verifier) as remembered:
        generation = remembered.contents.generation
        try:
            return _unlock_at(folder.current_file(remembered.contents), access, remembered, stack)
        except KeepError:
            # A commit may have come between, after which the slot is removed, or takes the next release.
            if generation == seen:
                raise
    return _unlock_slot(path, access, stack, generation)


def _unlock_at(path: Path, access: Access, remembered: Remembered, stack: ExitStack) -> Unlocked:
    installation = stack.enter_context(Installation(path))
    return stack.enter_context(installation.unlock_remembered(remembered, access.posture, access.stage))


def _identity_of(path: Path) -> tuple[int, int]:
    with words_for(path):
        status = path.stat()
    return status.st_dev, status.st_ino


def _refuse_bundles(verifier: BundleVerifier) -> None:
    if verifier.require_installed:
        raise RefusedError(
            "this is a bundle, and only installations are opened here",
            hint="modelkeep install, then open that",
        )


def _verifier(verifier: BundleVerifier) -> BundleVerifier:
    if not hasattr(verifier, "verify_statement"):
        raise UsageError(
            f"not a verifier: {type(verifier).__name__}",
            hint='pass Verifier("publisher.pub", model="acme/detector")',
        )
    return verifier


def _identity(key: str | os.PathLike[str]) -> Identity:
    if not isinstance(key, str | os.PathLike):
        raise UsageError(
            f"not an identity: {type(key).__name__}", hint='pass Identity("file:KEY.pem"), or its URI'
        )
    return Identity(key)
