"""`pointseg view`: a gallery of the scenes of a store or of runs, in a browser or as a folder of pages."""

from __future__ import annotations

import contextlib
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from pointseg.core.durable import write_bytes
from pointseg.view.gallery.collection import open_collection
from pointseg.view.gallery.server import LOOPBACK, Worker, serve
from pointseg.view.gallery.site import Site
from pointseg.view.open3d_view import has_display


def view_gallery(
    sources: Sequence[Path],
    *,
    split: str = "val",
    port: int | None = None,
    export: Path | None = None,
    browser: bool = True,
    store: Path | None = None,
    views: int = 1,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    engine: str | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Show a gallery until Ctrl-C, or write it.

    Args:
        sources: RUN folders and at most one STORE.
        split: the split to show.
        port: of the server; the first free one from 8770 on if None.
        export: folder to write the pages into instead of serving them.
        browser: open a browser where there is a display.
        store, views, checkpoint, device, engine: see
            :func:`pointseg.view.gallery.collection.open_collection`.
        console: for the address and remarks.

    Returns:
        The files that were written; none where the gallery was served.

    Raises:
        FileNotFoundError: if a source is neither a run nor a store.
        ValueError: for sources that do not go together, or a split without a scene.
        OSError: if the port is taken, or the pages cannot be written.
    """
    console = console or Console(quiet=True)
    collection = open_collection(
        sources,
        split=split,
        store=store,
        views=views,
        checkpoint=checkpoint,
        device=device,
        engine=engine,
    )
    if export is not None:
        return write_gallery(Site(collection, live=False), export, console)
    site = Site(collection, live=True)
    with serve(site, port) as server:
        address = f"http://{LOOPBACK}:{server.server_address[1]}/"
        console.print(f"{address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        worker = Worker(site)
        worker.start()
        if browser and has_display():
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        worker.stop()
    return []


def write_gallery(site: Site, folder: Path, console: Console) -> list[Path]:
    """Write all pages of a gallery; a scene that cannot be shown is named, and the others go on.

    Args:
        site: the pages.
        folder: where to; made where there is none, and pages of the same names are replaced.
        console: for the progress.

    Raises:
        ValueError: if not a single scene can be shown.
    """
    paths = list(site.paths())
    written: list[Path] = []
    started = time.monotonic()
    for path in track(paths, "Writing pages", console=console, transient=True, disable=console.quiet):
        try:
            content = site.read(path)
        except ValueError:
            continue
        assert content is not None
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, content)
        written.append(file)
    for text in site.failures.values():
        console.print(f"WARNING: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if len(site.failures) == len(site.cells):
        raise ValueError(f"No scene could be shown. {next(iter(site.failures.values()))}")
    seconds = time.monotonic() - started
    console.print(
        f"{folder / 'index.html'}  ({len(written)} files, {seconds:.0f} s)", highlight=False, soft_wrap=True
    )
    return written
