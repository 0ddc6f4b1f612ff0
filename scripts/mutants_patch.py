"""A mutant put into modules that are loaded: to load all of pointseg anew takes longer than most tests."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import pkgutil
import sys
from pathlib import Path
from types import CodeType, FunctionType

#: Modules that take long to load and hold nothing of ours.
HEAVY = (
    *("torch", "torch.utils.tensorboard", "numpy", "scipy.spatial", "pydantic", "typer", "yaml", "PIL.Image"),
    *("rich.progress", "pytest", "coverage", "hypothesis", "hypothesis.extra.numpy", "anyio.pytest_plugin"),
)


def load(copy: Path) -> None:
    """Load everything of pointseg from a copy of the tree, as tests see it, but for what cannot be loaded."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TRITON_INTERPRET": "1"}
    sys.path.insert(0, str(copy))
    names = [module.name for module in pkgutil.walk_packages([str(copy / "pointseg")], "pointseg.")]
    for name in (*HEAVY, *(name for name in names if not name.endswith("__main__"))):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    sys.path.remove(str(copy))


def forget() -> None:
    """Have pointseg loaded again, from its files."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pointseg"]:
        del sys.modules[name]


def patch(old: str, new: str) -> bool:
    """Give the functions that differ between two texts of a module their new code; whether nothing else does.

    What runs when a module is loaded (defaults, constants, bodies of classes) is in no function that could be
    changed afterwards.
    """
    changes = _changes(*(compile(text, "module", "exec", dont_inherit=True) for text in (old, new)))
    if not changes:
        return False
    living = [thing for thing in gc.get_objects() if type(thing) is FunctionType]
    for before, after in changes:
        # Code is compared without the name of its file.
        found = [function for function in living if function.__code__ == before]
        # New code may need other variables of the function around it.
        if not found or before.co_freevars != after.co_freevars:
            return False
        for function in found:
            function.__code__ = after
    return True


def _changes(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Functions that differ, outermost ones; None where something else does."""
    if _text(old) != _text(new):
        return None
    found = []
    for before, after in zip(_inner(old), _inner(new), strict=True):
        if before.co_flags & inspect.CO_OPTIMIZED:
            if not _same(before, after):
                found.append((before, after))
            continue
        of_class = _changes(before, after)
        if of_class is None:
            return None
        found += of_class
    return found


def _same(old: CodeType, new: CodeType) -> bool:
    return _text(old) == _text(new) and all(
        _same(before, after) for before, after in zip(_inner(old), _inner(new), strict=True)
    )


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _text(code: CodeType) -> tuple[object, ...]:
    """What a code object does, but for the functions in it: nothing of lines, which move."""
    constants = [
        "code" if isinstance(constant, CodeType) else (type(constant), repr(constant))
        for constant in code.co_consts
    ]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
