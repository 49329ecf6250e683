"""Which inputs pass."""

from modelkeep.guard.contract import check
from modelkeep.guard.findings import UNUSUAL, GuardFinding
from modelkeep.guard.guard import Guard
from modelkeep.guard.profile import GuardProfile

__all__ = ["UNUSUAL", "Guard", "GuardFinding", "GuardProfile", "check"]
