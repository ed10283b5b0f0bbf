"""``cryoscope bench atomic``: the published atomic methods on data whose truth is known.

Every data set, run and oracle is kept below one folder: what is there already is not made again,
and a bench that was stopped goes on where it stopped. Figures are measured anew each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.floors import DO_NOTHING, ORACLE, predictors_A
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.relion import read_particles
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure
from cryoscope.session import bench_runs
from cryoscope.session.bench_atomic_cases import (
    DATA_SETS,
    SCALE_OPTIONS,
    SCALES,
    Case,
    epochs_of,
)
from cryoscope.session.bench_atomic_data import (
    FIXTURES,
    MadeSet,
    make_set,
    reference_of,
)
from cryoscope.session.bench_atomic_figures import (
    coordinate_figures,
    latent_figures,
    latent_floors,
    oracle_figures,
)
from cryoscope.session.bench_atomic_settings import differences, with_options
from cryoscope.session.bench_goals import BenchOutcome
from cryoscope.session.bench_oracle import oracle_of
from cryoscope.session.bench_runs import run_cases, trained_run
from cryoscope.session.bench_sets import Progress
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import preset

if TYPE_CHECKING:
    from cryoscope.training.decoding import Decoder
    from cryoscope.training.trainer import Trainer

#: States decoded for a point of the accuracy-over-time curve, and the least time between points.
_CURVE_STATES, _CURVE_EVERY_S = 256, 5.0


@dataclass
class Outcome(BenchOutcome):
    """What came of one case."""

    case: Case


def run(
    cases: tuple[Case, ...],
    scale: str,
    out: Path,
    *,
    fixtures: Path = FIXTURES,
    device: str = "auto",
    progress: Progress = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    after_each: Callable[[dict[str, Outcome]], None] = lambda outcomes: None,
) -> dict[str, Outcome]:
    """Run cases and measure them; a case that fails says why and the others go on.

    Parameters
    ----------
    cases, scale
        See :mod:`cryoscope.session.bench_atomic_cases`.
    out
        Folder of data sets and runs.
    fixtures
        Folder of the trajectories and structures that Cryoscope does not ship.
    device
        Of the training.
    progress, should_stop
        Told what is done; asked whether to end.
    after_each
        Given all outcomes so far.

    Raises
    ------
    BenchStopped
        ``should_stop`` said so.
    """
    bench = _Bench(scale, out, fixtures, device, progress, should_stop)
    return run_cases((Outcome(case) for case in cases), bench.fill, after_each)


@dataclass(frozen=True)
class _Bench:
    scale: str
    out: Path
    fixtures: Path
    device: str
    progress: Progress
    should_stop: Callable[[], bool]
    known_floors: dict[tuple[Path, Path], dict[str, dict[str, float]]] = field(default_factory=dict)

    def fill(self, outcome: Outcome) -> None:
        """Make what a case needs, train, measure."""
        case = outcome.case
        made = make_set(
            DATA_SETS[case.data],
            self.scale,
            self.out,
            fixtures=self.fixtures,
            progress=self.progress,
            should_stop=self.should_stop,
        )
        reference = reference_of(case, made, self.out)
        config = self._config(case, made, reference)
        outcome.overrides = differences(preset(case.preset), config)
        run_path = trained_run(
            case.name,
            config,
            self.out,
            len(made.truth),
            self.progress,
            self.should_stop,
            lambda run_path: _Curve(run_path, made).add,
        )
        outcome.speed = speed_of(run_path)
        self._measure(outcome, made, reference, run_path)

    def _config(self, case: Case, made: MadeSet, reference: Path) -> TrainConfig:
        options: dict[str, Any] = {
            "data.box_size_px": SCALES[self.scale].box_px,
            "optimiser.epochs": epochs_of(case, self.scale),
            **SCALE_OPTIONS[self.scale].get(case.preset, {}),
            **case.options,
            "data.particles": str(made.star.resolve()),
            "data.structure": str(reference.resolve()),
            "device": self.device,
        }
        return with_options(preset(case.preset), options)

    def _measure(self, outcome: Outcome, made: MadeSet, reference: Path, run_path: Path) -> None:
        from cryoscope.training.decoding import load_decoder

        self.progress(f"measuring {outcome.case.name}", 0, 0)
        decoder = load_decoder(run_path)
        latents = RunFolder.open(run_path).load_latents()
        given = read_structure(reference)
        start_A = given.coords_A[given.alpha_carbons()]
        given_shift_A = _given_shifts(made)
        outcome.figures = {
            **coordinate_figures(decoder.coords_A(latents.z), made, start_A),
            **latent_figures(latents, made, given_shift_A),
        }
        for figure, floors in self._coordinate_floors(made, reference, start_A).items():
            outcome.floors[figure] = dict(floors)
        for figure, floors in latent_floors(latents, made, given_shift_A).items():
            outcome.floors.setdefault(figure, {}).update(floors)

    def _coordinate_floors(
        self, made: MadeSet, reference: Path, start_A: NDArray[np.float64]
    ) -> dict[str, dict[str, float]]:
        """Floors by figure; the same for all cases that start alike on one set."""
        key = (made.folder, reference)
        if key in self.known_floors:
            return self.known_floors[key]
        truth, frame = made.truth, made.truth.frame_of_particle
        floors: dict[str, dict[str, float]] = {}
        tables = {DO_NOTHING: np.broadcast_to(start_A, truth.coords_ca_A.shape)}
        if len(truth.t_of_frame) > 1:
            tables = predictors_A(start_A, truth.coords_ca_A, frame, modes=made.data.modes)
        for name, table in tables.items():
            structures_A = table.astype(np.float32)[frame]
            for figure, value in coordinate_figures(structures_A, made, start_A).items():
                floors.setdefault(figure, {})[name] = value
        oracle = oracle_of(made, SCALES[self.scale].oracle_particles, self.progress)
        if oracle is not None:
            for figure, value in oracle_figures(oracle, made, start_A).items():
                floors.setdefault(figure, {})[ORACLE] = value
        self.known_floors[key] = floors
        return floors


def speed_of(run_path: Path) -> dict[str, Any]:
    """Images per second (median), epochs, seconds of training; accuracy over time where known."""
    curve_file = _curve_file(run_path)
    curve = read_json_object(curve_file)["points"] if curve_file.is_file() else []
    reached = [seconds for seconds, rmsd_A in curve if rmsd_A < 1.5]
    return {
        **bench_runs.speed_of(run_path),
        "seconds_to_1.5_A": reached[0] if reached else None,
        "curve": curve,
    }


def _curve_file(run_path: Path) -> Path:
    return run_path.with_name(f"{run_path.name}.curve.json")


class _Curve:
    """Raw RMSD of a sample of particles while a run trains, by seconds of wall time."""

    def __init__(self, run_path: Path, made: MadeSet) -> None:
        self._path, self._made = run_path, made
        file = _curve_file(run_path)
        self._points: list[list[float]] = read_json_object(file)["points"] if file.is_file() else []
        before_s = self._points[-1][0] if self._points else 0.0
        self._began_s = time.monotonic() - before_s
        self._due_s = 0.0

    def add(self, trainer: Trainer, live: bool) -> None:
        """One more point from the latents that were just written."""
        now_s = time.monotonic()
        if trainer.decoder is None or now_s < self._due_s:
            return
        z = RunFolder.open(self._path).load_latents(live=live).z
        known = np.flatnonzero(np.isfinite(z).all(axis=1))
        if len(known) == 0:
            return
        rows = known[:: max(1, len(known) // _CURVE_STATES)]
        error_A = self._mean_rmsd_A(trainer.decoder, z, rows)
        self._points.append([round(now_s - self._began_s, 1), error_A])
        write_json(_curve_file(self._path), {"points": self._points})
        spent_s = time.monotonic() - now_s
        self._began_s += spent_s  # measuring is not training
        self._due_s = time.monotonic() + _CURVE_EVERY_S

    def _mean_rmsd_A(
        self, decoder: Decoder, z: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> float:
        from cryoscope.analysis.validate import mean_rmsd_A

        truth = self._made.truth
        return mean_rmsd_A(
            decoder.coords_A(z[rows]), truth.coords_ca_A, truth.frame_of_particle[rows]
        )


def _given_shifts(made: MadeSet) -> NDArray[np.floating]:
    """(N, 2) shifts that the particle file tells."""
    poses = read_particles(made.star).poses
    assert poses is not None  # the simulation writes them
    return poses.shift_A
