"""Which build of torch the set-up asks for."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "torch_requirement.sh"


@pytest.mark.parametrize(
    ("index", "requirement"),
    [
        ("https://download.pytorch.org/whl/cu130", "torch==2.13.0+cu130"),
        ("https://download.pytorch.org/whl/cu130/", "torch==2.13.0+cu130"),
        ("https://download.pytorch.org/whl/cpu", "torch==2.13.0+cpu"),
        ("https://download.pytorch.org/whl/rocm7.1", "torch==2.13.0+rocm7.1"),
        ("https://mirror.example/simple", "torch==2.13.0"),
        ("", "torch==2.13.0"),
    ],
)
def test_another_build_of_the_same_version_is_not_taken_for_the_one_asked_for(index, requirement):
    done = subprocess.run(["bash", SCRIPT, "2.13.0", index], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == requirement


def test_the_set_up_asks_by_this_script():
    assert 'scripts/torch_requirement.sh "$torch_version" "${TORCH_INDEX:-}"' in (
        SCRIPT.with_name("setup.sh").read_text()
    )
