"""Which inputs pass. Names are imported when they are first used: most models have a contract alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelkeep.guard.clients import ClientGuard
    from modelkeep.guard.contract_check import ContractCheck, advice
    from modelkeep.guard.findings import UNUSUAL, GuardFinding
    from modelkeep.guard.guard import Guard
    from modelkeep.guard.profile import GuardProfile
    from modelkeep.guard.stream import StreamGuard
    from modelkeep.guard.telemetry import Telemetry

_HOMES = {
    "UNUSUAL": "findings",
    "ClientGuard": "clients",
    "ContractCheck": "contract_check",
    "Guard": "guard",
    "GuardFinding": "findings",
    "GuardProfile": "profile",
    "StreamGuard": "stream",
    "Telemetry": "telemetry",
    "advice": "contract_check",
}

__all__ = [
    "UNUSUAL", "ClientGuard", "ContractCheck", "Guard", "GuardFinding", "GuardProfile", "StreamGuard",
    "Telemetry", "advice",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
