"""One HTML file with an interactive view of a scene; it needs no network and runs nobody else's code."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointseg.core.durable import write_text
from pointseg.core.labels import resource_path
from pointseg.view.page_data import MAX_POINTS, Box, page_data
from pointseg.view.picture import with_normals
from pointseg.view.scene_view import SceneSummary, SceneView

#: Joined in this order into one script.
SCRIPTS = (
    *("data.js", "colors.js", "link.js", "orbit.js", "renderer.js", "flat.js"),
    *("legend.js", "picking.js", "parts.js", "main.js"),
)
STYLES = ("base.css", "page.css")
#: What a page with parts may load: frames from beside it, over HTTP or from a disk.
PARTS_POLICY = "frame-src 'self' file:"


@dataclass(frozen=True)
class Surroundings:
    """What a page shows around its scene, where it is one of many.

    Args:
        run: name of the run that predicted, or empty.
        links: text, title and relative address of other pages; ``keep`` says what of the screen goes along:
            ``view`` all of it, ``colors`` the colouring, empty nothing. Without an address: where one is.
        learned: number of the scene and step of the training that predicted it, where the page is served
            while that goes on: it comes anew when there is a newer prediction. None for one that stays.
    """

    run: str = ""
    links: Sequence[Mapping[str, str]] = ()
    learned: Mapping[str, int] | None = None


def write_page(view: SceneView, summary: SceneSummary, path: Path) -> None:
    """Write the page of a scene.

    Args:
        view: the scene; of more than a million vertices an even choice is shown.
        summary: its numbers, which count all vertices.
        path: the file to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page_of(view, summary))


def page_of(view: SceneView, summary: SceneSummary, around: Surroundings | None = None) -> str:
    """The page of a scene of any size, see :func:`write_page`."""
    if view.scene.picture_size is None:
        view = with_normals(view.thinned(MAX_POINTS))
    return page(view, summary, around)


def page(
    view: SceneView,
    summary: SceneSummary,
    around: Surroundings | None = None,
    *,
    box: Box | None = None,
    parts: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as text; ``view`` has normals where it is one of points in space.

    With ``parts`` it is the overview of a large scene, see :mod:`pointseg.view.parts`, in the ``box`` of all.
    """
    around = around or Surroundings()
    facts, points = page_data(view, summary, box)
    facts |= {"run": around.run, "links": [dict(link) for link in around.links], "learned": around.learned}
    facts["parts"] = [dict(part) for part in parts]
    filled = {
        "title": f"{view.scene.name} · pointseg",
        "facts": json_in_html(facts),
        "points": points,
    }
    policy = [PARTS_POLICY] if parts else []
    if around.learned is None:
        return assemble("page.html", STYLES, SCRIPTS, filled, "; ".join(policy))
    policy.append("connect-src 'self'")
    return assemble("page.html", STYLES, (*SCRIPTS, "watch.js"), filled, "; ".join(policy))


def assemble(
    template: str, styles: Sequence[str], scripts: Sequence[str], filled: Mapping[str, str], policy: str = ""
) -> str:
    """A page of ``pointseg/resources/page`` that may run its own script only, and load nothing.

    Args:
        template: the HTML file, with ``{{title}}``, ``{{style}}``, ``{{script}}`` and ``{{policy}}``.
        styles: files joined into its style.
        scripts: files joined into its script.
        filled: what else is filled in, as HTML; ``title`` is text.
        policy: what it may load after all, as directives of a Content-Security-Policy.
    """
    script = "(() => {\n'use strict';\n" + "\n".join(_file(name) for name in scripts) + "})();"
    style = "\n".join(_file(name) for name in styles)
    rules = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}"
    rules += f"{policy and '; '}{policy}; base-uri 'none'; form-action 'none'"
    values = {"policy": html.escape(rules), "style": style, "script": script, **filled}
    return _fill(_file(template), {**values, "title": html.escape(filled["title"])})


def json_in_html(facts: Any) -> str:
    """JSON that cannot end its script element, whatever the names of the classes are."""
    text = json.dumps(facts, ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _file(name: str) -> str:
    return resource_path("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each ``{{name}}`` once, from left to right: what is filled in is never searched again."""
    pieces = []
    rest = template
    while "{{" in rest:
        before, _, after = rest.partition("{{")
        name, _, rest = after.partition("}}")
        pieces += [before, values[name]]
    return "".join([*pieces, rest])
