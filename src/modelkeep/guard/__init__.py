"""Which inputs pass."""

from modelkeep.guard.clients import ClientGuard
from modelkeep.guard.contract import check
from modelkeep.guard.findings import UNUSUAL, GuardFinding
from modelkeep.guard.guard import Guard
from modelkeep.guard.profile import GuardProfile

__all__ = ["UNUSUAL", "ClientGuard", "Guard", "GuardFinding", "GuardProfile", "check"]
