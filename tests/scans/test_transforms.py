"""Laws that every transform obeys, over the whole union."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from pointseg.core.cloud import PointCloud
from pointseg.scans.transforms import Transform, TransformConfig

ANY_TRANSFORM: TypeAdapter[TransformConfig] = TypeAdapter(TransformConfig)

#: One entry of a configuration for each type, with settings under which it acts on the cloud below.
RANDOM = [
    {"type": "random_dropout", "p": 1.0},
    {"type": "rotate", "axis": "x", "max_angle_deg": 30},
    {"type": "scale", "anisotropic": True},
    {"type": "flip"},
    {"type": "jitter"},
    {"type": "elastic", "p": 1.0},
    {"type": "auto_contrast", "p": 1.0},
    {"type": "chromatic_translation", "p": 1.0},
    {"type": "chromatic_jitter", "p": 1.0},
    {"type": "hue_saturation", "p": 1.0},
    {"type": "sphere_crop", "max_points": 20},
    {"type": "sphere_crop", "max_points": 20, "mode": "class_balanced"},
    {"type": "cuboid_crop", "size_m": [0.5, 0.5]},
]
FIXED = [{"type": "center_shift"}, {"type": "color_drop", "p": 1.0}]


def build(options: dict[str, object]) -> Transform:
    transform = ANY_TRANSFORM.validate_python(options)
    assert isinstance(transform, Transform)
    return transform


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_cloud(count: int = 60) -> PointCloud:
    source = seeded(99)
    return PointCloud(
        name="cloud",
        xyz_m=torch.rand(count, 3, generator=source) * 2 + 1,
        color=torch.randint(20, 200, (count, 3), generator=source).float(),
        normal=torch.nn.functional.normalize(torch.randn(count, 3, generator=source), dim=1),
        label=torch.arange(count) * 10,
        vertex=torch.arange(count),
    )


def tensors(cloud: PointCloud) -> list[torch.Tensor]:
    return [cloud.xyz_m, cloud.color, cloud.normal, cloud.label, cloud.vertex]


def equal(first: PointCloud, second: PointCloud) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


by_type = pytest.mark.parametrize("options", RANDOM + FIXED, ids=lambda o: o["type"])


@by_type
def test_the_same_seed_gives_the_same_cloud(options: dict[str, object]) -> None:
    transform = build(options)
    assert equal(transform(random_cloud(), seeded(5)), transform(random_cloud(), seeded(5)))


@pytest.mark.parametrize("options", RANDOM, ids=lambda o: o["type"])
def test_other_seeds_give_other_clouds(options: dict[str, object]) -> None:
    transform = build(options)
    first = transform(random_cloud(), seeded(0))
    assert not all(equal(first, transform(random_cloud(), seeded(seed))) for seed in range(1, 6))


@by_type
def test_neither_the_input_nor_the_global_generator_is_touched(options: dict[str, object]) -> None:
    cloud = random_cloud()
    state = torch.random.get_rng_state()
    build(options)(cloud, seeded(3))
    assert equal(cloud, random_cloud())
    assert torch.equal(torch.random.get_rng_state(), state)


@by_type
def test_labels_stay_with_their_vertices_in_their_order(options: dict[str, object]) -> None:
    cloud = build(options)(random_cloud(), seeded(3))
    assert torch.equal(cloud.label, cloud.vertex * 10)
    assert bool((cloud.vertex.diff() > 0).all())


@by_type
def test_normals_keep_unit_length(options: dict[str, object]) -> None:
    cloud = build(options)(random_cloud(), seeded(3))
    torch.testing.assert_close(cloud.normal.norm(dim=1), torch.ones(cloud.num_points))


@by_type
def test_an_undefined_normal_stays_zero(options: dict[str, object]) -> None:
    flat = random_cloud()
    cloud = build(options)(flat.with_(normal=torch.zeros_like(flat.normal)), seeded(3))
    assert not bool(cloud.normal.any())


@by_type
def test_colors_stay_in_their_range_and_numbers_finite(options: dict[str, object]) -> None:
    cloud = build(options)(random_cloud(), seeded(3))
    assert 0.0 <= float(cloud.color.min()) <= float(cloud.color.max()) <= 255.0
    assert all(bool(torch.isfinite(t).all()) for t in tensors(cloud))


@by_type
def test_types_stay_as_they_are(options: dict[str, object]) -> None:
    cloud = build(options)(random_cloud(), seeded(3))
    assert [t.dtype for t in tensors(cloud)] == [t.dtype for t in tensors(random_cloud())]


@by_type
def test_an_empty_cloud_passes(options: dict[str, object]) -> None:
    assert build(options)(random_cloud(0), seeded(3)).num_points == 0


@by_type
def test_a_single_point_passes_and_stays_finite(options: dict[str, object]) -> None:
    cloud = build(options)(random_cloud(1), seeded(3))
    assert cloud.num_points == 1
    assert all(bool(torch.isfinite(t).all()) for t in tensors(cloud))


@pytest.mark.parametrize(
    "options", [o for o in RANDOM + FIXED if o["type"] != "center_shift"], ids=lambda o: o["type"]
)
def test_probability_zero_is_the_identity(options: dict[str, object]) -> None:
    transform = build({**options, "p": 0.0})
    assert all(equal(transform(random_cloud(), seeded(seed)), random_cloud()) for seed in range(5))


def test_a_transform_happens_about_as_often_as_its_probability_says() -> None:
    transform = build({"type": "color_drop", "p": 0.3})
    generator, cloud = seeded(0), random_cloud(1)
    hits = sum(not equal(transform(cloud, generator), cloud) for _ in range(1000))
    assert 240 < hits < 360


def test_every_type_of_the_union_is_under_test() -> None:
    schema = ANY_TRANSFORM.json_schema()
    assert set(schema["discriminator"]["mapping"]) == {str(o["type"]) for o in RANDOM + FIXED} | {"voxelize"}


@pytest.mark.parametrize(
    "options",
    [
        {"type": "rotato"},
        {"type": "rotate", "angle": 3},
        {"type": "rotate", "p": 1.5},
        {"type": "random_dropout", "ratio": 1.0},
        {"type": "scale", "low": 1.2, "high": 0.8},
        {"type": "elastic", "distortions": [[0.0, 0.4]]},
        {"type": "sphere_crop", "max_points": 0},
        {"type": "cuboid_crop", "size_m": [0.0, 1.0]},
    ],
)
def test_a_setting_without_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        build(options)
