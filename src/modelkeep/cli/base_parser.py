"""A parser whose mistakes are errors like all others: with what was meant, where that can be guessed."""

from __future__ import annotations

import argparse
import re
import textwrap

from modelkeep.cli.output import say
from modelkeep.cli.settings import fill, options_of
from modelkeep.errors import UsageError
from modelkeep.settings import find

# Set as `typing` would: what every command imports is kept cheap.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

_INVALID_CHOICE = re.compile(
    r"argument (?P<what>.+): invalid choice: '(?P<word>.*)' \(choose from .*\)", re.S
)
_WIDTH = 79


class BaseParser(argparse.ArgumentParser):
    """A parser of a command, or of a command's commands."""

    def __init__(self, **details: Any) -> None:
        details["description"] = textwrap.fill(details.get("description") or "", _WIDTH)
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **details)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; what is left over is this parser's to explain, which knows its options."""
        # Help is for everybody, also for whom settings are broken.
        asks = {"-h", "--help"} & set(args or ())
        found = {} if asks else find(options_of(self))
        for name in found:
            self._option_string_actions[f"--{name}"].required = False
        parsed, surplus = self.all_known(super().parse_known_args(args, namespace))
        if taken := fill(parsed, found):
            say(f"taken: {', '.join(taken)}")
        return parsed, surplus

    def all_known(self, found: tuple[Any, list[str]]) -> tuple[Any, list[str]]:
        """Returns what was parsed, if nothing is left over.

        Raises:
            UsageError: something is.
        """
        if found[1]:
            self._refuse(found[1])
        return found

    def error(self, message: str) -> NoReturn:
        """Raises what argparse found.

        Raises:
            UsageError: always.
        """
        if found := _INVALID_CHOICE.fullmatch(message):
            self._refuse_choice(found["what"], found["word"])
        raise UsageError(f"{self._where}{message}", hint=self._help)

    def _refuse(self, surplus: list[str]) -> NoReturn:
        word = next((each for each in surplus if each.startswith("-")), surplus[0]).partition("=")[0]
        meant = _closest(word, self._option_string_actions)
        raise UsageError(f"{self._where}no such option or argument: {word}", hint=meant or self._help)

    def _refuse_choice(self, what: str, word: str) -> NoReturn:
        action = next(each for each in self._actions if what in (each.metavar, "/".join(each.option_strings)))
        choices = [str(each) for each in action.choices or ()]
        meant = _closest(word, choices)
        if what == "COMMAND":
            raise UsageError(f"{self._where}no such command: {word}", hint=meant or self._help)
        raise UsageError(
            f"{self._where}{what} cannot be {word!r}", hint=meant or f"one of {', '.join(choices)}"
        )

    @property
    def _where(self) -> str:
        command = self.prog.partition(" ")[2]
        return f"{command}: " if command else ""

    @property
    def _help(self) -> str:
        return f"see {self.prog} --help"


def _closest(word: str, choices: Iterable[str]) -> str | None:
    import difflib

    found = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {found[0]}?" if found else None
