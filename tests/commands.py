"""What documents tell a reader to type: found in their Markdown, and run on small data in this process."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.experiment import load_experiment

ROOT = Path(__file__).parents[1]
#: A fence, or one of MyST whose caption names the file that it shows.
FENCE = re.compile(
    r"^```(?:\{code-block\} )?(\w+)\n(?::caption: (\S+)\n\n?)?(.*?)^```$", flags=re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fence of a document.

    Args:
        language: bash, python, ...
        file: the file that it shows, or None.
        text: what it holds.
    """

    language: str
    file: str | None
    text: str


def blocks(document: str) -> list[Block]:
    """The fences of a document, in their order."""
    return [Block(language, file or None, text) for language, file, text in FENCE.findall(document)]


def commands(script: str) -> list[str]:
    """The lines of a shell script that are no comments; those that end with a backslash are joined."""
    lines = script.replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := line.split(" #")[0].strip())]


def run_command(line: str, changes: Mapping[str, Sequence[str]] | None = None) -> str:
    """Run `pointseg VERB ...` or `python FILE ...` in the current folder; the verb.

    Args:
        line: the command, as it is typed.
        changes: by verb words that are added, or (with an arrow, ``64->3``) put in the place of another.
    """
    program, *words = shlex.split(line)
    verb = words[0]
    for change in (changes or {}).get(verb, ()):
        old, arrow, new = change.partition("->")
        if arrow:
            words[words.index(old)] = new
        else:
            words.append(change)
    if verb in ("train", "doctor"):
        words += smaller(words[1:])
    if program == "python":
        done = subprocess.run([sys.executable, ROOT / verb, *words[1:]], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    else:
        assert program == "pointseg", f"{line}: no command of ours"
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    return verb


def smaller(words: Sequence[str]) -> Iterator[str]:
    """Settings that make a training take seconds, as far as its recipe has them."""
    experiment = load_experiment(words[0])
    yield "train.steps=2"
    # As many as a recipe asks for may be more than the machine has cores, of which torch warns.
    yield "train.workers=0"
    yield "model.widths=[8,8,8,8,8,8,8,8]"
    for place, transform in enumerate(experiment.augment):
        if transform.type == "sphere_crop":
            yield f"augment.{place}.max_points=500"


def check_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb and options of a command are there; values are not looked at."""
    _, verb, *words = shlex.split(command)
    options = {word for word in words if word.startswith("-")}
    if verb == "prepare":
        # Its options are those of the data set.
        with pytest.raises(SystemExit):
            import_module(f"pointseg.prepare.{words[0]}").main(["--help"])
        told = capsys.readouterr().out
        assert all(option in told for option in options)
        return
    known = {
        name
        for parameter in get_command(app).commands[verb].params  # type: ignore[attr-defined]
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert options <= known
