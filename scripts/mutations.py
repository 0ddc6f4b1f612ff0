"""Small wrong changes of a source file: each one that no test notices shows what is not tested."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

#: Operator -> the one that it is mistaken for.
_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
#: What only speaks to people: calls whose arguments are not mutated, and which are not removed.
_SPEAKING = {"print", "say", "warn", "warning", "info", "debug", "getLogger", "add_argument"}
#: Keywords whose loss shows on machines without UTF-8 alone, or that state an invariant as an assertion does.
_UNSEEN = {"encoding", "strict"}
#: Functions of the type system.
_TYPING = {"cast", "TypeVar", "NewType", "Annotated"}


@dataclass(frozen=True)
class Mutant:
    """One wrong change.

    Args:
        file: path from the root of the repository.
        line: where it begins, from 1.
        start, end: the characters of the file that it replaces.
        old, new: the text there, before and after.
        code: the line's text without the blanks around it.
    """

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str
    code: str

    @property
    def change(self) -> str:
        """``old -> new`` in one line, by which the list of equivalent mutants names it."""
        return f"{' '.join(self.old.split())} -> {' '.join(self.new.split())}"

    def applied(self, source: str) -> str:
        """The file with the change."""
        return source[: self.start] + self.new + source[self.end :]


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """All mutants of a file, in the order of its text, that are valid Python."""
    source = (root / file).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))

    def place(line: int, column: int) -> int:
        # ast counts bytes of UTF-8.
        return offsets[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = {}
    for node, new in _Walk().changes(ast.parse(source)):
        assert node.end_lineno is not None and node.end_col_offset is not None
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        code = lines[node.lineno - 1].strip()
        mutant = Mutant(file, node.lineno, start, end, source[start:end], new, code)
        if mutant.old != new and _is_python(mutant.applied(source)):
            found[start, end, new] = mutant
    return [found[key] for key in sorted(found)]


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


Change = tuple[ast.expr | ast.stmt, str]


class _Walk:
    """Goes through what runs: no docstrings, hints, texts, imports, decorators, assertions, messages."""

    def changes(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, ast.expr):
            yield from _of_expression(node)
        if isinstance(node, ast.stmt):
            yield from _of_statement(node)
        for child in self._children(node):
            yield from self.changes(child)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None)
            yield from node.body
        elif isinstance(node, ast.ClassDef):
            yield from node.body
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield node.value
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from node.orelse
        elif isinstance(node, ast.ExceptHandler):
            yield from node.body
        elif not _is_left_alone(node):
            yield from ast.iter_child_nodes(node)


def _is_left_alone(node: ast.AST) -> bool:
    """Whether nothing inside is mutated."""
    if isinstance(node, ast.Call):
        return _name(node.func) in _SPEAKING | _TYPING
    if isinstance(node, ast.Assign):
        return _is_of_types(node)
    return isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr)


def _name(function: ast.expr) -> str:
    return (
        function.attr
        if isinstance(function, ast.Attribute)
        else function.id
        if isinstance(function, ast.Name)
        else ""
    )


def _is_of_types(node: ast.Assign) -> bool:
    """``Name = Literal[...]`` and the like, which are for type checkers, and ``__all__``."""
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return "__all__" in names or (isinstance(node.value, ast.Subscript | ast.BinOp) and _is_class_name(names))


def _is_class_name(names: list[str]) -> bool:
    return bool(names) and all(name[0].isupper() and not name.isupper() for name in names)


def _changed(node: ast.expr, change: Callable[[ast.expr], None]) -> Change:
    new = copy.deepcopy(node)
    change(new)
    return node, f"({ast.unparse(new)})"


def _of_expression(node: ast.expr) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            yield _changed(node, partial(_set_item, field="ops", index=i, value=_COMPARE[type(operator)]()))
    elif isinstance(node, ast.BinOp):
        other = _BINARY.get(type(node.op))
        if other is not None and not any(_is_text(side) for side in (node.left, node.right)):
            yield _changed(node, partial(_set, field="op", value=other()))
    elif isinstance(node, ast.BoolOp):
        value = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _changed(node, partial(_set, field="op", value=value))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.IfExp):
        yield _changed(node, partial(_set, field="test", value=ast.UnaryOp(ast.Not(), node.test)))
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from _of_comprehension(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield node, repr(not value)
    elif isinstance(value, int):
        yield node, repr(value + 1)
    elif isinstance(value, float):
        yield node, repr(value * 2 if value else 1.0)


def _of_comprehension(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Iterator[Change]:
    for number, generator in enumerate(node.generators):
        if generator.ifs:
            new = copy.deepcopy(node)
            new.generators[number].ifs = []
            # A generator that is the only argument of a call has the call's brackets already.
            text = ast.unparse(new)
            yield node, text


def _of_call(node: ast.Call) -> Iterator[Change]:
    if _name(node.func) in _SPEAKING | _TYPING:
        return
    if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
        yield _changed(node, _swap_arguments)
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in _UNSEEN:
            yield _changed(node, partial(_drop_keyword, number=number))
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(receiver, ast.Call | ast.BinOp | ast.Subscript):
        yield node, f"({ast.unparse(receiver)})"


def _of_statement(node: ast.stmt) -> Iterator[Change]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if _name(node.value.func) not in _SPEAKING:
            yield node, "pass"
    elif isinstance(node, ast.AugAssign | ast.Raise | ast.Delete):
        yield node, "pass"
    elif isinstance(node, ast.Return) and not (node.value is None or _is_none(node.value)):
        yield node, "return None"
    elif isinstance(node, ast.Continue):
        yield node, "break"
    elif isinstance(node, ast.Break):
        yield node, "continue"
    elif isinstance(node, ast.If | ast.While) and "TYPE_CHECKING" not in ast.unparse(node.test):
        yield node.test, f"(not ({ast.unparse(node.test)}))"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _set(node: ast.expr, *, field: str, value: ast.AST) -> None:
    setattr(node, field, value)


def _set_item(node: ast.expr, *, field: str, index: int, value: ast.AST) -> None:
    getattr(node, field)[index] = value


def _swap_arguments(node: ast.expr) -> None:
    assert isinstance(node, ast.Call)
    node.args[0], node.args[1] = node.args[1], node.args[0]


def _drop_keyword(node: ast.expr, *, number: int) -> None:
    assert isinstance(node, ast.Call)
    del node.keywords[number]
