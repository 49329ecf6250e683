"""The isolated side: decrypts and loads the model, then answers one run after the other."""

from __future__ import annotations

import importlib
import os
import resource
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from modelkeep.isolation import area
from modelkeep.isolation.area import Area
from modelkeep.isolation.channel import LARGEST_MESSAGE, Channel, ChannelClosedError
from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.protocol import KEY, Opening, SealedFile, error_message
from modelkeep.isolation.values import put_together, taken_apart
from modelkeep.memory import Memory, Pages, SecretPages
from modelkeep.memory import report as memory_report
from modelkeep.runtimes.loading import allocate, keep_borrowed, loaded_model
from modelkeep.runtimes.registry import Runner, Runtime, open_runtime


class Steps(Protocol):
    """What this process gives up on the way: the module `hardening`."""

    def before_loading(self) -> Hardening:
        """Before anything of the model is parsed."""

    def after_loading(self, channel: int) -> Hardening:
        """When it is ready; `channel` is the descriptor to keep."""


# What the session hands over, it has itself.
_LIMIT = area.LARGEST_AREA


def serve(channel: Channel, done: Hardening, steps: Steps) -> None:
    """Opens the model that the session asks for and runs it until the session goes.

    Args:
        channel: to the session.
        done: what this process has given up.
        steps: gives up more of it.
    """
    try:
        channel.send(["hardened", done.in_force, done.missing])
        with ExitStack() as memory:
            try:
                runner, ready, more = _open(channel, memory, steps)
            except ChannelClosedError:
                raise
            except Exception as error:
                channel.send(error_message(error))
                return
            more += steps.after_loading(channel.descriptor)
            channel.send(["ready", *ready, more.in_force, more.missing])
            _Answers(channel, runner).run()
    except ChannelClosedError:
        return


def _open(channel: Channel, stack: ExitStack, steps: Steps) -> tuple[Runner, Sequence[object], Hardening]:
    opening = Opening.from_message(channel.receive(LARGEST_MESSAGE))
    with ExitStack() as while_loading:
        files = [_file(channel, while_loading) for _ in range(opening.files)]
        key = SecretPages.allocate(KEY) if opening.secret else Pages.allocate(KEY)
        while_loading.enter_context(key)
        channel.receive_secret(key.view)
        runtime = open_runtime(opening.format, opening.runtime)
        importlib.import_module("numpy")  # while there may still be new files and threads of its own
        _limit_memory(opening.memory_limit)
        memory = {each.path: _decrypted(channel, opening, runtime, each, key, stack) for each in files}
    more = steps.before_loading()
    runner = runtime.load(
        loaded_model(opening.format, opening.entry, memory, opening.function), opening.options
    )
    held = memory_report(*keep_borrowed(memory, runner.borrowed).values())
    outputs = None if runner.outputs is None else list(runner.outputs)
    return runner, (held.locked_bytes, held.unlocked_bytes, held.huge, outputs), more


def _file(channel: Channel, stack: ExitStack) -> SealedFile:
    message, descriptor = channel.receive_with_descriptor()
    if descriptor is None:
        raise ChannelClosedError
    stack.callback(os.close, descriptor)
    return SealedFile.from_message(message, descriptor)


def _decrypted(
    channel: Channel,
    opening: Opening,
    runtime: type[Runtime],
    file: SealedFile,
    key: Memory,
    stack: ExitStack,
) -> Memory:
    memory = allocate(runtime, opening.entry, file.path, file.extent.size, secret=opening.secret)
    stack.enter_context(memory)
    file.stream.decrypt(
        file.extent, key.view, memory.view, progress=lambda count: channel.send(["progress", count])
    )
    return memory


def _limit_memory(limit: int | None) -> None:
    """Lets this process allocate `limit` bytes more than it has."""
    if limit is None:
        return
    status = Path("/proc/self/status").read_text()
    used = 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + limit, used + limit))


class _Answers:
    """Answers runs; keeps the memory that both sides share."""

    def __init__(self, channel: Channel, runner: Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._inputs: Area | None = None
        self._outputs: Area | None = None

    def run(self) -> None:
        """Answers until the session goes.

        Raises:
            ChannelClosedError: it went.
        """
        while True:
            message, descriptor = self._channel.receive_with_descriptor()
            _word, places, forms, size = message
            if descriptor is not None:
                self._inputs = _replaced(self._inputs, Area(descriptor, size))
            try:
                answer = self._answer(places, forms)
            except ChannelClosedError:
                raise
            except Exception as error:
                answer = error_message(error)
            self._channel.send(answer)

    def _answer(self, places: Any, forms: Any) -> list[object]:
        arrays = area.read(self._inputs, places, copy=False)
        outputs = self._runner.run(put_together(forms, arrays, _LIMIT))
        forms, parts = taken_apart(outputs)
        laid_out, size = area.packed(parts)
        return ["outputs", area.write(self._room_for(size), laid_out), forms]

    def _room_for(self, size: int) -> Area:
        """Returns memory for outputs; where they need more, the session makes it."""
        if self._outputs is None or size > self._outputs.size:
            self._channel.send(["room", size])
            (_word, size), descriptor = self._channel.receive_with_descriptor()
            if descriptor is None:
                raise ChannelClosedError
            self._outputs = _replaced(self._outputs, Area(descriptor, size))
        return self._outputs


def _replaced(old: Area | None, new: Area) -> Area:
    if old is not None:
        old.close()
    return new
