"""`pointseg synthesize`: a folder of generated raw scenes, the same by seed, however many workers."""

from __future__ import annotations

import functools
import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointseg.core.cores import num_cores
from pointseg.core.durable import PARTIAL, is_partial, remove_partials, write_bytes, write_json, write_text
from pointseg.core.lock import LOCK, sole_writer
from pointseg.formats.scannet_tables import shipped_label_table, shipped_splits
from pointseg.synthetic.rooms import make_room
from pointseg.synthetic.sampler import ClassSampler
from pointseg.synthetic.scan import scan_room
from pointseg.synthetic.writer import write_scene

SPLITS = ("train", "val", "test")
MANIFEST = "synthetic.json"
#: Raise it when the same seed gives other scenes, so that a stopped run is not continued with two kinds.
GENERATOR_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """All that decides what the folder will hold."""

    num_scenes: int
    seed: int
    temper: float
    generator_version: int = GENERATOR_VERSION


@dataclass(frozen=True)
class SceneJob:
    """Scene ``index`` of a split of ``split_size`` scenes."""

    name: str
    split: str
    index: int
    split_size: int
    recipe: Recipe

    def folder(self, out: Path) -> Path:
        return out / ("scans_test" if self.split == "test" else "scans")


def synthesize(
    out: Path,
    *,
    num_scenes: int,
    seed: int = 0,
    temper: float = 0.0,
    split_files: bool = False,
    workers: int | None = None,
    console: Console | None = None,
) -> dict[str, list[str]]:
    """Write ``num_scenes`` raw scenes into ``out``: 70 % train, 20 % val, 10 % test.

    A stopped run continues: a scene folder that is there is whole.

    Args:
        out: empty, absent, or a folder that an equal call began.
        temper: 0 = the long tail of ScanNet200, 1 = every class equally often.
        split_files: write ``scannetv2_{train,val,test}.txt`` as well. Without them readers go by the lists
            that ship with the package; the names are taken from those.
        workers: processes; the CPU cores by default.

    Returns:
        The names of each split.

    Raises:
        ValueError: for impossible numbers, or names beyond the official lists without ``split_files``.
        FileExistsError: if ``out`` holds something else.
    """
    recipe = Recipe(num_scenes, seed, temper)
    jobs = scene_jobs(recipe, official_names_only=not split_files)
    with sole_writer(out, "folder of scenes"):
        return _synthesize(out, recipe, jobs, split_files, workers, console or Console())


def _synthesize(
    out: Path,
    recipe: Recipe,
    jobs: list[SceneJob],
    split_files: bool,
    workers: int | None,
    shown: Console,
) -> dict[str, list[str]]:
    claim(out, recipe)
    waiting = [job for job in jobs if not (job.folder(out) / job.name).is_dir()]
    if len(waiting) < len(jobs):
        shown.print(f"{len(jobs) - len(waiting)} of {len(jobs)} scenes are there already.")
    with _progress(shown, len(waiting)) as advance:
        for _ in _run(out, waiting, workers or num_cores()):
            advance()
    names = {split: [job.name for job in jobs if job.split == split] for split in SPLITS}
    if split_files:
        for split in SPLITS:
            text = "".join(f"{name}\n" for name in names[split])
            write_text(out / f"scannetv2_{split}.txt", text)
    shown.print(f"{', '.join(f'{len(names[split])} {split}' for split in SPLITS)} scenes in {out}.")
    return names


def scene_jobs(recipe: Recipe, *, official_names_only: bool) -> list[SceneJob]:
    """The scenes of a recipe, with names from the official lists as far as those reach.

    First visits come first: visits of one space share nothing here, but readers may group by space.
    """
    if recipe.num_scenes < 1:
        raise ValueError(f"Expected at least one scene; got {recipe.num_scenes}.")
    if not 0 <= recipe.temper <= 1:
        raise ValueError(f"Temper must lie in 0 (real long tail) .. 1 (balanced); got {recipe.temper}.")
    jobs: list[SceneJob] = []
    spare = (f"scene{number:04d}_00" for number in range(807, 10_000))
    for split, size in zip(SPLITS, _split_sizes(recipe.num_scenes), strict=True):
        path = shipped_splits() / f"scannetv2_{split}.txt"
        official = sorted(path.read_text(encoding="utf-8").split(), key=lambda name: (name[-2:], name))
        missing = size - len(official)
        if missing > 0 and official_names_only:
            raise ValueError(
                f"{recipe.num_scenes} scenes need {size} {split} names, the official list has "
                f"{len(official)}. Add --split-files, so that readers learn the other names."
            )
        names = official[:size] + [name for name, _ in zip(spare, range(max(missing, 0)), strict=False)]
        if len(names) < size:
            raise ValueError(f"No more scene names are left for {recipe.num_scenes} scenes; ask for fewer.")
        jobs += [SceneJob(name, split, index, size, recipe) for index, name in enumerate(names)]
    return jobs


def _split_sizes(num_scenes: int) -> tuple[int, int, int]:
    """About 70, 20 and 10 %, at least one each from three scenes on; train gets a scene first, then val."""
    if num_scenes < 3:
        return 1, num_scenes - 1, 0
    val, test = max(round(0.2 * num_scenes), 1), max(round(0.1 * num_scenes), 1)
    return num_scenes - val - test, val, test


def claim(out: Path, recipe: Recipe) -> None:
    """Make ``out`` ours, or check that an equal recipe did; also puts the label table there."""
    manifest = out / MANIFEST
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if found != asdict(recipe):
            raise FileExistsError(
                f"{out} was generated as {found}, now asked for {asdict(recipe)}. "
                "Choose another folder, or delete this one."
            )
    elif out.exists() and (not out.is_dir() or any(map(_is_foreign, out.iterdir()))):
        raise FileExistsError(
            f"{out} is not empty and was not made by pointseg synthesize (no {MANIFEST}); "
            "choose a new or an empty folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(f".*{PARTIAL}"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
    remove_partials(out)
    # First, so that whatever is stopped behind it is known for ours.
    write_json(manifest, asdict(recipe), indent=2)
    write_bytes(out / shipped_label_table().name, shipped_label_table().read_bytes())


def _is_foreign(path: Path) -> bool:
    """Whether a file is none that a run leaves which was killed at its very start."""
    return path.name != LOCK and not is_partial(path, MANIFEST)


def generate(out: Path, job: SceneJob) -> str:
    """Make one scene and write it; depends on the job alone."""
    recipe = job.recipe
    sampler = _sampler(recipe.seed, job.split_size, recipe.temper, job.split)
    room = make_room(sampler.rng(job.index), sampler.scene(job.index))
    # A stream of its own, so that another scanner setting leaves the room as it is.
    rng = np.random.default_rng([recipe.seed, SPLITS.index(job.split), job.index, 1])
    scan = scan_room(room, rng)
    write_scene(job.folder(out), job.name, scan, rng, labelled=job.split != "test")
    return job.name


@functools.lru_cache(maxsize=4)
def _sampler(seed: int, num_scenes: int, temper: float, split: str) -> ClassSampler:
    """The plan of a whole split, which each process works out once."""
    return ClassSampler.for_split(seed=seed, num_scenes=num_scenes, temper=temper, split=split)


def _run(out: Path, jobs: list[SceneJob], workers: int) -> Iterator[str]:
    if workers <= 1 or len(jobs) <= 1:
        yield from (generate(out, job) for job in jobs)
        return
    # Spawned, not forked: forking a process with threads (progress display, BLAS) may hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_start_worker) as pool:
        pending = [pool.submit(generate, out, job) for job in jobs]
        try:
            for done in as_completed(pending):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A scene takes up to a minute; half of one lies in a folder that the next run clears.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _start_worker() -> None:
    """Ctrl-C ends a worker at once: as an exception it would end its scene alone, and the next one begin."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("generating scenes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("scenes", total=total)
        yield lambda: progress.advance(task)
