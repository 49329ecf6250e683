"""What a model format is: how to tell it, and what its files say of the inputs they take.

Formats register under the entry point group `modelkeep.formats`; ours do so too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from modelkeep.contract import Contract

# What a model's function is called when it has but one, without a name.
Contracts = Mapping[str | None, Contract | None]
# Path within the model -> its content.
Files = Mapping[str, memoryview]


class Format(ABC):
    """A model format, by the content of its main file.

    Attributes:
        name: what bundles call it: lower-case letters, digits, dots and hyphens, at most 32.
        suffixes: ends of the names of its files. Content decides, but in a folder names say where to look.
        own_suffixes: whether files of these names are of no other format, so that a damaged one is told.
        runtime: the package to install for a runtime that loads it, to be named in advice.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    own_suffixes: ClassVar[bool] = True
    runtime: ClassVar[str | None] = None

    @classmethod
    @abstractmethod
    def recognises(cls, view: memoryview) -> bool:
        """Returns whether a file is of this format, judged by its content. It raises nothing."""

    @classmethod
    def companions(cls, files: Files, entry: str) -> tuple[str, ...]:
        """Returns the paths of further files that the main file `entry` refers to.

        Raises:
            MalformedError: the main file is damaged.
            UsageError: it refers to something that no bundle can hold.
        """
        return ()

    @classmethod
    def contracts(cls, files: Files, entry: str) -> Contracts:
        """Returns what each function of the model accepts; None where the format does not say.

        The first one is run where nobody says which. Files of `companions` are there.

        Raises:
            MalformedError: the model is damaged.
            UsageError: it takes something that no contract can say.
        """
        return {None: None}
