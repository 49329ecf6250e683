from __future__ import annotations

import ctypes
import sys
import threading
from types import FrameType
from typing import Any

import pytest

from modelkeep.errors import UsageError
from modelkeep.gate import Gate


def test_closing_waits_until_everybody_has_left() -> None:
    gate, inside, leave, order = Gate("closed", hint="open"), threading.Event(), threading.Event(), []

    def visit() -> None:
        with gate.visit():
            gate.check()
            inside.set()
            leave.wait(10)
            order.append("left")

    def close() -> None:
        gate.close()
        order.append("closed")

    visitor, closer = threading.Thread(target=visit), threading.Thread(target=close)
    visitor.start()
    assert inside.wait(10)
    closer.start()
    while gate._open:
        pass
    with pytest.raises(UsageError, match="closed"), gate.visit():
        gate.check()
    assert order == []
    leave.set()
    visitor.join(10)
    closer.join(10)
    assert order == ["left", "closed"]


def test_whoever_is_inside_cannot_close() -> None:
    gate = Gate("closed", hint="open")
    with gate.visit(), pytest.raises(UsageError, match="this very thread"):
        gate.close()
    with gate.visit():
        gate.check()


def test_an_error_inside_leaves_the_gate() -> None:
    gate = Gate("closed", hint="open")
    with pytest.raises(ValueError, match="inside"), gate.visit():
        raise ValueError("inside")
    gate.close()
    gate.close()


def test_visits_leave_nothing_behind() -> None:
    gate = Gate("closed", hint="open")
    for _ in range(10):
        with gate.visit():
            gate.check()
    assert gate._visits == {}


def interrupt_after(count: int) -> Any:
    """Returns a trace function that asks for an interrupt once so many bytecodes have run."""
    left = [count]

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                # Comes when the interpreter next looks, as a signal does.
                ident = ctypes.c_ulong(threading.get_ident())
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt))
        return trace

    return trace


def test_an_interrupt_at_any_bytecode_leaves_nobody_inside() -> None:
    def use(gate: Gate) -> None:
        with gate.visit():
            gate.check()
            len("")

    interrupted, quiet = 0, 0
    before = sys.gettrace()
    for count in range(1, 200):
        gate = Gate("closed", hint="open")
        try:
            sys.settrace(interrupt_after(count))
            use(gate)
        except KeyboardInterrupt:
            interrupted += 1
        else:
            quiet += 1
        finally:
            sys.settrace(before)
        closer = threading.Thread(target=gate.close, daemon=True)
        closer.start()
        closer.join(10)
        assert not closer.is_alive(), count
        gate.close()
    assert interrupted > 10
    assert quiet > 10
