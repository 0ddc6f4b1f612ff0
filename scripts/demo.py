"""The whole system on generated scenes: synthesize, prepare, train, evaluate, submit, look.

Two networks are trained, alike but for the method: plain cross entropy, and what we recommend. `make demo`
runs this. Every step is a command that a user can type too, printed before it runs; a step whose result is
already there continues or is skipped by the command itself, so a stopped demo can be started again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
console = Console()

#: Method file of what README recommends.
RECOMMENDED = "weighted"
#: Threads of each of the two training processes; torchrun would take one.
THREADS = str(max(1, (os.cpu_count() or 2) // 2))


def step(title: str, *command: str | Path, **environment: str) -> float:
    """Run one command in the project's root with its own progress display; seconds it took."""
    words = [str(word) for word in command]
    shown = shlex.join([Path(words[0]).name, *words[1:]])
    console.rule(f"[bold]{title}")
    console.print(f"$ {shown}", style="cyan", highlight=False, soft_wrap=True)
    start = time.perf_counter()
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}, check=False
    )
    if done.returncode:
        console.print(f"[red]The demo stopped: '{shown}' ended with exit code {done.returncode}.")
        raise SystemExit(done.returncode)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything")
    parser.add_argument("--scenes", type=int, default=64, help="number of generated scenes")
    # The set on which sizes and learning rate were chosen, with cross entropy; the studies have others.
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temper", type=float, default=0.7, help="0 = real long tail, 1 = balanced")
    parser.add_argument("--config", default="synthetic/demo")
    arguments = parser.parse_args()

    out: Path = arguments.out
    raw, store, results = out / "raw", out / "store", out / "results"
    # The second is what is submitted and drawn.
    run = out / "run"
    runs = {"cross_entropy": out / "baseline", RECOMMENDED: run}
    (ROOT / results).mkdir(parents=True, exist_ok=True)
    python, pointseg = Path(sys.executable), BIN / "pointseg"
    evaluations = {"cross_entropy": results / "baseline.json", RECOMMENDED: results / "evaluation.json"}
    points = results / "point_classifier.json"
    # Two processes with half of the cores each use a CPU better than one with all of them.
    torchrun = (python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    submission, labels = results / "submission.zip", ("--labels", "scannet200")

    seconds = {
        "generate scenes": step(
            "1/8  Generate raw ScanNet scenes",
            *(pointseg, "synthesize", raw, "--scenes", str(arguments.scenes), "--seed", str(arguments.seed)),
            *("--temper", str(arguments.temper), "--split-files"),
        ),
        "prepare": step("2/8  Prepare the store", python, "data_prep/scannet.py", raw, store, *labels),
        "check": step("3/8  Check the store", python, "data_prep/check.py", store),
        "point classifier": step(
            "4/8  Per-point classifier, to be beaten",
            python,
            "scripts/point_classifier.py",
            store,
            "--json",
            points,
        ),
        "train": sum(
            step(
                f"5/8  Train: --method {method}",
                *(*torchrun, "-m", "pointseg", "train", arguments.config, "--method", method),
                *("--out", folder, f"data.path={store}"),
                OMP_NUM_THREADS=THREADS,
            )
            for method, folder in runs.items()
        ),
        "evaluate": sum(
            step(
                f"6/8  Evaluate on every vertex: --method {method}",
                *(pointseg, "evaluate", folder, "--json", evaluations[method]),
            )
            for method, folder in runs.items()
        ),
        "submit": step("7/8  Test-server submission", pointseg, "submit", run, "-o", submission)
        + step("7/8  Check the submission", pointseg, "check-submission", submission, "--raw", raw),
    }
    scene = best_scene(store)
    seconds["pictures"] = step(
        "8/8  Pictures",
        pointseg,
        "visualise",
        run,
        "--scene",
        scene,
        "--no-window",
        "-o",
        results / "pictures",
    )
    summary(evaluations, points, seconds)
    places(out, runs, results, submission)


def best_scene(store: Path) -> str:
    """The validation scene with the most classes: the most to see."""
    from pointseg.scans.store import Store

    opened = Store.open(ROOT / store)
    return max(opened.scene_names("val"), key=lambda name: len(opened.entry(name)["class_points"]))


def summary(evaluations: dict[str, Path], points: Path, seconds: dict[str, float]) -> None:
    """Both networks beside the per-point classifier, and where the time went."""
    console.rule("[bold]Result")
    table = Table(
        "validation mIoU, %", "all", "head", "common", "tail", title="mean over the classes present"
    )
    rows = {"per-point classifier": points} | {
        f"MinkUNet, {name}": file for name, file in evaluations.items()
    }
    miou = {}
    for name, file in rows.items():
        report = json.loads((ROOT / file).read_text(encoding="utf-8"))
        values = [report[part]["present"] for part in ("miou", "head", "common", "tail")]
        miou[name] = values[0]
        table.add_row(name, *("-" if value is None else f"{100 * value:.2f}" for value in values))
    console.print(table)
    ratio = miou[f"MinkUNet, {RECOMMENDED}"] / miou["per-point classifier"]
    console.print(f"The network reaches {ratio:.1f} times the mIoU of the per-point classifier.")
    console.print("  ".join(f"{name} {value:.0f} s" for name, value in seconds.items()), style="dim")


def places(out: Path, runs: dict[str, Path], results: Path, submission: Path) -> None:
    """Where everything lies."""
    table = Table("what", "where", show_header=False, box=None)
    table.add_row("generated raw scenes", str(out / "raw"))
    table.add_row("prepared store", str(out / "store"))
    for method, run in runs.items():
        table.add_row(f"network trained with {method}, logs", str(run))
    table.add_row("validation tables", str(results / "*.json"))
    table.add_row("checked submission", str(submission))
    for picture in sorted((ROOT / results / "pictures").rglob("*.*")):
        table.add_row("picture" if picture.suffix == ".png" else "page", str(picture.relative_to(ROOT)))
    console.print(table)


if __name__ == "__main__":
    main()
