"""Sphinx extension: pages of the reference that are written by the code itself at every build.

A line ``<!-- written by: NAME -->`` of a page gives way to what the writer of that name says. Nothing is
written into the source folder, and such pages are read anew at every build, since the code may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reference_command_line
import reference_configuration
import reference_methods

WRITERS: dict[str, Callable[[], str]] = {
    "command_line": reference_command_line.write,
    "configuration": reference_configuration.write,
    "methods": reference_methods.write_methods,
    "recipes": reference_methods.write_recipes,
}
PLACE = re.compile(r"^<!-- written by: (\w+) -->$", re.M)


def fill_in(app: Any, docname: str, source: list[str]) -> None:
    """Replace the places of a page; an unknown name is an error of the build."""
    source[0] = PLACE.sub(lambda match: WRITERS[match[1]](), source[0])


def always_outdated(app: Any, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """The pages that have such a place."""
    return [name for name in env.found_docs if PLACE.search(Path(env.doc2path(name)).read_text("utf-8"))]


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", always_outdated)
    return {"parallel_read_safe": True}
