"""Keeping what a report provokes out of the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Drops what this thread logs to the logger `name`; other threads go on as ever."""
    logger, thread = logging.getLogger(name), threading.get_ident()

    def from_others(_record: logging.LogRecord) -> bool:
        return threading.get_ident() != thread

    logger.addFilter(from_others)
    try:
        yield
    finally:
        logger.removeFilter(from_others)
