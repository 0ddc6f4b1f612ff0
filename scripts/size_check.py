"""One scene of many million points through every verb: does it fit, and how long does it take?

    python scripts/size_check.py RUN --clouds FOLDER --points 20000000 --out FOLDER

RUN is a trained run of a LiDAR recipe; ``--clouds`` holds .npz files with xyz and label (IGN LiDAR HD as
data_prep/custom.py reads it) and classes.csv. They are laid side by side, moved by some centimetres each
time, at coordinates of a map, and written as one LAZ file. That is prepared, checked, predicted in tiles and
viewed; each verb runs in a process of its own, and a line says its seconds, its seconds of computing and the
largest memory that it and its children had at one moment. The exit code is 1 where one fails or takes more
than ``--limit-gb``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

#: Lambert-93 in the middle of France, where float32 has steps of half a metre.
ORIGIN_M = (652_000.0, 6_862_000.0, 35.0)
#: A cloud laid down for the second time is not the first one again.
JITTER_M = 0.02


def write_cloud(clouds: list[Path], path: Path, points: int, seed: int = 0) -> None:
    """Clouds side by side, in a square of them, until there are so many points."""
    import laspy

    rng = np.random.default_rng(seed)
    parts = [np.load(cloud, allow_pickle=False) for cloud in clouds]
    held = [(part["xyz"] - part["xyz"].min(axis=0), part["label"].astype(np.uint8)) for part in parts]
    side_m = max(float(xyz[:, :2].max()) for xyz, _ in held)
    columns = int(np.ceil(np.sqrt(points / np.mean([len(xyz) for xyz, _ in held]))))
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = (0.01, 0.01, 0.01), ORIGIN_M
    left, number = points, 0
    with laspy.open(path, mode="w", header=header) as writer:
        while left:
            xyz, label = (values[:left] for values in held[number % len(held)])
            moved = xyz + rng.uniform(-JITTER_M, JITTER_M, xyz.shape) + ORIGIN_M
            moved[:, 0] += side_m * (number % columns)
            moved[:, 1] += side_m * (number // columns)
            record = laspy.ScaleAwarePointRecord.zeros(len(xyz), header=header)
            record.x, record.y, record.z = moved.T
            record.classification = label
            writer.write_points(record)
            left, number = left - len(xyz), number + 1


def measure(words: list[str]) -> tuple[int, float, float, float]:
    """Exit code, seconds, seconds of computing, and the most gigabytes that a command held at once."""
    began, before = time.monotonic(), os.times()
    child = subprocess.Popen([sys.executable, "-m", "pointseg", *words], stdout=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        peak = max(peak, resident(child.pid))
        time.sleep(0.05)
    after = os.times()
    computing = after.children_user + after.children_system - before.children_user - before.children_system
    return child.returncode, time.monotonic() - began, computing, peak / 1e9


def resident(pid: int) -> int:
    """Bytes of memory of a process and all that it started; what they share counts once for each."""
    process = Path(f"/proc/{pid}")
    try:
        own = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [child for task in process.glob("task/*/children") for child in task.read_text().split()]
    except OSError:
        # It has ended.
        return 0
    return own + sum(resident(int(child)) for child in children)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--clouds", type=Path, required=True)
    parser.add_argument("--points", type=int, default=20_000_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit-gb", type=float, default=4.0)
    parser.add_argument("--verbs", default="prepare,check,predict,save,visualise,view")
    options = parser.parse_args()
    source, store, labelled = options.out / "raw", options.out / "store", options.out / "labelled"
    cloud = source / "val" / "large.laz"
    if not cloud.exists():
        cloud.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(options.clouds / "classes.csv", source / "classes.csv")
        write_cloud(sorted(options.clouds.glob("t77*.npz")), cloud, options.points)
    labelled.mkdir(exist_ok=True)
    run, classes = str(options.run), str(source / "classes.csv")
    everything = {
        "prepare": ["prepare", "custom", str(source), str(store), "--classes", classes, "--workers", "1"],
        "check": ["prepare", "check", str(store)],
        "predict": ["predict", run, str(cloud), "-o", str(labelled / "large.laz")],
        "save": ["predict", run, str(cloud), "-o", str(labelled / "more.laz"), "--save", "entropy"],
        "visualise": [
            *("visualise", run, "--scene", str(labelled / "large.laz"), "-o", str(options.out / "pictures")),
            "--no-window",
        ],
        "view": ["view", str(store), "--export", str(options.out / "pages"), "--no-browser"],
    }
    bad = 0
    print(f"{options.points:,} points, {cloud.stat().st_size / 1e6:.0f} MB of LAZ", flush=True)
    for verb in options.verbs.split(","):
        code, seconds, computing, peak_gb = measure(everything[verb])
        bad += code != 0 or peak_gb > options.limit_gb
        print(
            f"{verb:10} exit {code}  {seconds:6.0f} s  {computing:6.0f} CPU s  {peak_gb:5.2f} GB", flush=True
        )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
