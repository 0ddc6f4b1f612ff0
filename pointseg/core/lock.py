"""sole_writer(): one process at a time writes a folder, and another one is told who does.

The lock is the operating system's, on an open file of one process: it ends with that process, however it
ended and whatever children it leaves, so that nothing is left behind which would block the next one.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Name of the file in the folder that is written; what it says is for people alone.
LOCK = ".lock"


@contextmanager
def sole_writer(folder: Path | str, what: str) -> Iterator[None]:
    """Be the only process that writes a folder until the block ends.

    A folder that is missing is made, and removed again where the block has put nothing into it.

    Args:
        folder: of a run, a store or another output of several files.
        what: what it is, for people.

    Raises:
        ValueError: if another process writes it, naming that process.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = _taken(folder, what)
    try:
        yield
    finally:
        # While it is still ours; whoever has opened the file meanwhile finds it gone, and opens another.
        (folder / LOCK).unlink(missing_ok=True)
        os.close(handle)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _taken(folder: Path, what: str) -> int:
    """The open lock file, locked."""
    file = folder / LOCK
    while True:
        # Not cut before it is ours: until then it says who holds it.
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(handle, folder, what)
            if file.exists() and os.path.samestat(os.fstat(handle), file.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _take(handle: int, folder: Path, what: str) -> None:
    try:
        # Of this process alone: not that of workers, which may outlive it by moments.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.pread(handle, 4096, 0).decode("utf-8", "replace").strip() or "another process"
        raise ValueError(
            f"{folder}: {holder} writes this {what}. Wait for it to end, stop it, or choose another folder."
        ) from None
    except OSError:
        # A file system without locks.
        return
    since = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}, since {since},\n".encode(), 0)
