"""Changed code in functions that are there already, which spares importing everything anew each time."""

from __future__ import annotations

import ast
import gc
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType

Key = tuple[str, str, int]


class Functions:
    """All functions of this process, by where they were written."""

    def __init__(self) -> None:
        self._found: dict[Key, list[FunctionType]] = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                self._found[_key(each.__code__)].append(each)

    def put_in(self, path: str, before: bytes, after: bytes, start: int) -> bool:
        """Gives the function around a change its new code; returns whether there is one.

        Args:
            path: the file that it was imported from.
            before: what the file says.
            after: what it would say with the change.
            start: where the change begins in it, in bytes.
        """
        number = _number(before, start)
        if number is None:
            return False
        old, new = (list(_codes(compile(text, path, "exec")))[number] for text in (before, after))
        for function in self._found[_key(old)]:
            try:
                function.__code__ = new
            except ValueError:  # it needs other variables of what is around it
                return False
        return bool(self._found[_key(old)])


def _key(code: CodeType) -> Key:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yields the code of functions that are in no other function, in their order."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if _is_class(each):
                yield from _codes(each)
            elif not each.co_name.startswith("<"):
                yield each


def _is_class(code: CodeType) -> bool:
    return "__module__" in code.co_names and "__qualname__" in code.co_names


def _number(source: bytes, start: int) -> int | None:
    """Returns which of those functions has a place in its body; None for what is run by the import."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for number, function in enumerate(_functions(ast.parse(source))):
        first, end = function.body[0], lines[(function.end_lineno or 0) - 1] + (function.end_col_offset or 0)
        if lines[first.lineno - 1] + first.col_offset <= start < end:
            return number
    return None


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif not isinstance(node, ast.expr):
            yield from _functions(node)
