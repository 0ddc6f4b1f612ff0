"""The mutants are what they should be, and their fate is that of the tests that execute them."""

from pathlib import Path

import mutants
import pytest
from mutations import mutants_of


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
    for file, code, change, _ in mutants.equivalents():
        found = {(mutant.code, mutant.change) for mutant in mutants_of(mutants.ROOT, file)}
        assert (code, change) in found, f"{file}: {code}: {change}"


def test_an_unknown_folder_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="pointseg/lossess: no such folder; choose of losses, evaluation"):
        mutants.draw(["lossess"], 1, seed=0)


@pytest.mark.slow
def test_tests_decide_over_a_mutant(capfd: pytest.CaptureFixture[str]) -> None:
    """A mutant in a function that no test of the given file executes survives; others are judged by it."""
    arguments = ["--sample", "6", "--seed", "3", "--folders", "optim", "--jobs", "1"]
    assert mutants.main([*arguments, "--tests", "tests/optim/test_schedule.py"]) == 0
    lines = capfd.readouterr().out.strip().splitlines()
    killed = sum(" killed in " in line for line in lines)
    assert lines[-1] == f"killed {killed} of 6"
    assert any("survived: no test executes it" in line for line in lines)
