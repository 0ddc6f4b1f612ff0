"""The table of exceptions: which of them a user can mend, and what is said then.

Everything else is a fault of ours, and keeps its traceback.
"""

from __future__ import annotations

import errno
from types import TracebackType

#: Exit code after Ctrl-C, by the custom of shells: 128 and the number of the signal.
INTERRUPTED = 130

#: What to do, by the number of a system's error.
WAYS_OUT = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "your quota is used up: free some space, or write to another disk",
    errno.EFBIG: "a limit (ulimit -f) or the file system allows no file of that size; write to another disk",
    errno.EROFS: "nothing can be written there; choose another folder",
    errno.EACCES: "you may not read or write there; choose another place, or change its permissions",
    errno.EPERM: "you may not do that there; choose another place, or change its permissions",
    errno.ENOENT: "check the path; the folder of a file to be written must exist",
    errno.EISDIR: "this is a folder where a file is needed",
    errno.ENOTDIR: "this is a file, or lies under a file, where a folder is needed",
    errno.EEXIST: "choose another name, or remove what is there",
    errno.ENOTEMPTY: "choose another folder, or empty this one",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the number of open files (ulimit -n), or set train.workers=0",
}
MEMORY = (
    "lower train.batch_size, train.point_budget or evaluate.max_tile_points, set "
    "train.activation_checkpointing=true, or choose --device cpu"
)


def message_of(error: Exception) -> str | None:
    """What to tell the user, in full; None for what no user can mend."""
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        first = str(error).partition("\n")[0]
        return f"out of memory{f' ({first})' if first else ''}: {MEMORY}."
    if isinstance(error, BrokenPipeError):
        # `pointseg recipes | head`: click ends quietly.
        return None
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ValueError) and not _raised_in(error.__traceback__, "torch"):
        return str(error) or type(error).__name__
    return None


def is_a_fault(error: Exception) -> bool:
    """Whether an exception without a message is a bug, and not typer's way of ending."""
    # By name: typer brings a click of its own in some versions.
    return not _names(error) & {"Exit", "Abort", "ClickException", "BrokenPipeError"}


def _of_system(error: OSError) -> str:
    if error.errno is None or error.strerror is None:
        # Raised by us, with a whole sentence.
        return str(error)
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    where = f"{' -> '.join(places)}: " if places else ""
    way_out = WAYS_OUT.get(error.errno)
    return f"{where}{error.strerror}" + (f": {way_out}." if way_out else ".")


def _is_out_of_memory(error: Exception) -> bool:
    """torch's own classes, by name: torch need not be there to ask."""
    return "OutOfMemoryError" in _names(error) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def _names(error: Exception) -> set[str]:
    """Names of an exception's class and its bases."""
    return {kind.__name__ for kind in type(error).__mro__}


def _raised_in(trace: TracebackType | None, package: str) -> bool:
    """Whether the innermost frame of a traceback is of a package."""
    module = ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return module.partition(".")[0] == package
