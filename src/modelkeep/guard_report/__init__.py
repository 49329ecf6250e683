"""How well a guard does on a model: false alarms, faults, attacks, time; as a page and as JSON."""

from modelkeep.guard_report.report import Settings, measure_guard, write_report

__all__ = ["Settings", "measure_guard", "write_report"]
