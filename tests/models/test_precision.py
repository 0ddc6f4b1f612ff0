"""Outside training a network computes in the type that was asked for, and in exact float32 unless one was."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.formats.ply import write_ply
from pointseg.models.precision import EXACT, Precision, check_amp
from pointseg.models.segmenter import Segmenter
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


@pytest.mark.parametrize("verb", ["evaluate", "predict", "predict a folder", "submit"])
@pytest.mark.parametrize("amp", [None, "bf16"])
def test_every_verb_computes_in_the_type_it_is_told(
    verb, amp, trained_run, tiny_store, tmp_path, monkeypatch
):
    scene = Store.open(tiny_store).load("val0")
    (tmp_path / "clouds").mkdir()
    write_ply(tmp_path / "clouds" / "room.ply", scene.xyz_m, rgb=scene.rgb)
    words = {
        "evaluate": ["evaluate", trained_run],
        "predict": ["predict", trained_run, tmp_path / "clouds" / "room.ply", "-o", tmp_path / "out.ply"],
        "predict a folder": ["predict", trained_run, tmp_path / "clouds", "-o", tmp_path / "labelled"],
        "submit": ["submit", trained_run, "-o", tmp_path / "out.zip", "--split", "val"],
    }[verb]
    seen = set()
    forward = Segmenter.forward

    def watched(self, *arguments, **options):
        logits = forward(self, *arguments, **options)
        seen.add(logits.logits.dtype)
        return logits

    monkeypatch.setattr(Segmenter, "forward", watched)
    asked = ["--amp", amp] if amp else []
    result = CliRunner().invoke(app, [str(word) for word in [*words, "--device", "cpu", *asked]])
    assert result.exit_code == 0, result.output
    assert seen == {torch.bfloat16 if amp else torch.float32}
