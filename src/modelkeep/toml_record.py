"""Files that people write, in TOML, read member by member; what is wrong says where, and which page helps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.record import Record


@contextmanager
def toml_record(data: bytes, what: str, page: str) -> Iterator[Record]:
    """Yields the members of a file; leaving the block refuses those that nobody took.

    Args:
        data: the file's content.
        what: what to call it in messages.
        page: the page that shows what it looks like.

    Raises:
        UsageError: not TOML, or members are not of their form.
        UnsupportedVersionError: of a newer version.
    """
    try:
        with Record(tomllib.loads(data.decode()), what) as record:
            yield record
    except UnsupportedVersionError:
        raise
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what}: not TOML: {str(error)[:200]}") from None
    except MalformedError as error:
        raise UsageError(str(error), hint=f"{page} shows what a policy looks like") from None
