"""The report as one HTML file: opens from disk, loads nothing, good on a phone and in print."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

from pointseg import __version__
from pointseg.core.labels import resource_path
from pointseg.study.figures.calibration import reliability_figure
from pointseg.study.figures.classes import gains_figure
from pointseg.study.figures.cost import cost_figure
from pointseg.study.figures.means import means_figure
from pointseg.study.figures.style import Picture, drawing
from pointseg.study.figures.training import collapse_figure, tail_figure
from pointseg.study.tables import (
    TextTable,
    as_latex,
    calibration_table,
    confusion_table,
    convention_table,
    difference_table,
    main_table,
    runs_table,
    verdicts,
)
from pointseg.study.view import StudyView


def pictures(view: StudyView) -> dict[str, list[Picture]]:
    """The figures by budget; those of all budgets under the empty name."""
    with drawing():
        found: dict[str, list[Picture]] = {"": [tail_figure(view), cost_figure(view)]}
        for budget in view.budgets:
            drawn = [
                means_figure(view, budget),
                gains_figure(view, budget),
                reliability_figure(view, budget),
                collapse_figure(view, budget),
            ]
            found[budget] = [one for one in drawn if one is not None]
    return found


def page(view: StudyView, figures: dict[str, list[Picture]]) -> str:
    """The text of the page."""
    body = "\n".join(
        [_opening(view), *(_of_budget(view, b, figures[b]) for b in view.budgets), _rest(view, figures)]
    )
    script, style = _asset("report.js"), _asset("report.css")
    # Only this style and script may run, only pictures in the page be shown, and nothing be loaded.
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    policy += "; base-uri 'none'; form-action 'none'"
    text = _asset("report.html")
    filled = {
        "policy": policy,
        "title": html.escape(view.name),
        "style": style,
        "body": body,
        "script": script,
    }
    for name, content in filled.items():
        text = text.replace(f"{{{{{name}}}}}", content)
    return text


def latex(view: StudyView) -> str:
    """Means and differences of each budget."""
    tables = [as_latex(make(view, b)) for b in view.budgets for make in (main_table, difference_table)]
    return "% \\usepackage{booktabs}\n" + "\n\n".join(tables) + "\n"


def _opening(view: StudyView) -> str:
    record = view.records[0]
    longest = view.budgets[-1]
    recipes = sorted({str(one.facts["recipe"]) for one in view.records})
    sentence = (
        f"{len(view.records)} runs: {len(view.methods)} methods, budgets {', '.join(view.budgets)}, recipe "
        f"{', '.join(recipes)}, data {record.facts['data']}. Every labelled point of the "
        f"{len(record.scenes)} scenes of split {record.facts['split']} counts; the weights are those after "
        "the last step, and none were chosen on these scenes."
    )
    contents = [f'<li><a href="#{_anchor(b)}">Budget {html.escape(b)}</a></li>' for b in view.budgets]
    contents += [
        f'<li><a href="#{anchor}">{title}</a></li>'
        for anchor, title in (
            ("course", "During training, and cost"),
            ("latex", "LaTeX"),
            ("runs", "Every run"),
        )
    ]
    said = "".join(f"<p>{html.escape(line)}</p>" for line in verdicts(view, longest))
    return (
        f"<h1>{html.escape(view.name)}</h1><p>{html.escape(sentence)}</p><nav><ul>{''.join(contents)}</ul></nav>"
        f"<h2>What the numbers say, budget {html.escape(longest)}</h2>{said}"
        '<p class="note">Noise: the 95 % interval of the paired difference, percentiles of 10,000 draws of '
        "as many scenes and as many seeds with replacement, the same for both methods.</p>"
    )


def _of_budget(view: StudyView, budget: str, figures: Sequence[Picture]) -> str:
    means, *others = figures
    parts = [f'<h2 id="{_anchor(budget)}">Budget {html.escape(budget)}</h2>']
    parts += [_table(main_table(view, budget)), _table(difference_table(view, budget))]
    if budget != view.budgets[-1]:
        parts += [f"<p>{html.escape(line)}</p>" for line in verdicts(view, budget)]
    parts += [_figure(means), *(_figure(one) for one in others)]
    parts += [_table(calibration_table(view, budget)), _table(convention_table(view, budget))]
    confusions = confusion_table(view, budget)
    if confusions is not None:
        parts.append(_table(confusions))
    return "\n".join(parts)


def _rest(view: StudyView, figures: dict[str, list[Picture]]) -> str:
    source = latex(view)
    link = base64.b64encode(source.encode()).decode()
    return (
        '<h2 id="course">During training, and cost</h2>'
        + "".join(_figure(one) for one in figures[""])
        + '<h2 id="latex">LaTeX</h2><p><button data-copies="tex">Copy</button> '
        f'<a download="table.tex" href="data:text/plain;base64,{link}">table.tex</a></p>'
        f'<pre id="tex">{html.escape(source)}</pre>'
        '<h2 id="runs">Every run</h2><details open><summary>Fingerprints and commands</summary>'
        f"{_table(runs_table(view), kind='text')}</details>"
        f'<p class="note">Written by pointseg {__version__}.</p>'
    )


def _table(table: TextTable, kind: str = "") -> str:
    heading = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.heading)
    rows = []
    for number, row in enumerate(table.rows):
        cells = []
        for column, cell in enumerate(row):
            text = html.escape(cell)
            text = f"<strong>{text}</strong>" if (number, column) in table.strong else text
            mark = ' class="command"' if table.heading[column] == "command" else ""
            cells.append(f"<td{mark}>{text}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    title = "" if kind else f"<h3>{html.escape(table.title)}</h3>"
    return (
        f'{title}<div class="wide"><table class="{kind}"><thead><tr>{heading}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="note">{html.escape(table.caption)}</p>'
    )


def _figure(one: Picture) -> str:
    data = base64.b64encode(one.svg).decode()
    return (
        f'<figure><h3>{html.escape(one.title)}</h3><div class="wide"><img alt="{html.escape(one.title)}" '
        f'src="data:image/svg+xml;base64,{data}"></div><figcaption>{html.escape(one.caption)}</figcaption></figure>'
    )


def _anchor(budget: str) -> str:
    return "budget-" + hashlib.sha256(budget.encode()).hexdigest()[:8]


def _asset(name: str) -> str:
    return resource_path("report", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
