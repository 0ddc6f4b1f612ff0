"""The wheel has what the verbs need: recipes and methods are found by name far from the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointseg.config.shipped import shipped, shipped_models

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_an_installed_wheel_has_every_recipe_method_and_model(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(
        ROOT / "pointseg", source / "pointseg", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # One more model, so that there is one to be found; every file of such a folder has to come along.
    made = source / "pointseg" / "resources" / "models" / "zzz" / "made"
    made.mkdir(parents=True)
    parts = ("model.json", "weights.safetensors", "config.yaml", "label_space.json", "README.md")
    for part in parts:
        (made / part).write_text("{}")
    # The compiled kernels are optional, and take longer than all the rest.
    environment = {**os.environ, "CC": "false", "PYTHONPATH": ""}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(build, check=True, env=environment, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, env=environment, capture_output=True)
    code = (
        "import pointseg; from pointseg.config.shipped import shipped, shipped_models\n"
        "from pointseg import load_experiment\n"
        "assert load_experiment('synthetic/demo', methods='ceco').train.steps == 800\n"
        "print(pointseg.__file__, *shipped('recipe'), *shipped('method'), *shipped_models())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, *names = done.stdout.split()
    assert Path(where).is_relative_to(site)
    assert names == [*shipped("recipe"), *shipped("method"), *shipped_models(), "zzz/made"]
    installed = site / "pointseg" / "resources" / "models"
    assert {file.name for file in (installed / "zzz" / "made").iterdir()} == set(parts)
    for name, folder in shipped_models().items():
        assert {file.name for file in (installed / name).iterdir()} == {
            file.name for file in folder.iterdir()
        }
