"""A model in a process of its own: a hardened child computes, its end gives every page back."""

from modelkeep.isolation.hardening import Hardening
from modelkeep.isolation.settings import ProcessIsolation

__all__ = ["Hardening", "ProcessIsolation"]
