"""The README is run: its Python, its commands' options, and the files it names."""

import re
from pathlib import Path

import pytest
from commands import check_options
from typer.main import get_command

from pointseg.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
FILES = sorted(set(re.findall(r"`((?:pointseg|configs|scripts|benchmarks)/[\w./]+)`", README)))
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("pointseg ")
]


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.splitlines()[0])
def test_the_python_of_the_readme_runs(
    code: str, trained_run: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "run").symlink_to(trained_run)
    (tmp_path / "demo" / "store").symlink_to(tiny_store)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_there_is_python_and_every_verb_in_the_readme() -> None:
    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert PYTHON
    assert {command.split()[1] for command in COMMANDS} == verbs


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_the_readme_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_options(command, capsys)


@pytest.mark.parametrize("path", FILES)
def test_the_files_of_the_readme_exist(path: str) -> None:
    assert (ROOT / path).exists()
