"""Benchmark: what the test server of a data set of scans expects, from the files of that data set alone.

Beside a data set's ``label_sets`` in resources lie ``benchmark.json``, the fields of :class:`Benchmark`, and,
where the scenes are known, ``scene_vertex_counts.csv`` with the columns scene, split and num_vertices. A data
set whose classes stand in its own download has a folder of the label set's name and no ``label_sets``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from pointseg.config import Config
from pointseg.core.labels import resource_path, shipped_label_sets
from pointseg.formats.ply import ply_vertex_count
from pointseg.formats.text import read_lines

#: Above this a server's own unpacking has been seen to fail; 18 million honest lines take a few MB.
LARGE_BYTES = 200_000_000
Counts = Mapping[str, int]


class Benchmark(Config):
    """Rules of a data set's server. The defaults know no scenes, and find meshes where ScanNet has them.

    Args:
        scene_name: pattern of the names of all its scenes.
        scored_split: split that the server scores.
        counts: split -> scene -> vertices of its mesh, for all scenes of the data set.
        meshes: where the mesh of a scene may lie in a copy of the raw scans, the first one that is there.
        scene_lists: where a copy may list the scenes of the scored split.
        scored_folder: folder of a copy that holds the scenes of the scored split, where no list does.
        advice: what to know before an upload.
        layout: what the archive holds: ``text``, a text at the root for each scan; else the name of a layout
            of sweeps, see ``pointseg.scans.sweep_layouts``.
        ranks: of ``text``, ids on a line, the most probable class first; files with one id a line are right,
            too.
        num_scored: how many scenes the server scores, where only that is known.
    """

    scene_name: str = r"[\w.-]+"
    scored_split: str = "test"
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    meshes: tuple[str, ...] = (
        "scans/{scene}/{scene}_vh_clean_2.ply",
        "scans_test/{scene}/{scene}_vh_clean_2.ply",
        "{scene}/{scene}_vh_clean_2.ply",
    )
    scene_lists: tuple[str, ...] = ("scannetv2_test.txt", "splits/scannetv2_test.txt")
    scored_folder: str = "scans_test"
    advice: str = ""
    layout: Literal["text", "semantickitti", "nuscenes"] = "text"
    ranks: int = Field(default=1, ge=1)
    num_scored: int | None = None

    @classmethod
    def of(cls, label_set: str) -> Benchmark:
        """That of the data set which a label set belongs to; the defaults for a set of the user's own."""
        table = shipped_label_sets().get(label_set)
        # The name of a user's own set may be anything, a path for instance.
        named = label_set if re.fullmatch(r"\w+", label_set) else "none"
        folder = resource_path(named) if table is None else table.parents[1]
        if not (folder / "benchmark.json").is_file():
            return cls()
        rules = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
        counts: dict[str, dict[str, int]] = {}
        if (folder / "scene_vertex_counts.csv").is_file():
            with (folder / "scene_vertex_counts.csv").open(newline="", encoding="utf-8") as handle:
                for row in csv.DictReader(handle):
                    counts.setdefault(row["split"], {})[row["scene"]] = int(row["num_vertices"])
        return cls(counts=counts, **rules)

    @property
    def official(self) -> dict[str, int]:
        """Scene -> vertices of the split that the server scores; empty where it is not known."""
        return self.counts.get(self.scored_split, {})

    def expected(self, raw: Path | None, scenes: Path | None) -> dict[str, int]:
        """Scene -> vertices of what a submission must hold.

        Without ``raw``, the official split or the listed scenes of the table. With it, the listed or the
        scored scenes of that folder; where those are the real ones, the whole official split.

        Args:
            raw: folder of raw scans.
            scenes: file with names of scenes.

        Raises:
            ValueError: if a scene is not known, a mesh is not there, or nothing says what is expected.
        """
        if raw is not None and scenes is not None:
            return self.raw_counts(raw, read_scene_list(scenes))
        if raw is not None:
            found = self.raw_counts(raw, self.raw_scored_scenes(raw))
            # A copy with a part of the scored scans on disk does not make a part of the split enough.
            is_real = all(self.official.get(scene) == count for scene, count in found.items())
            return self.official if is_real else found
        if scenes is None:
            if not self.official:
                raise ValueError(
                    "For this label set no scenes are known that a submission must hold; add --raw DIR, the "
                    "folder of the scans."
                )
            return self.official
        everywhere = {scene: count for split in self.counts.values() for scene, count in split.items()}
        names = read_scene_list(scenes)
        unknown = [name for name in names if name not in everywhere]
        if unknown:
            raise ValueError(
                f"{scenes}: {unknown[0]!r} is no scene of this benchmark ({len(unknown)} such names); add "
                "--raw DIR, the folder of the scans, so that their vertices can be counted."
            )
        return {name: everywhere[name] for name in names}

    def find_mesh(self, raw: Path, scene: str) -> Path | None:
        """The mesh of a scene in a copy of the raw scans, wherever the copy keeps it."""
        candidates = (Path(raw) / place.format(scene=scene) for place in self.meshes)
        return next((path for path in candidates if path.is_file()), None)

    def raw_counts(self, raw: Path, scenes: list[str]) -> dict[str, int]:
        """Vertices of each scene, from the headers of the meshes.

        Raises:
            ValueError: naming the first scene whose mesh is not there.
        """
        meshes = {scene: self.find_mesh(raw, scene) for scene in scenes}
        absent = [scene for scene, mesh in meshes.items() if mesh is None]
        if absent:
            places = ", ".join(place.format(scene=absent[0]) for place in self.meshes)
            raise ValueError(
                f"{raw}: no mesh of {absent[0]} ({len(absent)} scans are missing); expected one of {places}."
            )
        return {scene: ply_vertex_count(mesh) for scene, mesh in meshes.items() if mesh is not None}

    def raw_scored_scenes(self, raw: Path) -> list[str]:
        """Scenes of the scored split in a copy of the raw scans, real or generated, sorted.

        A list of them in the copy counts, then the folder of them, then the official list (some copies keep
        all scans in one folder).

        Raises:
            ValueError: if there is none of them.
        """
        raw = Path(raw)
        for path in (raw / name for name in self.scene_lists):
            if path.is_file():
                return read_scene_list(path)
        folder = raw / self.scored_folder
        if folder.is_dir():
            found = [scan.name for scan in folder.iterdir() if self.find_mesh(raw, scan.name)]
        else:
            found = [scene for scene in self.official if self.find_mesh(raw, scene)]
        if not found:
            raise ValueError(
                f"{raw}: no test scan found; expected {self.scene_lists[0]} or scans in {self.scored_folder}."
            )
        return sorted(found)

    def other_scenes(self, expected: Counts) -> dict[str, str]:
        """Scene -> split of the scenes of other splits that are not expected."""
        others = (split for split in self.counts if split != self.scored_split)
        return {scene: s for s in others for scene in self.counts[s] if scene not in expected}

    def remarks(self, expected: Counts, path: Path) -> tuple[str, ...]:
        """What to know before an upload of a valid archive, or that this is none."""
        if self.num_scored is not None:
            is_official = len(expected) == self.num_scored
        else:
            # A benchmark whose scenes are not known here has advice on how to tell.
            is_official = expected == self.official if self.official else bool(self.advice)
        if not is_official:
            return (
                f"These {len(expected)} scenes are not the official test split: a rehearsal, nothing to "
                "upload.",
            )
        size = path.stat().st_size
        large = f"WARNING: {size:,} bytes; the server may fail to unpack it."
        return (*((large,) if size > LARGE_BYTES else ()), *((self.advice,) if self.advice else ()))


def read_scene_list(path: Path) -> list[str]:
    """Names of a split file, one per line, sorted.

    Raises:
        ValueError: if the file is empty or names a scene twice.
        FileNotFoundError: if there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected one scene name per line.")
    names = read_lines(Path(path))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{path}: expected different scene names, one per line; got {len(names)} lines.")
    return sorted(names)
