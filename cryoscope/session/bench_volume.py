"""``cryoscope bench volume``: the map network, and cryoDRGN, on data whose truth is known.

Every data set and run is kept below one folder: what is there already is not made again, and a
bench that was stopped goes on where it stopped. Figures are measured anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.io.run_folder import RunFolder
from cryoscope.session.bench_atomic_settings import differences, with_options
from cryoscope.session.bench_goals import BenchOutcome
from cryoscope.session.bench_oracle import oracle_of
from cryoscope.session.bench_runs import run_cases, speed_of, trained_run
from cryoscope.session.bench_sets import Progress, SimulatedSet
from cryoscope.session.bench_volume_cases import VolumeCase, scale_of
from cryoscope.session.bench_volume_data import (
    Maps,
    backprojection,
    frame_maps,
    make_set,
    mean_map,
    sampled_particles,
)
from cryoscope.session.bench_volume_figures import (
    BACKPROJECTED,
    MEAN_MAP,
    latent_figures,
    latent_floors,
    map_figures,
    map_floors,
    oracle_floors,
)
from cryoscope.session.bench_volume_peer import Peer
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import preset

_PRESET = "cryodrgn"


@dataclass
class VolumeOutcome(BenchOutcome):
    """What came of one case."""

    case: VolumeCase


@dataclass(frozen=True)
class _Truth:
    """True maps of the sampled particles, and the floors that they set."""

    rows: NDArray[np.int64]
    maps: list[Maps]
    floors: dict[str, dict[str, float]]


def run(
    cases: tuple[VolumeCase, ...],
    scale: str,
    out: Path,
    *,
    peer: Path | None = None,
    device: str = "auto",
    progress: Progress = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    after_each: Callable[[dict[str, VolumeOutcome]], None] = lambda outcomes: None,
) -> dict[str, VolumeOutcome]:
    """Run cases and measure them; a case that fails says why and the others go on.

    Parameters
    ----------
    cases, scale
        See :mod:`cryoscope.session.bench_volume_cases`.
    out
        Folder of data sets and runs.
    peer
        Interpreter that has cryoDRGN, for the cases that it trains.
    device
        Of our training; cryoDRGN takes a GPU where it finds one.
    progress, should_stop
        Told what is done; asked whether to end.
    after_each
        Given all outcomes so far.

    Raises
    ------
    InputError
        There is no cryoDRGN with that interpreter.
    BenchStopped
        ``should_stop`` said so.
    """
    import torch

    program = None if peer is None else Peer(peer, torch.get_num_threads())
    bench = _Bench(scale, out, program, device, progress, should_stop)
    return run_cases((VolumeOutcome(case) for case in cases), bench.fill, after_each)


@dataclass(frozen=True)
class _Bench:
    scale: str
    out: Path
    peer: Peer | None
    device: str
    progress: Progress
    should_stop: Callable[[], bool]
    known: dict[Path, _Truth] = field(default_factory=dict)

    def fill(self, outcome: VolumeOutcome) -> None:
        """Make what a case needs, train, measure."""
        case = outcome.case
        made = make_set(case, self.scale, self.out, self.progress, self.should_stop)
        config = self._config(case, made)
        if case.program == "cryoscope":
            outcome.overrides = differences(preset(_PRESET), config)
            latents, volumes, outcome.speed = self._ours(case, config, made)
        else:
            latents, volumes, outcome.speed = self._theirs(case, config, made)
        self.progress(f"measuring {case.name}", 0, 0)
        outcome.figures["images_per_s"] = outcome.speed["images_per_s"]
        outcome.figures |= latent_figures(case, latents, made)
        outcome.floors |= latent_floors(case, latents, made)
        if case.measure != "speed":
            truth = self._truth(case, made)
            for floors in (truth.floors, self._oracle(case, made)):
                for figure, values in floors.items():
                    outcome.floors.setdefault(figure, {}).update(values)
            outcome.figures |= map_figures(
                volumes(latents[truth.rows]), truth.maps, made.settings.pixel_size_A
            )

    def _config(self, case: VolumeCase, made: SimulatedSet) -> TrainConfig:
        size = scale_of(case, self.scale)
        widths = [size.width] * (size.layers + 1)
        options: dict[str, Any] = {
            "data.box_size_px": size.box_px,
            "encoder.widths": widths,
            "volume.widths": widths,
            "optimiser.epochs": size.epochs,
            "optimiser.batch_size": size.batch_size,
            "optimiser.learning_rate": size.learning_rate,
            "optimiser.final_learning_rate": size.learning_rate,
            "latent.dim": case.zdim,
            "loss.kl_weight": 1.0 / case.zdim,
            **case.options,
            "data.particles": str(made.star.resolve()),
            "device": self.device,
        }
        return with_options(preset(_PRESET), options)

    def _ours(
        self, case: VolumeCase, config: TrainConfig, made: SimulatedSet
    ) -> tuple[NDArray[np.floating], Callable[..., Iterable[Maps]], dict[str, Any]]:
        from cryoscope.training.decoding import load_decoder

        count = len(made.truth)
        run_path = trained_run(case.name, config, self.out, count, self.progress, self.should_stop)
        decoder = load_decoder(run_path)

        def volumes(z: NDArray[np.floating]) -> Iterator[Maps]:
            for volume in decoder.volumes(z):
                yield volume.values

        return RunFolder.open(run_path).load_latents().z, volumes, speed_of(run_path)

    def _theirs(
        self, case: VolumeCase, config: TrainConfig, made: SimulatedSet
    ) -> tuple[NDArray[np.floating], Callable[..., Iterable[Maps]], dict[str, Any]]:
        assert self.peer is not None  # its cases are only chosen with it
        run = self.peer.trained(case.name, config, made, self.out, self.progress, self.should_stop)

        def volumes(z: NDArray[np.floating]) -> Iterator[Maps]:
            return run.volumes(z, made.settings.pixel_size_A, self.should_stop)

        return run.latents(), volumes, run.speed(len(made.truth))

    def _oracle(self, case: VolumeCase, made: SimulatedSet) -> dict[str, dict[str, float]]:
        oracle = oracle_of(made, scale_of(case, self.scale).oracle_particles, self.progress)
        return {} if oracle is None else oracle_floors(case, oracle, made)

    def _truth(self, case: VolumeCase, made: SimulatedSet) -> _Truth:
        """The same for all programs that train on one set."""
        if made.folder not in self.known:
            rows = sampled_particles(made, scale_of(case, self.scale).sampled)
            frame = made.truth.frame_of_particle
            maps = frame_maps(made, frame.tolist())
            sampled = [maps[int(f)] for f in frame[rows]]
            homogeneous = {MEAN_MAP: mean_map(made, maps), BACKPROJECTED: backprojection(made)}
            floors = map_floors(homogeneous, sampled, made.settings.pixel_size_A)
            self.known[made.folder] = _Truth(rows, sampled, floors)
        return self.known[made.folder]
