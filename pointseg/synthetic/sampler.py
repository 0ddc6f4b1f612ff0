"""ClassSampler: which classes, how many of each, in which scene of a split."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.catalogue import SHELL, catalogue
from pointseg.synthetic.categories import class_ids, class_names, instances_per_scene
from pointseg.synthetic.draw import Draw
from pointseg.synthetic.kinds import KINDS
from pointseg.synthetic.model import ScenePlan

#: Classes of the building whose number does not change when the tail is tempered.
UNTEMPERED = (*SHELL, "door", "doorframe", "window")
#: Objects of one class that a fully tempered split should hold, where it has scenes enough for them.
HANDFUL = 6


@dataclass(frozen=True)
class ClassSampler:
    """The plans of all scenes of one split, decided together.

    A split's quota of each class follows the real frequencies, ``temper`` bends it towards equal numbers, and
    the objects are then dealt to the scenes whose kind suits them. The deal depends on the arguments of
    :meth:`for_split` only, so that any process can make any scene.

    Args:
        seed: seed of the whole data set.
        split: name of the split; splits of one seed are independent.
        plans: one plan for each scene.
    """

    seed: int
    split: str
    plans: tuple[ScenePlan, ...]

    @classmethod
    def for_split(cls, seed: int, num_scenes: int, temper: float, split: str = "train") -> ClassSampler:
        """Deal the objects of a split.

        Args:
            seed: seed of the whole data set.
            num_scenes: scenes in the split.
            temper: 0 keeps the real frequencies, 1 makes all classes but the building's about equally
                frequent; a class also gets at least :func:`least_objects` objects.
            split: name of the split.

        Raises:
            ValueError: for a temper outside [0, 1] or no scene.
        """
        if not 0.0 <= temper <= 1.0:
            raise ValueError(f"temper must be from 0 (real frequencies) to 1 (even ones); got {temper}.")
        if num_scenes < 1:
            raise ValueError(f"A split needs at least one scene; got {num_scenes}.")
        rng = np.random.default_rng((seed, _code(split), num_scenes))
        kinds = _deal_kinds(rng, num_scenes, temper)
        counts = _deal_objects(rng, kinds, quota(rng, num_scenes, temper))
        ids = class_ids()
        plans = tuple(
            ScenePlan(kind, {ids[name]: int(dealt[i]) for name, dealt in counts.items() if dealt[i]})
            for i, kind in enumerate(kinds)
        )
        return cls(seed, split, plans)

    def scene(self, index: int) -> ScenePlan:
        """What scene ``index`` shall hold."""
        return self.plans[index]

    def rng(self, index: int) -> np.random.Generator:
        """The stream of random numbers of scene ``index``, whichever scenes were made before."""
        return np.random.default_rng((self.seed, _code(self.split), 1 << 20, index))

    def totals(self) -> dict[int, int]:
        """Raw id -> objects in the whole split."""
        total: dict[int, int] = {}
        for plan in self.plans:
            for raw_id, count in plan.counts.items():
                total[raw_id] = total.get(raw_id, 0) + count
        return total


def _code(split: str) -> int:
    return zlib.crc32(split.encode())


def least_objects(num_scenes: int, temper: float) -> int:
    """Objects of every class in a tempered split: ``temper`` times a handful, or a sixth of its scenes."""
    return math.ceil(temper * min(HANDFUL, num_scenes / 6) - 1e-9)


def rates(temper: float) -> dict[str, float]:
    """Class name -> expected objects a scene; the sum over them does not depend on ``temper``."""
    real = {class_names()[raw_id]: rate for raw_id, rate in instances_per_scene().items()}
    free = [name for name in real if name not in UNTEMPERED]
    total = sum(real[name] for name in free)
    even = total / len(free)
    bent = {name: real[name] ** (1 - temper) * even**temper for name in free}
    scale = total / sum(bent.values())
    return {name: bent[name] * scale if name in bent else rate for name, rate in real.items()}


def quota(rng: np.random.Generator, num_scenes: int, temper: float) -> dict[str, int]:
    """Class name -> objects in a split: the expected number, rounded at random, at least the least."""
    least = least_objects(num_scenes, temper)
    wanted = {}
    for name, rate in rates(temper).items():
        expected = rate * num_scenes
        count = math.floor(expected) + int(rng.random() < expected % 1.0)
        wanted[name] = max(count, least)
    return wanted


def _deal_kinds(rng: np.random.Generator, num_scenes: int, temper: float) -> list[str]:
    """A kind for each scene: shares rounded by largest remainder, so that small splits are no lottery."""
    names = list(KINDS)
    share = np.array([KINDS[name].share for name in names]) ** (1 - 0.5 * temper)
    exact = share / share.sum() * num_scenes
    count = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - count + rng.random(len(names)) * 1e-6))
    count[rest[: num_scenes - count.sum()]] += 1
    dealt = np.repeat(np.arange(len(names)), count)
    return [names[k] for k in rng.permutation(dealt)]


@cache
def bulk(name: str) -> float:
    """Floor, in square metres, that a typical object of the class takes up in a room, directly or not."""
    recipe = catalogue()[name][0]
    size = recipe.build(Draw(np.random.default_rng(7))).size
    on_floor = recipe.mount == "stand" and recipe.spots[0] in ("wall", "floor", "corner", "center", "place")
    return 0.05 + (1.6 * float(size[0] * size[1]) if on_floor else 0.06 * float(size[0] + size[2]))


def _deal_objects(
    rng: np.random.Generator, kinds: list[str], wanted: dict[str, int]
) -> dict[str, npt.NDArray[np.int64]]:
    """Class name -> (N,) objects in each scene; large classes first, each room filled about evenly."""
    num_scenes = len(kinds)
    room = np.array([KINDS[kind].area_m2[1] for kind in kinds], np.float64)
    load = np.zeros(num_scenes)
    dealt = {
        "wall": 4 + _spread(rng, np.ones(num_scenes), max(0, wanted["wall"] - 4 * num_scenes), 1),
        "floor": np.ones(num_scenes, np.int64),
        "ceiling": _spread(rng, np.ones(num_scenes), min(wanted["ceiling"], num_scenes), 1),
    }
    dealt["ceiling"] = np.minimum(dealt["ceiling"], 1)
    names = sorted((n for n in wanted if n not in SHELL), key=lambda n: (-bulk(n), n))
    for name in names:
        recipe = catalogue()[name][0]
        suits = np.array([recipe.weight(kind) for kind in kinds])
        # A room twice as full as its neighbour gets the next object an order of magnitude less often.
        weight = suits * np.exp(-2.5 * load / room) * np.sqrt(room)
        dealt[name] = _spread(rng, weight, wanted[name], recipe.group)
        load += dealt[name] * bulk(name)
    return dealt


def _spread(
    rng: np.random.Generator, weight: npt.NDArray[np.float64], total: int, group: int
) -> npt.NDArray[np.int64]:
    """(N,) numbers that add up to ``total``, dealt in groups of about ``group`` at random by ``weight``."""
    out = np.zeros(len(weight), np.int64)
    sizes: list[int] = []
    while total > 0:
        sizes.append(min(total, 1 + int(rng.poisson(group - 1))))
        total -= sizes[-1]
    p = weight / weight.sum()
    while sizes:
        # Without replacement while there are scenes enough: a rare class is in as many rooms as possible.
        batch, sizes = sizes[: len(weight)], sizes[len(weight) :]
        few = len(batch) <= np.count_nonzero(p > 0.2 / len(p))
        scenes = rng.choice(len(weight), size=len(batch), p=p, replace=not few)
        np.add.at(out, scenes, batch)
    return out
