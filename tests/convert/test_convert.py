"""`pointseg convert` writes runs that evaluate and predict, and says what it assumed."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.convert.weights import write_public
from pointseg.formats.ply import write_ply
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.runs.checkpoint import load_run


@pytest.fixture
def checkpoint(tmp_path):
    """A tiny random checkpoint of the MinkowskiEngine kind: 3 channels, 3 classes; and its weights."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(4,) * 8, stem_channels=4, stem_kernel=3).build(3)
    classifier = {"weight": torch.randn(3, 4), "bias": torch.randn(3)}
    state = {f"model.{k}": v for k, v in write_public(network, classifier, "minkowski").items()}
    path = tmp_path / "public.pth"
    torch.save({"state_dict": state, "epoch": 7, "best": np.float64(0.25)}, path)
    return path


@pytest.fixture
def labels(tiny_store, tmp_path):
    from pointseg.scans.store import Store

    path = tmp_path / "labels.json"
    path.write_text(json.dumps(Store.open(tiny_store).label_space.to_dict()))
    return path


def run_cli(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_converted_checkpoint_evaluates_predicts_and_goes_back(checkpoint, labels, tiny_store, tmp_path):
    run, scores, cloud = tmp_path / "run", tmp_path / "scores.json", tmp_path / "cloud.ply"
    options = ["--from", "minkowski", "-o", run, "--labels", labels, "--voxel-size", 0.1]
    result = run_cli("convert", checkpoint, *options, "--data", tiny_store)
    assert result.exit_code == 0, result.output
    for said in ("3 input channels", "3 classes", "color_half", "epoch: belongs to the training", "bn_eps"):
        assert said in result.output

    result = run_cli("evaluate", run, "--json", scores, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert json.loads(scores.read_text())["num_scenes"] == 2
    write_ply(cloud, np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32))
    result = run_cli("predict", run, cloud, "-o", tmp_path / "out.ply", "--device", "cpu")
    assert result.exit_code == 0, result.output

    back = tmp_path / "back.pth"
    assert run_cli("convert", run, "--to", "minkowski", "-o", back).exit_code == 0
    given = torch.load(checkpoint, weights_only=False)["state_dict"]
    state = torch.load(back, weights_only=True)["state_dict"]
    assert {f"model.{key}" for key in state} == given.keys()
    assert all(torch.equal(value, given[f"model.{key}"]) for key, value in state.items())


def test_what_no_shape_tells_is_said(checkpoint, labels, tmp_path):
    said = {}
    for origin in ("minkowski", "sts"):
        options = ["--from", origin, "-o", tmp_path / origin, "--labels", labels]
        said[origin] = run_cli("convert", checkpoint, *options).output
        assert "colour: color_half is rgb / 255 - 0.5" in said[origin]
    assert "HYPER_CUBE" in said["minkowski"] and "LGround" in said["minkowski"]
    assert "HYBRID" in said["sts"] and "SpatioTemporalSegmentation" in said["sts"]


def test_options_that_shapes_do_not_tell_can_be_set(checkpoint, labels, tmp_path):
    run = tmp_path / "run"
    options = ["--from", "minkowski", "-o", run, "--labels", labels, "--features", "normal"]
    result = run_cli("convert", checkpoint, *options, "model.final_relu=false")
    assert result.exit_code == 0, result.output
    loaded = load_run(run, device="cpu")
    assert loaded.experiment.data.features == ("normal",)
    assert not loaded.segmenter.backbone.block8[-1].final_relu


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "3 classes"),
        (("--labels", "scannet20"), "has 20"),
        (("--labels", "LABELS", "--features", "coord,color"), "have 6"),
        (("--labels", "LABELS", "--features", "colour"), "colour"),
        (("--labels", "LABELS", "--to", "spconv"), "one of --from"),
    ],
)
def test_what_does_not_fit_is_said(checkpoint, labels, tmp_path, options, message):
    options = [labels if option == "LABELS" else option for option in options]
    result = run_cli("convert", checkpoint, "--from", "minkowski", "-o", tmp_path / "run", *options)
    assert result.exit_code == 2 and message in result.output
    assert not (tmp_path / "run").exists()


def test_files_that_would_run_code_are_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "hook": run_cli}, path)
    result = run_cli("convert", path, "--from", "spconv", "-o", tmp_path / "run")
    assert result.exit_code == 2 and "not readable as data alone" in result.output


def test_safetensors_are_read(checkpoint, labels, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="needs `pip install safetensors`")
    path = tmp_path / "public.safetensors"
    safetensors.save_file(torch.load(checkpoint, weights_only=False)["state_dict"], path)
    result = run_cli("convert", path, "--from", "minkowski", "-o", tmp_path / "run", "--labels", labels)
    assert result.exit_code == 0, result.output
