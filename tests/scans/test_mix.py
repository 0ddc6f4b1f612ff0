"""Mix3D: two samples become one without a duplicate voxel."""

import torch

from pointseg.scans.mix import Sample, mix, mix_pairs


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(name: str, coords: list[list[int]], label: int) -> Sample:
    count = len(coords)
    return Sample(
        name=name,
        coords=torch.tensor(coords, dtype=torch.int32),
        features=torch.full((count, 2), float(label)),
        labels=torch.full((count,), label),
        vertex=torch.arange(count),
    )


A = sample("a", [[0, 0, 0], [0, 0, 1], [5, 0, 0]], label=1)
B = sample("b", [[-1, 0, 0], [0, 0, 1], [5, 0, 0], [9, 9, 9]], label=2)


def test_the_mix_occupies_the_union_once() -> None:
    mixed = mix(A, B, seeded(0))
    assert mixed.coords.tolist() == [[-1, 0, 0], [0, 0, 0], [0, 0, 1], [5, 0, 0], [9, 9, 9]]
    assert mixed.coords.dtype == torch.int32
    assert mixed.name == "a+b"


def test_a_voxel_of_one_scene_keeps_its_row_and_a_shared_one_comes_from_either() -> None:
    seen = [set() for _ in range(5)]
    for seed in range(20):
        mixed = mix(A, B, seeded(seed))
        assert torch.equal(mixed.features[:, 0].long(), mixed.labels)
        for voxel, label in enumerate(mixed.labels.tolist()):
            seen[voxel].add(label)
    assert seen == [{2}, {1}, {1, 2}, {1, 2}, {2}]


def names(p: float, count: int) -> list[str]:
    samples = [sample(letter, [[0, 0, i]], i) for i, letter in enumerate("abcde"[:count])]
    return [s.name for s in mix_pairs(samples, p, [seeded(i) for i in range(3)])]


def test_neighbours_are_paired_and_the_last_odd_one_stays() -> None:
    assert names(1.0, 5) == ["a+b", "c+d", "e"]
    assert names(1.0, 4) == ["a+b", "c+d"]


def test_probability_zero_mixes_nothing() -> None:
    assert names(0.0, 5) == list("abcde")


def test_pairs_are_mixed_about_as_often_as_the_probability_says() -> None:
    pair = [A, B]
    mixed = sum(len(mix_pairs(pair, 0.8, [seeded(seed)])) == 1 for seed in range(300))
    assert 210 < mixed < 270
