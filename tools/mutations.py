"""Small changes of Python code that a test should notice: what there is to change, and what it becomes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

# An operator between two operands: how it is written, and what takes its place.
_BETWEEN: dict[type[ast.AST], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
}
_NOT_RUN = ("annotation", "returns", "decorator_list", "bases")
# How much at once, how long to wait, where more threads or more memory are worth it, and how much a reader
# takes of a file that no format bounds: a little more or less is as good. That there is a bound at all, and
# that something is done, are changes of their own.
_OF_SPEED = frozenset(
    (
        "ALONE_BELOW", "BATCH", "BYTES_PER_THREAD", "HUGE_PAGE", "KEY_ROOM", "LARGEST_CERTIFICATE",
        "LARGEST_FILE", "LARGEST_KEY", "LARGEST_KEY_FILE", "LARGEST_PEM", "LARGEST_RECIPIENTS_FILE",
        "LARGEST_RECORD", "LARGEST_SIGNATURE", "LARGEST_STATE", "LONGEST_LINE", "LONGEST_WAIT",
        "MOST_CERTIFICATES", "MOST_RESOURCES", "ONE_THREAD_BELOW", "PIECE_BYTES", "_BATCH_BYTES",
        "_BETWEEN_TRIES", "_CONTEXT", "_DEEPEST", "_HEAD", "_KEPT", "_LARGEST_CERTIFICATE",
        "_LARGEST_DESCRIPTION", "_LARGEST_PEM", "_LONG_AGO", "_MARGIN", "_MOST_KINDS", "_MOST_NAMES",
        "_MOST_THREADS", "_PIECE", "_ROUNDS", "_SAMPLE", "_TIMEOUT", "_TIMEX_BYTES", "_WIDTH", "_WINDOW",
    )
)  # fmt: skip

Node = ast.expr | ast.stmt


@dataclass(frozen=True, slots=True)
class Mutation:
    """A stretch of a file and what takes its place.

    Attributes:
        start: where the stretch begins, in bytes.
        end: where it ends.
        line: the line that it begins on, from 1.
        text: what takes its place.
    """

    start: int
    end: int
    line: int
    text: str

    def apply(self, source: bytes) -> bytes:
        """Returns the file with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def words(self, source: bytes) -> str:
        """Returns the change for people."""
        return f"{source[self.start : self.end].decode().strip()}  ->  {self.text.strip()}"


def mutations(source: bytes) -> Iterator[Mutation]:
    """Yields every change that is tried on a file; words for people and types are left alone."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _running(ast.parse(source)):
        for changed, text in _replaced(node):
            yield Mutation(_start(changed, starts), _end(changed, starts), changed.lineno, text)
        for before, after, operator in _operators(node):
            start, end = _end(before, starts), _start(after, starts)
            old, new = _BETWEEN[type(operator)]
            text = source[start:end].decode().replace(old, new, 1)
            yield Mutation(start, end, before.end_lineno or before.lineno, text)


def _start(node: Node, starts: list[int]) -> int:
    return starts[node.lineno - 1] + node.col_offset


def _end(node: Node, starts: list[int]) -> int:
    return starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            if name not in _NOT_RUN and isinstance(child, ast.AST) and not _is_for_people(child):
                yield child
                yield from _running(child)


def _is_for_people(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.ClassDef(bases=bases):
            return any(re.search(r"\b(Protocol|TypedDict)\b", ast.unparse(base)) for base in bases)
        case ast.FunctionDef(name=name):
            return name in ("__repr__", "__str__")
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _OF_SPEED or name == "__all__" or _is_union(node)
        case ast.Call(func=function):
            # The words of an error; that it is raised at all is a change of its own.
            return ast.unparse(function).endswith("Error")
    return isinstance(node, ast.JoinedStr)


def _is_union(node: ast.Assign) -> bool:
    """Returns whether a name for several types is given; what flags are put together of is in capitals."""
    match node.value:
        case ast.BinOp(op=ast.BitOr()) as value:
            names = [each for each in ast.walk(value) if isinstance(each, ast.Name | ast.Attribute)]
            return not any((each.id if isinstance(each, ast.Name) else each.attr).isupper() for each in names)
    return False


def _replaced(node: ast.AST) -> Iterator[tuple[Node, str]]:
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() as value):
            yield node, str(value + 1)
        case ast.If(test=test) | ast.While(test=test):
            yield test, "False"
        case ast.IfExp(test=test, body=body, orelse=other) if not (_is_text(body) and _is_text(other)):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Delete() | ast.Break():
            yield node, "pass"
        case ast.Return(value=ast.Call() | ast.Name() | ast.Attribute()):
            yield node, "return None"


def _operators(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr, ast.AST]]:
    match node:
        case ast.Compare(left=left, ops=operators, comparators=others):
            for operator, (before, after) in zip(operators, pairwise([left, *others]), strict=True):
                yield before, after, operator
        case ast.BoolOp(op=operator, values=values):
            yield from ((before, after, operator) for before, after in pairwise(values))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BETWEEN:
            # Pieces of text are put together with the same sign.
            if not any(_is_text(side) for side in (left, right)):
                yield left, right, operator


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
