"""All that particles of a set may look like: conformations times compositions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.data import Optics, Trajectory
from cryoscope.simulation.composition import present_atoms
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.distributions import draw_frames, fraction_of_path, state_frames
from cryoscope.simulation.images import AtomImager
from cryoscope.simulation.optics_draw import generator
from cryoscope.simulation.sources import load_conformations


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Frames, counted through all conformations of the first composition, then of the next.

    Attributes
    ----------
    path
        The conformations; the last coordinate changes fastest.
    shape
        Conformations along each coordinate of the motion.
    closed
        Whether the last conformation is followed by the first.
    present
        (compositions, n) which atoms there are.
    """

    path: Trajectory
    shape: tuple[int, ...]
    closed: bool
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.path) * len(self.present)

    @property
    def coordinate_of_frame(self) -> NDArray[np.float64]:
        """(frames, k) position along every coordinate, 0 to 1; a circle's ends before 1."""
        steps = [
            np.arange(count) / count if self.closed else fraction_of_path(count)
            for count in self.shape
        ]
        grid = [axis.ravel() for axis in np.meshgrid(*steps, indexing="ij")]
        return np.tile(np.stack(grid, axis=1), (len(self.present), 1))

    def draw(self, config: SimulationConfig) -> NDArray[np.int64]:
        """(N,) the frame of every particle; coordinates and composition are independent."""
        rng = generator(config.seed, "frames")
        conformation = np.zeros(config.particles, dtype=np.int64)
        for count in self.shape:
            place = draw_frames(
                config.distribution,
                config.particles,
                count,
                rng,
                states=config.states,
                maxima=config.maxima,
                closed=self.closed,
            )
            conformation = conformation * count + place
        if not config.compositions:
            return conformation
        share = np.array([composition.share for composition in config.compositions])
        composition = generator(config.seed, "compositions").choice(
            len(share), config.particles, p=share / share.sum()
        )
        return np.asarray(composition * len(self.path) + conformation)

    def states(self, config: SimulationConfig) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
        """(frames,) state of each frame, -1 between discrete ones, and the names of all states.

        States are the compositions, the discrete places on the motion, or every pair of the two.
        """
        places = np.zeros(len(self.path), dtype=np.int32)
        names = [""]
        if config.distribution == "discrete":
            at = [state_frames(config.states, count, closed=self.closed) for count in self.shape]
            used = np.ravel_multi_index(np.meshgrid(*at, indexing="ij"), self.shape).ravel()
            places[:] = -1
            places[used] = np.arange(len(used))
            names = [f"state {number}" for number in range(1, len(used) + 1)]
        mixed = [composition.name for composition in config.compositions] or [""]
        every = np.concatenate(
            [np.where(places < 0, -1, places + i * len(names)) for i in range(len(mixed))]
        )
        both = [", ".join(filter(None, pair)) for pair in ((m, n) for m in mixed for n in names)]
        return every.astype(np.int32), np.array(both if any(both) else [], dtype=np.str_)

    def imager(self, optics: Optics, b_factor_A2: float, device: torch.device) -> AtomImager:
        """What makes the images and maps of the frames."""
        return AtomImager.of(self.path, optics, b_factor_A2, device, self.present)


def load_ensemble(config: SimulationConfig) -> Ensemble:
    """Read, move and leave out what the settings say; errors as of ``load_conformations``."""
    path = load_conformations(config)
    several = config.motion == "hinges"
    return Ensemble(
        path=path,
        shape=(config.frames,) * len(config.hinges) if several else (len(path),),
        closed=config.motion == "circle",
        present=present_atoms(path.structure, config.compositions),
    )
