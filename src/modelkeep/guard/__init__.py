"""Which inputs pass."""

from modelkeep.guard.contract import check

__all__ = ["check"]
