"""The page of all verbs: from the parsers that the command line itself uses."""

from __future__ import annotations

import contextlib
import io
import os
import types
import typing
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from typer.main import get_command

from pointseg.cli import app

#: Characters of a line of a help text.
WIDTH = 96
#: How values of a type are called.
VALUES = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


def write() -> str:
    """A section for each verb: what it does, its words and options; of `prepare` the help of each part."""
    verbs: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    # The parsers know names, defaults and help in every version of typer; the functions know the types.
    functions = {one.callback.__name__.replace("_", "-"): one.callback for one in app.registered_commands}  # type: ignore[union-attr]
    return "\n".join(line for name, verb in verbs.items() for line in _section(name, verb, functions[name]))


def _section(name: str, verb: Any, function: Any) -> Iterator[str]:
    hints = typing.get_type_hints(function)
    words = [one for one in verb.params if one.param_type_name == "argument"]
    options = [one for one in verb.params if one.param_type_name == "option"]
    yield f"## {name}\n"
    yield f"```text\npointseg {name} {' '.join(map(_usage, words))} [OPTIONS]\n```\n"
    yield f"{_words(verb.help)}\n"
    yield from _table(("word", ""), [(f"`{_name(one)}`", _words(one.help)) for one in words])
    rows = [(_spelt(one, hints[one.name]), _default(one), _words(one.help)) for one in options]
    yield from _table(("option", "default", ""), rows)
    if name == "prepare":
        for data_set in typing.get_args(hints["name"]):
            yield f"### prepare {data_set}\n"
            yield f"```text\n{help_of_prepare(data_set)}\n```\n"


def help_of_prepare(data_set: str) -> str:
    """What `pointseg prepare NAME --help` prints."""
    said = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main = import_module(f"pointseg.prepare.{data_set}").main
            main(["--help"], prog=f"pointseg prepare {data_set}")
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return said.getvalue().strip()


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(heads)} |"
        yield f"|{'---|' * len(heads)}"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _name(one: Any) -> str:
    """What a word is called, without the signs that say how often it comes; as a cell of a table."""
    return str(one.metavar or one.name.upper()).translate(str.maketrans("", "", "[].")).replace("|", "\\|")


def _usage(one: Any) -> str:
    shown = str(one.metavar or one.name.upper())
    if one.nargs == -1 and "..." not in shown:
        shown += "..."
    return shown if one.required or shown.startswith("[") else f"[{shown}]"


def _spelt(one: Any, kind: Any) -> str:
    spelt = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    return spelt if one.is_flag else f"{spelt} `{_values(kind)}`"


def _values(kind: Any) -> str:
    """The values of an option, by the type of its parameter."""
    given = [one for one in typing.get_args(kind) if one is not types.NoneType]
    if typing.get_origin(kind) is typing.Literal:
        return " \\| ".join(given)
    return VALUES[kind] if kind in VALUES else _values(given[0])


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if one.default is None or one.default is False:
        return ""
    return "on" if one.default is True else f"`{one.default}`"


def _words(text: str | None) -> str:
    """Help texts are plain: what Markdown would read otherwise is kept from it."""
    return "".join(f"\\{sign}" if sign in "|<*_[]" else sign for sign in text or "")
