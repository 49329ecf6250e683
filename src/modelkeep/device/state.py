"""What a device must not forget, in one small file per device key.

The file is replaced as a whole under a lock. Where the key's hardware counts, the state that counts is
the one that names the counter's present number: an older one that comes back with an old disk is
refused. Elsewhere it is accepted; see spec/limitations.md.
Source: spec/install-v1.md, "Device state" and "Counters".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from modelkeep.device.contents import Contents, Installed, Quarantined, Stage, Time
from modelkeep.device.device_key import DeviceKey
from modelkeep.device.local_key import LocalKey
from modelkeep.device.marks import Judge, Mark
from modelkeep.device.seen_trust import SeenTrust, voucher_for
from modelkeep.device.state_store import StateStore
from modelkeep.device.tuf_roles import Roles, has_new_root, with_roles
from modelkeep.errors import RefusedError, StorageError, UsageError
from modelkeep.memory import wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.storage import is_read_only

if TYPE_CHECKING:
    from modelkeep.trust.ticket import VerifiedTicket

SECRET_BYTES = 32


def unchanged(time: int) -> int:
    """Returns the time that is remembered: nothing more is known."""
    return time


class DeviceState:
    """The state of one device key; every change is durable when the method returns.

    Every method may raise, besides what it says itself:

    - RollbackError: the state is an old one, or is gone, or was changed by somebody else meanwhile.
    - TamperedError, MalformedError: somebody else wrote it, or a newer modelkeep.
    - StorageError: it cannot be read or written.
    - KeyStoreError: the key or its counter cannot be used.

    Args:
        key: the device's key, whose owner is the caller. It is not used before there is a state.
    """

    def __init__(self, key: DeviceKey) -> None:
        self._store = StateStore(key)
        self.device = self._store.device
        self.path = self._store.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Forgets the key's secret, and not the state."""
        self._store.close()

    @property
    def has_begun(self) -> bool:
        """Whether there is a state, or was one: where something has counted, a missing one was taken away."""
        return self._store.has_begun

    @property
    def number(self) -> int | None:
        """What the device's counter says; None where nothing counts, or has counted yet."""
        return self._store.number

    @property
    def local(self) -> LocalKey:
        """What protects the device's installations; closed with this."""
        return self._store.local

    def look_at_file(self) -> Contents:
        """Returns what the file says, whether it counts or not: for people, never to open a model."""
        return self._store.written()

    def look(self) -> Contents:
        """Returns what the device remembers; nothing where no state has begun."""
        return self._store.look() if self.has_begun else Contents()

    def see(self, seen: SeenTrust | None, time: Time = unchanged) -> Contents:
        """Refuses a trust file that is older than one seen here, remembers a newer one, and a later day.

        Returns what the device remembers afterwards. It does not begin a state, and on a disk that nobody
        can write nothing is remembered.

        Args:
            seen: the trust file, if there is one.
            time: makes of the time that is remembered the one to remember, both in seconds since
                1970-01-01 UTC.

        Raises:
            RollbackError: a newer one was seen before.
        """
        contents = self.look()
        if not (_learn(contents, seen, time) and self.has_begun):
            return contents
        try:
            return self._change(lambda present: _learn(present, seen, time))
        except StorageError as error:
            # A device that runs from a read-only disk can check, but has nowhere to remember.
            if not is_read_only(error):
                raise
            return contents

    def see_roles(self, seen: Roles) -> None:
        """Refuses metadata of an update repository that is older than what was seen; remembers what is newer.

        A new root is a counted change, everything else is not: its return costs a repeated download, and what
        is installed has marks.

        Args:
            seen: the roles that were loaded, by the names of `tuf_roles.name_of`.

        Raises:
            RollbackError: newer metadata was seen before.
        """
        known = self.look().tuf
        if with_roles(known, seen) == known:
            return
        if has_new_root(known, seen):
            self._change(lambda contents: _learn_roles(contents, seen))
            return
        with self._changing_uncounted() as contents:
            _learn_roles(contents, seen)

    def stage(
        self, model: str, installation: bytes, mark: Mark, judge: Judge, *, replaced: bytes | None = None
    ) -> bytes:
        """Adds an installation that is about to be made and returns its new secret, 32 bytes.

        Args:
            model: the model's id.
            installation: its id, 16 bytes.
            mark: the release, and who signed it.
            judge: whom the verifier believes.
            replaced: an installation whose file is about to be overwritten; it is forgotten.

        Raises:
            RollbackError: the release is older than what counts here.
        """
        with wiped(SECRET_BYTES) as fresh:
            fill_random(memoryview(fresh))
            installed = Installed(mark, bytes(fresh))
        with self._changing_uncounted() as contents:
            contents.check(model, mark.order, mark.bundle, judge)
            contents.model(model).stage(installation, installed, replaced)
        return installed.secret

    def try_out(self, model: str, installation: bytes) -> int:
        """Puts a staged installation on trial; returns how often it was, this time included.

        Raises:
            RollbackError: the installation is not known any more.
            StorageError: this cannot be remembered; it must not be tried then.
        """
        with self._changing_uncounted() as contents:
            state = contents.model(model)
            state.set_stage(installation, Stage.TRIAL)
            state.tries += 1
        return state.tries

    def give_up(self, model: str, installation: bytes, failed: Quarantined | None = None) -> None:
        """Forgets an installation, and remembers not to try its release again if it `failed`."""
        with self._changing_uncounted() as contents:
            state = contents.model(model)
            known = state.installations.get(installation)
            if failed is not None and known is not None:
                state.put_in_quarantine(failed._replace(voucher=known.mark.voucher))
            state.drop(installation)

    @contextmanager
    def committing(
        self,
        model: str,
        installation: bytes,
        judge: Judge,
        seen: SeenTrust | None = None,
        time: Time = unchanged,
    ) -> Iterator[None]:
        """Makes an installation count, once the block has put its file in place.

        Afterwards older releases do not count any more, as far as `judge` vouches for their signers: their
        installations can never be opened again. Nobody else changes the state during the block, so a file
        that no longer counts never takes the place of one that does. From before the block on, the new
        installation is current: whatever happens then, what is in place can be opened.

        Args:
            model: the model's id.
            installation: one that was staged.
            judge: whom the verifier believes.
            seen: the trust file that was used, if there is one; it is remembered, too.
            time: as for `see`.

        Raises:
            RollbackError: something newer was installed since it was staged, or a newer trust file seen.
        """
        with self._store.locked() as lock:
            contents = self._store.settled()
            changed = deepcopy(contents)
            _learn(changed, seen, time)
            mark = changed.model(model).set_stage(installation, Stage.CURRENT).mark
            changed.check(model, mark.order, mark.bundle, judge)
            changed.model(model).commit(model, installation, judge)
            contents.model(model).set_stage(installation, Stage.CURRENT)
            self._store.write_counted(contents, lock)
            yield
            changed.counter = contents.counter
            self._store.write_counted(changed, lock)

    def commit(
        self,
        model: str,
        installation: bytes,
        judge: Judge,
        seen: SeenTrust | None = None,
        time: Time = unchanged,
    ) -> None:
        """Makes an installation count that was tried where it stays, in one counted change.

        The arguments, and what older releases come to, are those of `committing`.

        Raises:
            RollbackError: it is not on trial any more, something newer was installed since, or a newer
                trust file seen.
        """

        def change(contents: Contents) -> bool:
            _learn(contents, seen, time)
            known = contents.model(model).on_trial(installation)
            # Whoever lets it count answers for it, whoever staged it.
            mark = known.mark._replace(voucher=voucher_for(seen, known.mark.signer))
            contents.model(model).installations[installation] = replace(known, mark=mark)
            contents.check(model, mark.order, mark.bundle, judge)
            contents.model(model).commit(model, installation, judge)
            return True

        self._change(change)

    def obey(self, verified: VerifiedTicket, seen: SeenTrust | None = None) -> Contents:
        """Lets go of what a ticket says; returns what is remembered afterwards.

        Args:
            verified: the ticket.
            seen: the trust file whose roots signed it, if there is one: whoever they have replaced since
                may not say anything any more.

        Raises:
            RefusedError: the ticket is not for this state, or asks for more than its signers may.
            RollbackError: a newer trust file was seen.
        """
        # Most devices never get a ticket.
        from modelkeep.device.obeying import obey
        from modelkeep.trust.ticket import Adopt

        if not self.has_begun:
            raise RefusedError("this device remembers nothing yet, so that there is nothing to let go of")
        adopted = [act.counter for act in verified.ticket.acts if isinstance(act, Adopt)]

        def change(contents: Contents) -> bool:
            if seen is not None:
                contents.see(seen, unchanged)
            obey(contents, self.device, verified)
            return True

        return self._change(change, adopted=adopted[0] if adopted else None)

    def inherit(self, old: Contents) -> None:
        """Begins with what another key of this device remembers, but for its installations.

        Raises:
            UsageError: this key has a state already.
        """
        with self._store.locked() as lock:
            if self.has_begun:
                raise UsageError(f"{self.path}: the new key has a state already", hint="make a new key")
            self._store.write_counted(old.inheritance(), lock)

    def retire(self) -> int:
        """Forgets the secrets of all installations, in one change that counts: none of them ever opens again.

        Returns how many there were. Marks stay, so that this device still takes nothing older.
        """
        forgotten = 0

        def change(contents: Contents) -> bool:
            nonlocal forgotten
            forgotten = contents.forget_installations()
            return forgotten > 0

        if self.has_begun:
            self._change(change)
        return forgotten

    def _change(self, change: Callable[[Contents], bool], adopted: int | None = None) -> Contents:
        """Makes a counted change of what is there, or of what was `adopted`; none where `change` says so."""
        with self._store.locked() as lock:
            contents = self._store.settled() if adopted is None else self._store.adopted(adopted)
            changed = deepcopy(contents)
            if change(changed):
                self._store.use_up_number(contents, lock)
                changed.counter = contents.counter
                self._store.write_counted(changed, lock)
            return changed

    @contextmanager
    def _changing_uncounted(self) -> Iterator[Contents]:
        with self._store.locked() as lock:
            contents = self._store.settled()
            yield contents
            self._store.write(contents, lock)


def _learn(contents: Contents, seen: SeenTrust | None, time: Time) -> bool:
    contents.check_adopted(seen)
    return seen is not None and contents.see(seen, time)


def _learn_roles(contents: Contents, seen: Roles) -> bool:
    contents.tuf = with_roles(contents.tuf, seen)
    return True
