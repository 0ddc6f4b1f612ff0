"""The documentation is built as `make docs` does, and what its pages are written from is all there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT
from typer.main import get_command

import pointseg
from pointseg.cli import app
from pointseg.config.shipped import shipped
from pointseg.experiment.options import TrainConfig
from pointseg.experiment.tables import LOSSES

BUILD = next(
    line.strip().lstrip("@").replace("$(PYTHON_BIN) ", "")
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    if "sphinx" in line
)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with the words of the Makefile into a folder of its own."""
    for name in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(name, reason="the documentation is not built: pip install 'pointseg[docs]'")
    folder = tmp_path_factory.mktemp("site")
    words = [word.replace("build/docs", str(folder / "docs")) for word in BUILD.split()]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return folder / "docs"


def text_of(page: Path) -> str:
    """What a reader sees."""
    return re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8"))


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    done = run("docs/check_links.py", site)
    assert done.returncode == 0, done.stdout


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h1 id="here"></h1><a href="#here"></a><a href="other.html#there"></a><a href="gone.html"></a>'
        '<a href="#gone"></a><a href="https://example.org"></a><script src="https://example.org/x.js"></script>'
    )
    (tmp_path / "other.html").write_text('<a href="index.html#here"></a>')
    done = run("docs/check_links.py", tmp_path)
    assert done.returncode == 1
    assert [line.split(":")[1].strip() for line in done.stdout.splitlines()] == [
        "other.html#there",
        "gone.html",
        "#gone",
        "loads https",
    ]
    assert run("docs/check_links.py", tmp_path / "nowhere").returncode == 2


def test_the_command_line_page_has_every_verb_and_option(site: Path) -> None:
    text = text_of(site / "reference" / "command_line.html")
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    for name, verb in verbs.items():
        assert f"pointseg {name} " in text
        for one in verb.params:
            if one.param_type_name == "option":
                assert all(spelt in text for spelt in one.opts), (name, one.opts)
    assert "usage: pointseg prepare custom" in text and "--unlabelled-id" in text
    assert "best | last" in text


def test_the_configuration_page_has_every_loss_and_key_with_words(site: Path) -> None:
    text = text_of(site / "reference" / "configuration.html")
    assert all(f"type: {name}" in text for name in LOSSES)
    assert all(name in text for name in TrainConfig.model_fields)
    # A key with its values, its default and its sentence.
    assert re.search(r"batch_size\s+integer &gt;= 1\s+4\s+largest number of scenes in a forward pass", text)
    assert re.search(r"views\s+integer &gt;= 1 &lt;= 8\s+1\s", text)
    assert re.search(r"clip_norm\s+number &gt; 0 or null\s+null\s", text)


def test_the_methods_page_has_every_method_and_what_it_sets(site: Path) -> None:
    text = text_of(site / "reference" / "methods.html")
    for name, path in shipped("method").items():
        assert name in text
        first = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert first.split("`")[0].replace("&", "&amp;") in text, name
    assert all(name in text for name in shipped("recipe"))


def test_the_python_page_has_every_public_name(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    missing = [name for name in pointseg.__all__ if f'id="pointseg.{name}"' not in page]
    assert not missing
    assert "Bit for bit" in text_of(site / "reference" / "python.html") or "bit for bit" in page


def test_the_readme_leads_to_the_documentation() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\((docs/[\w/.]+)\)", text)
    assert len(links) >= 4 and all((ROOT / link).is_file() for link in links)
