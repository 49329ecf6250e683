"""Who computes: adapters for inference runtimes, and what they need to know of model files."""

from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime, open_runtime

__all__ = ["LoadedModel", "Runner", "Runtime", "open_runtime"]
