"""From cases to rows: engines take turns, are compared with float64, and are skipped where memory ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any, TypeAlias

import torch

from pointseg.bench.cases import JUDGE, TYPES, Case, convolution, kernel_maps, network
from pointseg.bench.measure import Timing, gemm_gflops, take_turns, warm_up
from pointseg.bench.memory import MemoryGuard
from pointseg.bench.options import BenchOptions
from pointseg.bench.rooms import rooms

#: Phase -> operations in forward passes.
_PHASES = {"forward": 1, "forward_backward": 3}
#: From this size on a network's memory is foretold, if need be from these small ones.
_LARGE = 200_000
_PROBES = (10_000, 30_000)
#: Number of the case, engine, type, phase.
_Key: TypeAlias = tuple[int, str, str, str]


class Measurements:
    """Measures sizes one after the other, and learns from the smaller ones what the larger ones take.

    Args:
        what: ``conv``, ``network`` or ``maps``.
        names: the engines.
        options: sizes and types.
        device: where to measure.
    """

    def __init__(self, what: str, names: list[str], options: BenchOptions, device: torch.device) -> None:
        self.what, self.names, self.options, self.device = what, names, options, device
        self.guard = MemoryGuard(device)
        self._found: dict[int, dict[_Key, float]] = {}

    @cached_property
    def limit_gflops(self) -> float:
        """The rate of a large float32 product."""
        return gemm_gflops(self.device)

    def sizes(self) -> Iterator[tuple[Case, str, list[dict[str, Any]]]]:
        """(case, type, rows) of every case of every size, in every type; smallest sizes first."""
        for size in sorted(self.options.voxels):
            if self.what == "network" and size >= _LARGE:
                self._probe()
            for number, case in enumerate(self._cases(size)):
                for dtype in self.options.dtypes:
                    yield case, dtype, self._rows(case, number, dtype)

    def _cases(self, size: int) -> Iterator[Case]:
        coords = rooms(size).to(self.device)
        if self.what == "conv":
            yield from (convolution(coords, channels) for channels in self.options.channels)
        elif self.what == "network":
            yield network(coords, self.options.variant)
        else:
            yield kernel_maps(coords)

    def _probe(self) -> None:
        """Two small sizes for those whose memory cannot be foretold yet."""
        for size in _PROBES:
            (case,) = self._cases(size)
            for phase, work in case.phases.items():
                for dtype in self.options.dtypes:
                    for name in self.names:
                        kind = (case.name, name, dtype, phase)
                        if not self.guard.is_sure(kind):
                            grown = warm_up(partial(work, name, TYPES[dtype]), self.device).grown_mb
                            self.guard.learn(kind, case.voxels, grown)

    def _rows(self, case: Case, number: int, dtype: str) -> list[dict[str, Any]]:
        rows = []
        for phase, work in case.phases.items():
            kinds = {name: (case.name, name, dtype, phase) for name in self.names}
            reasons = {name: self.guard.refusal(kinds[name], case.voxels) for name in self.names}
            works = {n: partial(work, n, TYPES[dtype]) for n, reason in reasons.items() if reason is None}
            timings = take_turns(works, self.options.repeats, self.device)
            for name in self.names:
                timing = timings.get(name, Timing(failure=reasons[name]))
                self.guard.learn(kinds[name], case.voxels, timing.grown_mb)
                rows.append(self._row(case, name, dtype, phase, timing))
        # Behind all phases: what float64 leaves in memory would count as theirs.
        size = min(case.voxels, self.options.parity_voxels)
        for row in rows:
            compared = self.options.parity and row["skipped"] is None
            key = (number, row["engine"], dtype, row["phase"])
            row["max_error"] = self._errors(size)[key] if compared else None
            row["error_voxels"] = size if compared else None
        return rows

    def _row(self, case: Case, name: str, dtype: str, phase: str, timing: Timing) -> dict[str, Any]:
        measured = timing.failure is None
        gflop = case.gflop * _PHASES[phase]
        return {
            "case": case.name,
            "engine": name,
            "dtype": dtype,
            "phase": phase,
            "voxels": case.voxels,
            "median_s": timing.median_s if measured else None,
            "min_s": timing.min_s if measured else None,
            "spread": timing.spread if measured else None,
            "peak_mb": timing.peak_mb,
            "gflop": gflop,
            "of_gemm": gflop / timing.min_s / self.limit_gflops if measured else None,
            "skipped": timing.failure,
        }

    def _errors(self, size: int) -> dict[_Key, float]:
        """Relative errors of every case, engine, type and phase on a room of a size, computed once."""
        if size not in self._found:
            self._found[size] = {}
            for number, case in enumerate(self._cases(size)):
                for phase, work in case.phases.items():
                    exact = work(JUDGE, torch.float64)
                    for name, dtype in itertools.product(self.names, self.options.dtypes):
                        difference = work(name, TYPES[dtype]).double() - exact
                        error = float(difference.norm() / exact.norm().clamp(min=1e-300))
                        self._found[size][number, name, dtype, phase] = error
        return self._found[size]
