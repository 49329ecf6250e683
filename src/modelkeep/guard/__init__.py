"""Which inputs pass."""

from modelkeep.guard.clients import ClientGuard
from modelkeep.guard.contract_check import ContractCheck, advice
from modelkeep.guard.findings import UNUSUAL, GuardFinding
from modelkeep.guard.guard import Guard
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.stream import StreamGuard

__all__ = [
    "UNUSUAL", "ClientGuard", "ContractCheck", "Guard", "GuardFinding", "GuardProfile", "StreamGuard",
    "advice",
]  # fmt: skip
