"""Activation checkpointing changes the memory of a step and nothing else."""

from collections import Counter

import pytest
import torch
from oracle import random_coords

from pointseg.config import load_config
from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.core.synced_norm import SyncedBatchNorm
from pointseg.experiment import Experiment
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.segformer import SegformerConfig
from pointseg.models.segmenter import Segmenter
from pointseg.models.upernet import UPerNetConfig
from pointseg.sparse import Grid, SparseTensor, using_engine
from pointseg.sparse.engines import backend
from pointseg.training.state import TrainingState


def a_step(checkpointing: bool, dtype: torch.dtype | None = None):
    """Output, gradients and buffers after one forward and backward pass, and the tensors it kept."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3)
    network.checkpoint_activations = checkpointing
    grid = Grid(random_coords(400, extent=8, seed=1))
    x = torch.randn(len(grid), 3, generator=torch.Generator().manual_seed(2))
    kept = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t),
        torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        out = network(SparseTensor(x, grid)).features
    out.float().square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    return [out, *gradients, *network.buffers()], sum(kept)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_outputs_gradients_and_running_statistics_have_the_same_bits(dtype):
    plain, _ = a_step(False, dtype)
    again, _ = a_step(True, dtype)
    assert len(plain) == len(again)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_the_insides_of_blocks_are_not_kept():
    assert a_step(True)[1] < 0.6 * a_step(False)[1]


def test_norms_that_are_synchronised_between_gpus_predict_the_same():
    """What they compute in training is in tests/core/test_synced_norm.py."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3).eval()
    grid = Grid(random_coords(100, extent=8, seed=1))
    x = SparseTensor(torch.randn(len(grid), 3), grid)
    names = list(network.state_dict())
    with torch.no_grad():
        expected = network(x).features
        synchronised, notice = Processes(0, 2, torch.device("cuda")).synchronise_norms(network)
        got = synchronised(x).features
    norms = [m for m in synchronised.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert notice == "" and list(synchronised.state_dict()) == names
    assert norms and all(isinstance(norm, SyncedBatchNorm) for norm in norms)
    torch.testing.assert_close(got, expected)


def test_what_is_computed_again_uses_the_engine_of_the_first_pass(monkeypatch):
    """The backward pass runs when the block that set the engine has ended, on a GPU in another thread."""
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3)
    network.checkpoint_activations = True
    calls = Counter()
    for name in ("reference", "native", "torch"):
        kind = type(backend(name))
        real = kind.forward

        def counted(*arguments, _name=name, _real=real, **options):
            calls[_name] += 1
            return _real(*arguments, **options)

        monkeypatch.setattr(kind, "forward", counted)
    grid = Grid(random_coords(100, extent=8, seed=1))
    with using_engine("reference"):
        out = network(SparseTensor(torch.randn(len(grid), 3), grid)).features
    first = calls["reference"]
    out.square().mean().backward()
    # Of each of the eight blocks one convolution at least is computed a second time.
    assert calls["reference"] >= first + 8
    assert set(calls) == {"reference"}


def an_image_step(config, recompute: bool):
    """The same for a network of images, dropout included."""
    torch.manual_seed(0)
    network = config.build(3).train()
    if recompute:
        network.recompute_activations()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    kept = []
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        out = network(images)
    out.square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    return [out, *gradients, *network.buffers()], sum(kept)


@pytest.mark.parametrize(
    "config",
    [
        ImageUNetConfig(widths=(8, 16, 24), out_channels=8),
        SegformerConfig(),
        UPerNetConfig(encoder="swin", hidden_size=16),
    ],
    ids=lambda config: config.type,
)
def test_networks_of_images_keep_less_and_have_the_same_bits(config):
    if config.type != "image_unet":
        pytest.importorskip("transformers")
    (plain, kept), (again, kept_again) = an_image_step(config, False), an_image_step(config, True)
    assert len(plain) == len(again)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    assert kept_again < 0.8 * kept


def test_a_network_that_cannot_compute_again_refuses_instead_of_ignoring_the_setting():
    segmenter = Segmenter(DeepLabV3PlusConfig(depth_multiplier=0.5).build(3), num_classes=3)
    with pytest.raises(ValueError, match="activation_checkpointing: the library transformers does not"):
        segmenter.recompute_activations()
    segmenter.backbone = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"activation_checkpointing: Linear .* set it to false"):
        segmenter.recompute_activations()


def test_the_setting_reaches_the_network_of_images():
    data = {
        "data": {"type": "images", "path": "unused", "size": [32, 32]},
        "model": {"type": "image_unet", "widths": [8, 16]},
        "train": {"steps": 1, "activation_checkpointing": True},
    }
    experiment = load_config(Experiment, None, (), data=data)
    space = LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2))
    statistics = ClassStatistics(torch.tensor([5, 5]), torch.tensor([1, 1]), 1)
    pipeline = experiment.build_pipeline(space, "cpu")
    processes = Processes(0, 1, torch.device("cpu"))
    state, _ = TrainingState.fresh(experiment, statistics, space, pipeline, processes)
    assert state.learner.segmenter.backbone.checkpoint_activations
