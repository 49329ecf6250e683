"""How well a guard does on a model: false alarms, faults, attacks, time; as a page and as JSON."""

from modelkeep.guard_report.report import measure_guard, measure_session, write_report
from modelkeep.guard_report.settings import Settings
from modelkeep.guard_report.state import State

__all__ = ["Settings", "State", "measure_guard", "measure_session", "write_report"]
