"""The augmentations of the two published recipes can be written in YAML, run, and survive a round trip."""

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.scans.pipeline import ScenePipeline
from pointseg.scans.transforms import TransformConfig

SPUNET = """
- {type: center_shift}
- {type: random_dropout, ratio: 0.2, p: 0.2}
- {type: rotate, axis: z, max_angle_deg: 180, p: 0.5}
- {type: rotate, axis: x, max_angle_deg: 2.8125, p: 0.5}
- {type: rotate, axis: y, max_angle_deg: 2.8125, p: 0.5}
- {type: scale, low: 0.9, high: 1.1}
- {type: flip, p: 0.5}
- {type: jitter, sigma_m: 0.005, clip_m: 0.02}
- {type: elastic, distortions: [[0.2, 0.4], [0.8, 1.6]]}
- {type: auto_contrast, p: 0.2}
- {type: chromatic_translation, p: 0.95, ratio: 0.05}
- {type: chromatic_jitter, p: 0.95, std: 0.05}
- {type: voxelize}
- {type: sphere_crop, max_points: 100000}
- {type: center_shift, z: keep}
"""
LGROUND = """
- {type: elastic, p: 0.95, distortions: [[0.2, 0.4], [0.8, 1.6]]}
- {type: rotate, axis: x, max_angle_deg: 2.8125}
- {type: rotate, axis: y, max_angle_deg: 2.8125}
- {type: rotate, axis: z, max_angle_deg: 180}
- {type: scale, low: 0.9, high: 1.1}
- {type: flip}
- {type: auto_contrast, p: 0.2}
- {type: chromatic_translation, p: 0.95, ratio: 0.10}
- {type: chromatic_jitter, p: 0.95, std: 0.05}
"""
LIST: TypeAdapter[list[TransformConfig]] = TypeAdapter(list[TransformConfig])


@pytest.mark.parametrize(
    ("text", "features", "mix3d_p", "num_features"),
    [(SPUNET, ["coord", "color", "normal"], 0.8, 9), (LGROUND, ["color_half"], 0.0, 3)],
    ids=["spunet", "lground"],
)
def test_a_recipe_parses_runs_and_survives_a_round_trip(
    text: str, features: list[str], mix3d_p: float, num_features: int
) -> None:
    transforms = LIST.validate_python(yaml.safe_load(text))
    assert [t.type for t in transforms] == [entry["type"] for entry in yaml.safe_load(text)]
    assert LIST.validate_python(LIST.dump_python(transforms, mode="json")) == transforms
    pipeline = ScenePipeline(
        voxel_size_m=0.02,
        features=features,
        transforms=transforms,
        label_space=load_label_space("scannet200"),
        mix3d_p=mix3d_p,
    )
    rng = np.random.default_rng(0)
    scenes = [
        Scene(
            name,
            rng.uniform(0, 2, (500, 3)).astype(np.float32),
            rng.integers(0, 256, (500, 3), dtype=np.uint8),
            np.tile(np.array([0, 0, 1], np.float32), (500, 1)),
            np.full(500, 1, np.int32),
        )
        for name in ("a", "b")
    ]
    assert pipeline.num_features == num_features
    assert pipeline.train_batch(scenes, 0).features.shape[1] == num_features
    assert pipeline.eval_batch(scenes).num_points == (500, 500)
