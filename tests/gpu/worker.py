"""Everything that trains, predicts and checks, on a pretend GPU, in a process of its own.

    python tests/gpu/worker.py FOLDER GROUP...

Prints a line of JSON for each thing that ran: its name, what was found, where the host waited, what it gave.
"""

# ruff: noqa: E402
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[i]) for i in (0, 2)] + [str(Path(__file__).parents[2] / "scripts")]
FOLDER, GROUPS = Path(sys.argv[1]), sys.argv[2:]
#: Kernels of Triton run in its interpreter, or not at all: which, is settled when they are loaded.
INTERPRETED = GROUPS[0] == "triton"
os.environ |= {"TRITON_INTERPRET": "1" if INTERPRETED else "0", "POINTSEG_CACHE": str(FOLDER / "cache")}
os.environ |= {"XDG_CACHE_HOME": str(FOLDER / "cache")}

import pretend

MACHINE = pretend.install()

import functools
import json
import shutil
import warnings
from collections import Counter

import numpy as np
import torch
import yaml
from rich.console import Console
from rooms import make_photographs, make_store

from pointseg.config.shipped import shipped
from pointseg.experiment import load_experiment
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.scans.store import Store
from pointseg.sparse import proof
from pointseg.training.train import train

torch.set_num_threads(1)
#: The methods of this project's house, all at once.
ALL = "all_four"
SMALL = (
    *(f"model.widths={[8] * 8}", f"model.blocks={[1] * 8}", "model.stem_channels=8"),
    *(f"engine={'triton' if INTERPRETED else 'reference'}", "data.voxel_size_m=0.2"),
    *("train.steps=3", "train.batch_size=2", "train.val_every=0"),
    *("train.log_every=1", "train.num_threads=1", "train.workers=0", "data.val_split=null"),
)
#: Every augmentation, each certain to happen.
AUGMENT = """augment=[{type: center_shift}, {type: random_dropout, p: 1.0}, {type: rotate, p: 1.0},
 {type: rotate, axis: x, max_angle_deg: 3, p: 1.0}, {type: scale, anisotropic: true, p: 1.0},
 {type: flip, p: 0.7}, {type: jitter, p: 1.0}, {type: elastic, p: 1.0}, {type: auto_contrast, p: 1.0},
 {type: chromatic_translation, p: 1.0}, {type: chromatic_jitter, p: 1.0}, {type: hue_saturation, p: 1.0},
 {type: color_drop, p: 0.5}, {type: cuboid_crop, size_m: [3.0, 3.0]},
 {type: voxelize, features: mean, label: majority}, {type: sphere_crop, max_points: 400},
 {type: center_shift, z: keep}]""".replace("\n", "")


def experiment(methods, *overrides):
    path = FOLDER / "store"
    store = path if path.exists() else make_store(path)
    options = [*SMALL, f"data.path={store}", *overrides]
    return load_experiment("synthetic/minkunet", methods=methods, overrides=options)


def run(name, chosen, device="cuda", *, keep=False, **options):
    """Train into FOLDER/name; the last loss."""
    folder = FOLDER / name
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    train(chosen, folder, device=device, console=Console(quiet=True), **options)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert not [line for line in lines if line["kind"] == "skipped"], lines
    return float([line for line in lines if line["kind"] == "train"][-1]["loss"])


def told(name, action, *, races=True):
    """Run an action and print what the pretend device saw of it."""
    MACHINE.reset()
    MACHINE.races = races
    gave = action()
    waits: dict[str, Counter] = {}
    for (kind, place, thread), count in MACHINE.waits.items():
        waits.setdefault(thread, Counter())[f"{place} {kind}"] += count
    line = {
        "name": name,
        "gave": gave,
        "findings": dict(MACHINE.findings),
        "operations": sum(MACHINE.operations.values()),
        "waits": waits,
    }
    print(json.dumps(line), flush=True)


#: One for each way: a projection and moments, a running state, draws by the host, sorting, gradients that are
#: summed up, a classifier of its own, noise, scenes that are pasted into, heads of their own, neighbours.
SOME_METHODS = (
    *("ceco", "dropclass", "tilted", "pat", "lovasz", "top_k", "seesaw", "eqlv2", "region_classifier"),
    *("blv", "auc", "paste", "etf", "ldam_drw", "cac", "boundary_cb", "crt"),
)


def some_methods():
    methods(SOME_METHODS)


def methods(chosen=None):
    """Each method alone, and all of the house together; what combines others is nothing new to a device."""
    for method in chosen or shipped("method"):
        if isinstance(yaml.safe_load(shipped("method")[method].read_text()).get("base"), list):
            continue
        # And in one order, where an operation without one is refused.
        needed = ["train.steps=1", "train.deterministic=true"]
        needed += ["data.paste.min_points=10"] if method == "paste" else []
        # It trains the classifier of another run.
        needed += [f"train.init_from={FOLDER / 'run'}"] if method == "crt" else []
        told(method, lambda method=method, needed=needed: run("method", experiment(method, *needed)))


def training():
    amp = ["train.amp=fp16", "train.clip_norm=1.0", "train.ema_decay=0.9"]
    told("fp16, scaler, clipping, average", lambda: run("fp16", experiment((), *amp)))
    every = ["mix3d_p=0.8", "train.ema_decay=0.9", "train.clip_norm=1.0", "train.amp=bf16"]
    every += ["train.activation_checkpointing=true", "data.max_voxels=300", "train.batch_size=3"]
    every += ["train.accumulate=2"]
    told("every augmentation", lambda: run("augmented", experiment((), AUGMENT, *every)))
    told("cuda:1", lambda: run("second", experiment(()), device="cuda:1"))
    told("resumed", resumed)
    recipes()


def resumed():
    """Whether a run in two parts ends with the bits of one in one part."""
    options = ["train.amp=bf16", "train.ema_decay=0.9", "train.steps=4", "train.checkpoint_every=1"]
    chosen = experiment(ALL, *options)
    run("whole", chosen)
    run("parts", chosen, stop_after=2)
    run("parts", chosen, keep=True)
    files = (FOLDER / name / "checkpoints" / "last.pt" for name in ("whole", "parts"))
    whole, parts = (load_checkpoint(file)["weights"] for file in files)
    return all(torch.equal(whole[key], parts[key]) for key in whole)


def recipes():
    """One batch of twelve scenes as the recipes of the field make it."""
    for recipe in ("spunet", "minkunet34c", "lground"):
        store = Store.open(FOLDER / "store")
        options = [f"data.path={store.path}", "data.voxel_size_m=0.1"]
        chosen = load_experiment(f"scannet200/{recipe}", overrides=options)
        pipeline = chosen.build_pipeline(store.label_space, torch.device("cuda"))
        scenes = [store.read(name) for name in store.scene_names("train")] * 3
        made = functools.partial(pipeline.train_batch, scenes, seed=1)
        told(f"12 scenes of {recipe}", lambda made=made: made().num_samples, races=False)


def verbs():
    from pointseg.evaluation.evaluate import evaluate
    from pointseg.prediction.file import predict_file
    from pointseg.submission.submit import submit
    from pointseg.view.visualise import Outputs, visualise

    folder = FOLDER / "run"
    validated = experiment((), "data.val_split=val", "train.val_every=2")
    told("a run with validation", lambda: run("run", validated))
    told("evaluate in four views", lambda: evaluate(folder, views=4, device="cuda").report.miou.present)
    rng = np.random.default_rng(0)
    cloud = FOLDER / "cloud.npz"
    normal = np.tile(np.array([0, 0, 1], np.float32), (900, 1))
    xyz, rgb = rng.random((900, 3)).astype(np.float32) * 3, rng.integers(0, 255, (900, 3), dtype=np.uint8)
    np.savez(cloud, xyz=xyz, rgb=rgb, normal=normal)
    tiled = functools.partial(predict_file, views=2, max_points=300, device="cuda")
    told("predict a file in tiles", lambda: len(tiled(folder, cloud, FOLDER / "out.ply").confidence))
    told("submit", lambda: submit(folder, FOLDER / "submission.zip", device="cuda").num_scenes)
    plain = Outputs(window=False, open3d=False)
    told("visualise", lambda: visualise(folder, "room4", device="cuda", outputs=plain) and None)


def images():
    from pointseg.evaluation.evaluate import evaluate

    root = make_photographs(FOLDER / "photographs")
    small = ["data.size=[32, 32]", "train.batch_size=2", "train.num_threads=1", "train.workers=0"]
    small += ["train.steps=2", "train.log_every=1", f"data.path={root}"]

    def chosen(methods, *overrides):
        return load_experiment("ccp59/unet", methods=methods, overrides=[*small, *overrides])

    for name, methods, amp in (("cross entropy", (), "none"), ("all methods", ALL, "bf16")):
        widths = ["model.widths=[8, 16]", f"train.amp={amp}"]
        told(f"images, {name}", lambda m=methods, w=widths: run("images", chosen(m, *w)))
    told("evaluate images", lambda: evaluate(FOLDER / "images", views=2, device="cuda").report.miou.present)
    for model in (
        "{type: segformer}",
        "{type: upernet, hidden_size: 16}",
        "{type: deeplabv3plus, depth_multiplier: 0.5}",
    ):
        # Torch has no gradient of one order for the pyramid of UPerNet.
        options = [f"model={model}", "train.amp=fp16", f"train.deterministic={'upernet' not in model}"]
        told(f"images, {model}", lambda o=options: run("network", chosen("ceco_dropclass", *o)))


def triton():
    tiny = ["data.voxel_size_m=0.6", "train.steps=2"]
    told("Triton", lambda: run("exact", experiment((), *tiny)))
    bf16 = [*tiny, "train.amp=bf16", "train.activation_checkpointing=true"]
    told("Triton in bf16 on cuda:1", lambda: run("second", experiment(ALL, *bf16), device="cuda:1"))


def gpu_check():
    from gpu_check.main import _run
    from gpu_check.record import SMOKE, Recorder

    # All of it on a busy machine too: what is left out would not be counted.
    recorder = Recorder(torch.device("cuda"), SMOKE, float("inf"), FOLDER / "table.json")
    told("gpu_check --smoke", lambda: _run(recorder) or recorder.failures, races=False)


if __name__ == "__main__":
    warnings.simplefilter("error")
    if INTERPRETED:
        pretend.pretend_triton()
        # A proof of interpreted kernels is what tests/sparse is.
        proof.unproven = lambda *_: None
    else:
        pretend.quick_reference_engine()
    for group in GROUPS:
        globals()[group]()
