"""Outside training a network computes in the type that was asked for, and in exact float32 unless one was."""

import numpy as np
import pytest
import torch

from pointseg.models.precision import EXACT, Precision, check_amp
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store


def test_exact_is_what_nobody_asked_to_change():
    assert Precision("none", tf32=False) == EXACT


@pytest.mark.parametrize("tf32", [True, False])
def test_float32_on_a_gpu_is_rounded_only_where_allowed_and_settings_stand_afterwards(tf32):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with Precision(tf32=tf32).used_on(torch.device("cuda")):
        inside = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        assert inside == ("high" if tf32 else "highest", tf32)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_fp16_is_refused_without_a_gpu():
    with pytest.raises(ValueError, match=r"evaluate.amp: fp16 needs a GPU; use bf16 or none on cpu"):
        check_amp("fp16", torch.device("cpu"), option="evaluate.amp")


def test_a_run_predicts_in_bf16_and_nearly_all_labels_stay(trained_run, tiny_store):
    scene = Store.open(tiny_store).load("val0")
    exact, narrow = (load_run(trained_run, device="cpu", amp=amp) for amp in (None, "bf16"))
    assert (exact.segmenter.precision.amp, narrow.segmenter.precision.amp) == ("none", "bf16")
    batch = narrow.pipeline.eval_batch([scene])
    assert narrow.segmenter(batch).logits.dtype == torch.bfloat16
    assert exact.segmenter(batch).logits.dtype == torch.float32
    labels = [predict_scene(run, scene).train_index for run in (exact, narrow)]
    assert np.mean(labels[0] == labels[1]) > 0.97
    narrow.segmenter.train()
    assert narrow.segmenter(batch).logits.dtype == torch.float32
