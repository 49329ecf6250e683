from __future__ import annotations

import threading

import pytest

from modelkeep.errors import UsageError
from modelkeep.gate import Gate


def test_closing_waits_until_everybody_has_left() -> None:
    gate, inside, leave, order = Gate("closed", hint="open"), threading.Event(), threading.Event(), []

    def visit() -> None:
        with gate:
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
    with pytest.raises(UsageError, match="closed"), gate:
        pass
    assert order == []
    leave.set()
    visitor.join(10)
    closer.join(10)
    assert order == ["left", "closed"]


def test_whoever_is_inside_cannot_close() -> None:
    gate = Gate("closed", hint="open")
    with gate, pytest.raises(UsageError, match="this very thread"):
        gate.close()
    with gate:
        pass


def test_an_error_inside_leaves_the_gate() -> None:
    gate = Gate("closed", hint="open")
    with pytest.raises(ValueError, match="inside"), gate:
        raise ValueError("inside")
    gate.close()
    gate.close()
