"""The mutants are what they should be, and their fate is that of the tests that execute them."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mutants
import pytest
from mutants_coverage import BUDGET_S, IN_PROCESSES, Coverage
from mutants_patch import patch
from mutants_run import in_child
from mutations import Mutant, mutants_of


def changes(tmp_path: Path, source: str) -> list[str]:
    (tmp_path / "m.py").write_text(source, encoding="utf-8")
    return [mutant.change for mutant in mutants_of(tmp_path, "m.py")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a < b -> (a <= b)"]),
        ("a is None", ["a is None -> (a is not None)"]),
        ("a + b", ["a + b -> (a - b)"]),
        ("a and b", ["a and b -> (a or b)"]),
        ("not a", ["not a -> (a)"]),
        ("a = 3", ["3 -> 4"]),
        ("a = True", ["True -> False"]),
        ("a = 0.25", ["0.25 -> 0.5"]),
        ("a = f(b, c)", ["f(b, c) -> (f(c, b))"]),
        ("a = f(key=b)", ["f(key=b) -> (f())"]),
        ("f(b)", ["f(b) -> pass"]),
        ("a += b", ["a += b -> pass"]),
        ("if a:\n    b", ["a -> (not (a))"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("raise ValueError('a' + str(1 + 2))", ["raise ValueError('a' + str(1 + 2)) -> pass"]),
        ("[x for x in y if x]", ["[x for x in y if x] -> [x for x in y]"]),
    ],
)
def test_a_change_of_each_kind(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert changes(tmp_path, source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring of 3 words."""',
        "a: Literal[1, 2]",
        "def f(a: int | None = None) -> Literal[1]: ...",
        "assert a < b",
        "import a",
        'print(f"{a + 1}")',
        "_log.info(a + b)",
        "@decorated(1)\ndef f(): ...",
        "if TYPE_CHECKING:\n    a = 1",
        'a = "text" + b',
        "a = zip(*b, strict=c)",
    ],
)
def test_what_only_people_and_type_checkers_see_is_left_alone(tmp_path: Path, source: str) -> None:
    assert changes(tmp_path, source) == []


def test_a_change_is_put_where_it_belongs_behind_letters_of_several_bytes(tmp_path: Path) -> None:
    source = 'x = "naïve"; y = 1\n'
    (tmp_path / "m.py").write_text(source, encoding="utf-8")
    (mutant,) = mutants_of(tmp_path, "m.py")
    assert mutant.applied(source) == 'x = "naïve"; y = 2\n'


def test_a_seed_draws_the_same_sample_and_another_seed_another() -> None:
    first, _ = mutants.draw(["optim"], 10, seed=1)
    assert len(set(first)) == 10 and mutants.draw(["optim"], 10, seed=1)[0] == first
    assert mutants.draw(["optim"], 10, seed=2)[0] != first


def test_mutants_that_change_nothing_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    every, before = mutants.draw(["optim"], 100_000, seed=0)
    one = every[0]
    entry = (one.file, one.code, one.change, "for this test")
    monkeypatch.setattr(mutants, "equivalents", lambda: [entry])
    rest, left_out = mutants.draw(["optim"], 100_000, seed=0)
    assert one not in rest and left_out == len(every) + before - len(rest) >= 1


def test_every_entry_of_the_list_of_equivalent_mutants_is_one_that_could_be_drawn() -> None:
    """Else its code has changed, and whether it still changes nothing is to be looked at again."""
    entries = mutants.equivalents()
    drawn = {file: mutants_of(mutants.ROOT, file) for file in {entry[0] for entry in entries}}
    for file, code, change, _ in entries:
        found = {(mutant.code, mutant.change) for mutant in drawn[file]}
        assert (code, change) in found, f"{file}: {code}: {change}"


def test_an_unknown_folder_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="pointseg/lossess: no such folder; choose of losses, evaluation"):
        mutants.draw(["lossess"], 1, seed=0)


LOADED = """
import functools

def kept(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

class Ruler:
    LENGTH = 30

    @property
    def half(self):
        return self.LENGTH / 2

    @kept
    def times(self, number):
        def scaled(x):
            return x * number
        return [scaled(x) for x in (self.LENGTH, 1)]
"""


@pytest.mark.parametrize(
    ("old", "new", "done", "result"),
    [
        ("self.LENGTH / 2", "(\n self.LENGTH\n * 2)", True, (60, [90, 3])),
        ("x * number", "x + number", True, (15, [33, 4])),
        ("x * number", "None", True, (15, [None, None])),
        ("LENGTH = 30", "LENGTH = 31", False, (15, [90, 3])),
        ("number):", "number=1):", False, (15, [90, 3])),
    ],
)
def test_loaded_functions_get_their_new_code_and_what_runs_at_the_import_is_told(
    old: str, new: str, done: bool, result: tuple[float, list[int | None]]
) -> None:
    loaded: dict[str, Any] = {}
    exec(compile(LOADED, "ruler.py", "exec"), loaded)
    ruler = loaded["Ruler"]()
    assert old in LOADED and patch(LOADED, LOADED.replace(old, new)) is done
    assert (ruler.half, ruler.times(3)) == result


def test_tests_of_the_own_module_and_folder_come_first_and_what_is_beyond_the_budget_last() -> None:
    (mutant, *_), _ = mutants.draw(["optim"], 1, seed=1)
    module, folder, far = (
        f"tests/optim/test_{Path(mutant.file).stem}.py",
        "tests/optim/test_x.py",
        "tests/a.py",
    )
    seconds = {f"{module}::a": 2.0, f"{module}::b": 1.0, f"{folder}::a": 0.5, f"{far}::a": 0.1}
    seconds[f"{far}::b"] = BUDGET_S
    lines = {line: list(seconds) for line in range(1, 1000)}
    first, others = Coverage({mutant.file: lines}, seconds).tests_of(mutant)
    assert first == [f"{module}::b", f"{module}::a", f"{folder}::a", f"{far}::a"]
    assert others == [f"{far}::b", *IN_PROCESSES.get("optim", ())]


def test_what_nothing_executes_is_left_to_the_tests_in_processes() -> None:
    losses = Mutant("pointseg/losses/facts.py", 1, 0, 0, "", "", "")
    assert Coverage({}, {}).tests_of(losses) == (list(IN_PROCESSES["losses"]), [])
    formats = Mutant("pointseg/formats/ply.py", 1, 0, 0, "", "", "")
    assert Coverage({}, {}).tests_of(formats) == ([], [])


def test_an_option_is_judged_by_all_tests_of_its_folder() -> None:
    line = next(
        number
        for number, text in enumerate((mutants.ROOT / "pointseg/losses/auc.py").read_text().splitlines(), 1)
        if "margin: float = Field" in text
    )
    seconds = {"tests/losses/test_options.py::a": 1.0, "tests/view/test_page.py::b": 1.0}
    first, _ = Coverage({}, seconds).tests_of(Mutant("pointseg/losses/auc.py", line, 0, 0, "", "", ""))
    assert first == ["tests/losses/test_options.py::a"]


def test_a_test_that_runs_on_and_one_that_waits_on_are_ended(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_it():\n    while True: pass\n")
    (tmp_path / "test_b.py").write_text("import time\ndef test_it(): time.sleep(1000)\n")
    assert in_child(tmp_path, ["test_a.py"], 1) == -signal.SIGXCPU
    assert in_child(tmp_path, ["test_b.py"], 100, idle_s=4) is None


@pytest.mark.slow
def test_tests_decide_over_a_mutant() -> None:
    """A mutant in a function that no test of the given file executes survives; others are judged by it."""
    arguments = ["--sample", "6", "--seed", "3", "--folders", "optim", "--jobs", "1"]
    # In a process of its own: there pointseg is that of the copy in which mutants are made.
    command = [sys.executable, mutants.__file__, *arguments, "--tests", "tests/optim/test_schedule.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    killed = sum(" killed in " in line for line in lines)
    assert lines[-1] == f"killed {killed} of 6"
    assert any("survived: no test executes it" in line for line in lines)
