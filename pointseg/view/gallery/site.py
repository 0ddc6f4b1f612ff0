"""Site: the pages of a gallery by their relative addresses; what is served and what is exported alike."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pointseg.core.scene import Scene
from pointseg.core.words import singular
from pointseg.view.gallery.collection import Collection
from pointseg.view.gallery.facts import classes_of, panels_there, result_of
from pointseg.view.gallery.thumbnails import thumbnails
from pointseg.view.page import Surroundings, assemble, json_in_html, page_of
from pointseg.view.parts import Parts, num_parts
from pointseg.view.scene_view import SceneSummary, SceneView

#: Scenes with their predictions that are held in memory: those that somebody looks at.
MAX_VIEWS = 4
FACTS = "facts.json"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
#: Images and frames from beside the page: over HTTP, and from a disk, where there is no 'self'.
GALLERY_POLICY = "img-src 'self' file:; connect-src 'self'"
COMPARE_POLICY = "frame-src 'self' file:"


class Site:
    """All pages of a gallery. An address is looked up among those that there are, never opened as a path.

    ``index.html``; ``compare.html`` where there are several runs; for every scene and run
    ``scenes/<scene>.<run>.html``, with ``scenes/<scene>.<run>.part<n>.html`` of large ones, and
    ``thumbs/<scene>.<run>.<colouring>.jpg``. Used by several threads.

    Args:
        collection: the scenes and runs.
        live: whether the gallery asks for news in ``facts.json`` while scenes are predicted.
        learns: whether the one run is a network that learns meanwhile; see :meth:`renew`.
    """

    def __init__(self, collection: Collection, *, live: bool, learns: bool = False) -> None:
        self.collection, self.live = collection, live
        #: Of every scene the steps that the network had learned when it was predicted; None for trained ones.
        self.learned = [0] * len(collection.names) if learns else None
        self.slugs = _slugs(collection.names)
        self.panels = panels_there(collection)
        self._places = {slug: number for number, slug in enumerate(self.slugs)}
        self._lock = threading.Lock()
        self._views: dict[tuple[int, int], SceneView] = {}
        self._results: dict[tuple[int, int], dict[str, Any]] = {}
        self._thumbnails: dict[tuple[int, int], dict[str, bytes]] = {}
        #: The large scene that somebody looks at, and its parts.
        self._parts: tuple[SceneView, Parts] | None = None
        #: What is wrong with scenes that cannot be shown.
        self.failures: dict[tuple[int, int], str] = {}

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Number of scene and run of everything that is predicted and drawn."""
        columns = range(self.collection.num_columns)
        return [(scene, column) for scene in range(len(self.slugs)) for column in columns]

    @property
    def num_done(self) -> int:
        return len(self._results) + len(self.failures)

    def prepare(self, cell: tuple[int, int]) -> None:
        """Predict and draw one scene, unless that is done.

        Raises:
            ValueError: for a scene that cannot be read or predicted; ``failures`` keeps what is wrong.
        """
        with self._lock:
            if cell not in self._results:
                self._look(cell)

    def renew(self, name: str, step: int) -> dict[str, bytes]:
        """Ask for the prediction of a scene again, of a network that has learned more; its small pictures.

        Args:
            name: the scene.
            step: steps that the network has learned.

        Raises:
            ValueError: for a scene that cannot be drawn; ``failures`` keeps what is wrong.
        """
        assert self.learned is not None
        cell = self.collection.names.index(name), 0
        with self._lock:
            self.learned[cell[0]] = step
            for held in (self._views, self._results, self._thumbnails, self.failures):
                held.pop(cell, None)  # type: ignore[attr-defined]
            self._look(cell)
            return self._thumbnails[cell]

    def paths(self) -> Iterator[str]:
        """Addresses of everything, in an order in which every scene is predicted once."""
        for scene, column in self.cells:
            stem = f"{self.slugs[scene]}.{column}"
            yield f"scenes/{stem}.html"
            for number in range(self._num_parts(scene)):
                yield f"scenes/{stem}.part{number}.html"
            for panel in self.panels:
                yield f"thumbs/{stem}.{panel}.jpg"
        if len(self.collection.runs) > 1:
            yield "compare.html"
        yield "index.html"

    def read(self, path: str) -> bytes | None:
        """What lies at an address; None where nothing does.

        Raises:
            ValueError: for a scene that cannot be read or predicted.
        """
        if path == "index.html":
            return self._index().encode()
        if path == FACTS and self.live:
            return json.dumps(self._news()).encode()
        if path == "compare.html" and len(self.collection.runs) > 1:
            return self._compare().encode()
        match = re.fullmatch(
            r"(scenes|thumbs)/([A-Za-z0-9_-]+)\.(\d+)(?:\.([a-z]+)(\d*))?\.(?:html|jpg)", path
        )
        if match is None or match[2] not in self._places or int(match[3]) >= self.collection.num_columns:
            return None
        cell = self._places[match[2]], int(match[3])
        if path == f"scenes/{match[2]}.{cell[1]}.html":
            return self._scene(cell).encode()
        if match[4] == "part" and match[5] and int(match[5]) < self._num_parts(cell[0]):
            if path == f"scenes/{match[2]}.{cell[1]}.part{int(match[5])}.html":
                return self._part(cell, int(match[5])).encode()
            return None
        if path == f"thumbs/{match[2]}.{cell[1]}.{match[4]}.jpg" and match[4] in self.panels:
            self.prepare(cell)
            pictures = self._thumbnails[cell]
            # Among labelled scenes one without labels is shown as it is.
            return pictures.get(match[4], pictures["input"])
        return None

    def _look(self, cell: tuple[int, int]) -> tuple[SceneView, SceneSummary]:
        """The scene with its prediction, its scores and small pictures kept; the lock is held."""
        scene, column = cell
        name = self.collection.names[scene]
        if cell in self.failures:
            raise ValueError(self.failures[cell])
        try:
            if cell not in self._views:
                view = self.collection.view(name, column)
                while len(self._views) >= MAX_VIEWS:
                    self._views.pop(next(iter(self._views)))
                self._views[cell] = view
            view = self._views[cell]
            summary = SceneSummary.of(view)
            if cell not in self._results:
                self._thumbnails[cell] = thumbnails(view, summary)
                self._results[cell] = result_of(summary)
        # Whatever is wrong with one scene, the others are shown.
        except Exception as error:
            self.failures[cell] = f"{name} cannot be shown: {error}"
            raise ValueError(self.failures[cell]) from error
        return view, summary

    def _scene(self, cell: tuple[int, int]) -> str:
        with self._lock:
            view, summary = self._look(cell)
            parts = self._cut(cell, view)
        if parts is None:
            return page_of(view, summary, self._around(cell))
        return parts.overview(summary, self._around(cell), f"{self.slugs[cell[0]]}.{cell[1]}")

    def _part(self, cell: tuple[int, int], number: int) -> str:
        with self._lock:
            view, summary = self._look(cell)
            parts = self._cut(cell, view)
        assert parts is not None
        return parts.part(number, summary)

    def _cut(self, cell: tuple[int, int], view: SceneView) -> Parts | None:
        """The parts of a large scene, those of the last one kept; the lock is held."""
        if not self._num_parts(cell[0]):
            return None
        if self._parts is None or self._parts[0] is not view:
            self._parts = view, Parts.of(view)
        return self._parts[1]

    def _num_parts(self, scene: int) -> int:
        source = self.collection.source
        if source.unit != Scene.unit:
            return 0
        return num_parts(source.num_vertices(self.collection.names[scene]))

    def _around(self, cell: tuple[int, int]) -> Surroundings:
        scene, column = cell
        runs = [name for name, _ in self.collection.runs]
        links = [{"text": "gallery", "title": "All scenes", "href": "../index.html", "keep": ""}]
        for step, text in ((-1, "‹ previous"), (1, "next ›")):
            if 0 <= scene + step < len(self.slugs):
                name = self.collection.names[scene + step]
                href = f"{self.slugs[scene + step]}.{column}.html"
                links.append({"text": text, "title": name, "href": href, "keep": "colors"})
        for other, name in enumerate(runs if len(runs) > 1 else []):
            if other != column:
                href = f"{self.slugs[scene]}.{other}.html"
                title = f"The same view of {name}"
                links.append({"text": name, "title": title, "href": href, "keep": "view"})
        if len(runs) > 1:
            other = 1 if column == 0 else 0
            href = f"../compare.html#scene={self.slugs[scene]}&a={column}&b={other}"
            links.append({"text": "side by side", "title": "Two runs", "href": href, "keep": "view"})
        learned = None if self.learned is None else {"scene": scene, "step": self.learned[scene]}
        return Surroundings(runs[column] if runs else "", links, learned)

    def _results_of(self, scene: int) -> list[dict[str, Any] | None]:
        return [self._results.get((scene, column)) for column in range(len(self.collection.runs))]

    def _news(self) -> dict[str, Any]:
        return {
            "done": self.num_done,
            "total": len(self.cells),
            "results": [self._results_of(scene) for scene in range(len(self.slugs))],
            "failures": {self.slugs[scene]: text for (scene, _), text in self.failures.items()},
            "learned": self.learned,
        }

    def _index(self) -> str:
        collection, source = self.collection, self.collection.source
        labels = collection.label_space
        members = source.members
        facts = {
            "title": source.path.resolve().name,
            "split": collection.split,
            "live": self.live,
            "learned": self.learned,
            "done": self.num_done,
            "total": len(self.cells),
            "hasTruth": collection.has_truth,
            "runs": [name for name, _ in collection.runs],
            "panels": self.panels,
            "failures": {self.slugs[scene]: text for (scene, _), text in self.failures.items()},
            "members": members,
            "member": singular(members),
            "unit": source.unit,
            "one": singular(source.unit),
            "classes": [
                {"name": name, "group": group, "color": list(color)}
                for name, group, color in zip(labels.names, labels.groups, labels.colors, strict=True)
            ],
            "scenes": [
                {
                    "name": name,
                    "slug": slug,
                    "vertices": source.num_vertices(name),
                    "classes": classes_of(collection, name) if source.has_labels(name) else [],
                    "results": self._results_of(scene),
                }
                for scene, (name, slug) in enumerate(zip(collection.names, self.slugs, strict=True))
            ],
        }
        filled = {"title": f"{facts['title']} · pointseg", "facts": json_in_html(facts)}
        scripts = ("data.js", "link.js", "gallery.js")
        return assemble("gallery.html", ("base.css", "gallery.css"), scripts, filled, GALLERY_POLICY)

    def _compare(self) -> str:
        collection = self.collection
        facts = {
            "runs": [name for name, _ in collection.runs],
            "scenes": [
                {"name": name, "slug": slug} for name, slug in zip(collection.names, self.slugs, strict=True)
            ],
        }
        filled = {"title": "side by side · pointseg", "facts": json_in_html(facts)}
        scripts = ("data.js", "link.js", "compare.js")
        return assemble("compare.html", ("base.css", "compare.css"), scripts, filled, COMPARE_POLICY)


def content_type(path: str) -> str:
    """Type of what lies at an address, for a browser."""
    return TYPES[PurePosixPath(path).suffix]


def _slugs(names: tuple[str, ...]) -> list[str]:
    """Names that may stand in an address and on a disk, all different also where capitals do not count."""
    slugs: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80] or "scene"
        slug, number = plain, 2
        while slug.lower() in taken:
            slug, number = f"{plain}-{number}", number + 1
        taken.add(slug.lower())
        slugs.append(slug)
    return slugs
