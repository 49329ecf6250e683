"""The file, the lock and the counter of a device's state, and the order in which they change.

Source: spec/install-v1.md, "Counters".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.device import state_lock
from modelkeep.device.contents import GENERATION_BYTES, Contents
from modelkeep.device.device_key import DeviceKey, counter_of
from modelkeep.device.local_key import LocalKey
from modelkeep.device.state_file import LARGEST_STATE, read_state, write_state
from modelkeep.device.state_lock import StateLock, changed_meanwhile
from modelkeep.device.state_place import device_id, refuse_shared, state_path
from modelkeep.errors import RefusedError, RollbackError, StorageError
from modelkeep.memory.randomness import random_bytes
from modelkeep.storage import is_read_only, read_small, sync_folder, words_for


class StateStore:
    """Where a device's state is kept.

    Args:
        key: the device's key, whose owner is the caller.

    Raises:
        StorageError: others may write into the folder of states.
    """

    def __init__(self, key: DeviceKey) -> None:
        self.device = device_id(key.public)
        self.path = state_path(key.public)
        refuse_shared(self.path.parent)
        self._next = self.path.with_name(f"{self.path.name}.next")
        self._key = key
        self._counter = counter_of(key)
        self._opened: LocalKey | None = None

    def close(self) -> None:
        """Forgets the key's secret."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    @property
    def has_begun(self) -> bool:
        """Whether there is a state, or was one: where something has counted, a missing one was taken away."""
        with words_for(self.path):
            try:
                # A link that leads nowhere is there, as for whoever reads it.
                self.path.lstat()
            except FileNotFoundError:
                return self._counter is not None and self._counter.value() is not None
        return True

    def look(self) -> Contents:
        """Returns the state that counts."""
        if self._counter is None:
            return self.settled()
        # Counter and file change one after the other; only under the lock do they fit together.
        try:
            with self.locked():
                return self.settled()
        except StorageError as error:
            if not is_read_only(error):
                raise
            # Where nobody can write, nobody is writing.
            return self.settled(finish=False)

    @contextmanager
    def locked(self) -> Iterator[StateLock]:
        """Keeps everybody else from changing the state during a `with` block."""
        # The file itself is replaced, so the lock needs a file of its own.
        with state_lock.locked(self.path.with_name(f"{self.path.name}.lock")) as lock:
            yield lock

    def settled(self, *, finish: bool = True) -> Contents:
        """Returns the state that counts, after finishing a change that a crash interrupted.

        Without `finish`, that change is left as it is, which needs no writing.
        """
        contents = read_state(self.path, self.local.for_state()) or Contents()
        value = None if self._counter is None else self._counter.value()
        if contents.counter == value:
            return contents
        upcoming = read_state(self._next, self.local.for_state())
        if upcoming is not None and upcoming.counter == value:
            if finish:
                self._take_next()
            return upcoming
        raise RollbackError(
            f"{self.path}: is not the newest state of this device, or was lost",
            hint="put the newest state back; if it is lost, make a new key and get new grants",
        )

    def written(self) -> Contents:
        """Returns the state in the file, whether it counts or not."""
        return read_state(self.path, self.local.for_state()) or Contents()

    def adopted(self, number: int) -> Contents:
        """Returns a state that is not the newest as one that counts, though as yet for nobody.

        One that was adopted before is returned as it is: it may come to count for others besides.

        Raises:
            RefusedError: the counter says something else than `number`, or there is none; or the newest
                state is there.
        """
        if self._counter is None or self._counter.value() != number:
            raise RefusedError(
                f"the ticket is for a counter that says {number}",
                hint="modelkeep state show says what it says",
            )
        try:
            contents = self.settled()
        except RollbackError:
            contents = self.written()
            contents.counter, contents.adopted_by = number, frozenset()
        if contents.adopted_by is None:
            raise RefusedError("the newest state of this device is there: none has to be adopted")
        return contents

    @property
    def number(self) -> int | None:
        """What the device's counter says; None without one, or before its first change."""
        return None if self._counter is None else self._counter.value()

    def use_up_number(self, contents: Contents, lock: StateLock) -> None:
        """Gives the counter's next number to what is known already.

        A change that was cut off before it was counted has left a state with that number. Whoever kept a
        copy could choose between the two.
        """
        if self._counter is not None:
            self.write_counted(contents, lock)

    def write(self, contents: Contents, lock: StateLock) -> None:
        """Replaces the state without counting: the one before it can come back, and must be worth no less."""
        if self._counter is not None and contents.counter is None:
            self.write_counted(contents, lock)
            return
        if self._counter is not None and self._counter.value() != contents.counter:
            raise changed_meanwhile(self.path)
        lock.check()
        write_state(self.path, self.local.for_state(), contents)

    def write_counted(self, contents: Contents, lock: StateLock) -> None:
        """Replaces the state; the one before it never counts again where hardware counts."""
        contents.generation = random_bytes(GENERATION_BYTES)
        lock.check()
        if self._counter is None:
            write_state(self.path, self.local.for_state(), contents)
            return
        # In this order, so that after a crash at any point one of the two files has the number.
        upcoming = self._counter.upcoming()
        if contents.counter is not None and upcoming != contents.counter + 1:
            raise changed_meanwhile(self.path)
        contents.counter = upcoming
        written = write_state(self._next, self.local.for_state(), contents)
        if self._counter.advance() != upcoming:
            raise changed_meanwhile(self.path)
        self._take_next()
        # Somebody without this lock may have written another state with the same number in between.
        if read_small(self.path, LARGEST_STATE, "a device's state") != written:
            raise changed_meanwhile(self.path)

    @property
    def local(self) -> LocalKey:
        """The device's local key, which is asked for when it is needed, and once."""
        if self._opened is None:
            self._opened = self._key.local_key()
        return self._opened

    def _take_next(self) -> None:
        with words_for(self.path):
            self._next.replace(self.path)
            sync_folder(self.path.parent)
