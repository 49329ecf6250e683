"""The one check against going back: what the device remembers, held against what it is shown.

Whatever opens a bundle or an installation with the key of a device passes here, so that neither an old
bundle in the place of an installation nor an old trust file reaches a model.
Source: spec/install-v1.md, "The check"; spec/trust-v1.md, "Numbers".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from modelkeep.device.contents import Contents, Installed, Stage
from modelkeep.device.marks import Floor, Mark
from modelkeep.device.seen_trust import SeenTrust, voucher_for
from modelkeep.device.state import DeviceState
from modelkeep.errors import RollbackError, StorageError, UsageError
from modelkeep.keys.identity import Identity, no_device
from modelkeep.manifest import Manifest
from modelkeep.signer_id import SignerId
from modelkeep.storage import is_read_only
from modelkeep.trust.bundle_verifier import BundleVerifier


class Remembered:
    """What the device of an identity remembers, after it has seen the verifier's trust file.

    Attributes:
        verifier: the verifier, with a clock that says no less than the device remembers.
        contents: what is remembered; nothing for keys of no device.
    """

    def __init__(self, identity: Identity, state: DeviceState | None, verifier: BundleVerifier) -> None:
        """Shows the trust file to the device.

        Raises:
            RollbackError: the device has seen a newer one, or its state is an old one.
            StorageError, TamperedError, MalformedError, KeyStoreError: the state cannot be used.
        """
        self._identity = identity
        self._state = state
        self._shown = verifier
        self._seen = seen_trust(verifier)
        self.contents = Contents() if state is None else state.see(self._seen, self._time)
        self.verifier = verifier.no_earlier_than(self.contents.time_for(self._seen))

    @property
    def state(self) -> DeviceState:
        """The state of the device.

        Raises:
            UsageError: the key belongs to no device.
        """
        if self._state is None:
            raise no_device(self._identity.type)
        return self._state

    def floor(self, model: str) -> Floor:
        """Returns the lowest place of `model` that counts here."""
        return self.contents.floor(model, self.verifier)

    def check(self, manifest: Manifest) -> None:
        """Accepts a verified release that is no older than what was installed, or than the trust file says.

        Raises:
            RollbackError: it is, or another release stands at its place.
        """
        self.floor(manifest.model).check(manifest.order, manifest.bundle)

    def known(self, model: str, installation: bytes, stage: Stage = Stage.CURRENT) -> Installed:
        """Returns what is known of an installation that is at `stage`.

        Raises:
            RollbackError: it is at another one, something newer has replaced it, or it was not made here.
        """
        known = self.contents.installed(model, installation)
        if known is None:
            raise RollbackError(
                "this installation does not count any more, or was not made with this key",
                hint="open the newest installation, or install the bundle again",
            )
        if known.stage is not stage:
            raise _at_other_stage(known.stage)
        if stage is Stage.CURRENT:
            self._finish(model, installation, known)
        return known

    def mark(self, manifest: Manifest, signer: SignerId | None) -> Mark:
        """Returns the mark of a verified release: it counts for whoever reads the verifier's trust file.

        Raises:
            UsageError: nobody has verified who signed it.
        """
        if signer is None:
            raise UsageError("only a bundle whose publisher was verified can be installed")
        return Mark(signer, manifest.order, manifest.bundle, voucher_for(self._seen, signer))

    def stage(self, model: str, installation: bytes, mark: Mark, *, replaced: bytes | None = None) -> bytes:
        """See `DeviceState.stage`."""
        return self.state.stage(model, installation, mark, self.verifier, replaced=replaced)

    @contextmanager
    def committing(self, model: str, installation: bytes, signed_at: int | None = None) -> Iterator[None]:
        """See `DeviceState.committing`; a device also remembers when an authority said it was signed."""
        time = partial(self._time, signed_at=signed_at)
        with self.state.committing(model, installation, self.verifier, self._seen, time):
            yield

    def commit(self, model: str, installation: bytes, signed_at: int | None = None) -> None:
        """See `DeviceState.commit`; the arguments are those of `committing`."""
        time = partial(self._time, signed_at=signed_at)
        self.state.commit(model, installation, self.verifier, self._seen, time)

    def _finish(self, model: str, installation: bytes, known: Installed) -> None:
        # The power went after its file was put in place, and before that was remembered.
        if known.mark in self.contents.models[model].marks:
            return
        try:
            with self.committing(model, installation):
                pass
        except StorageError as error:
            if not is_read_only(error):
                raise

    def _time(self, floor: int, signed_at: int | None = None) -> int:
        clock = self._shown.clock.no_earlier_than(floor).witnessing(signed_at)
        trust = self._shown.trust
        return clock.persistable() if trust is None else clock.persistable(trust.expires)


@contextmanager
def remembering(identity: Identity, verifier: BundleVerifier) -> Iterator[Remembered]:
    """Shows the verifier's trust file to the device of `identity`, if it belongs to one.

    Raises:
        RollbackError: the device has seen a newer one, or its state is an old one.
        StorageError, TamperedError, MalformedError, KeyStoreError: the state cannot be used.
    """
    state = identity.device_state()
    try:
        yield Remembered(identity, state, verifier)
    finally:
        if state is not None:
            state.close()


def _at_other_stage(stage: Stage) -> RollbackError:
    if stage is Stage.CURRENT:
        return RollbackError("this installation counts already", hint="open it; it needs no trial")
    return RollbackError("this installation was never finished", hint="install the bundle again")


def seen_trust(verifier: BundleVerifier) -> SeenTrust | None:
    """Returns the verifier's trust file as devices remember it.

    One that was not read from a file with roots is the caller's own, and has no number to remember.
    """
    trust = verifier.trust
    if trust is None or trust.roots is None:
        return None
    roots = trust.roots
    return SeenTrust(
        trust.number,
        roots.fingerprints,
        roots.threshold,
        roots.set,
        roots.documents,
    )
