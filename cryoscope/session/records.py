"""What the session shows of an open project: frozen records, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Mesh, Particles, Structure, Volume


class RunStatus(StrEnum):
    """What a run, or the runner that carries it out, is doing."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """Whether the run holds the trainer (another one cannot start)."""
        return self in (
            RunStatus.PREPARING,
            RunStatus.RUNNING,
            RunStatus.PAUSED,
            RunStatus.STOPPING,
        )


@dataclass(frozen=True, eq=False)
class ParticlesView:
    """The open particles. ``record`` gives access to images, poses and CTF.

    ``missing_images`` says what is wrong where the images cannot be read, and is empty elsewhere.
    """

    file: Path
    count: int
    box_size_px: int
    pixel_size_A: float
    has_poses: bool
    optics_groups: int
    record: Particles = field(repr=False)
    missing_images: str = ""

    @classmethod
    def of(cls, particles: Particles) -> ParticlesView:
        """The view of ``particles``."""
        from cryoscope.io.absent_images import AbsentImages

        images = particles.images
        return cls(
            file=particles.source.file,
            count=len(particles),
            box_size_px=particles.box_size_px,
            pixel_size_A=particles.pixel_size_A,
            has_poses=particles.poses is not None,
            optics_groups=len(particles.optics),
            record=particles,
            missing_images=str(images.problem) if isinstance(images, AbsentImages) else "",
        )


@dataclass(frozen=True, eq=False)
class StructureView:
    """The open atomic model."""

    path: Path
    structure: Structure = field(repr=False)
    residues: int
    chains: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, structure: Structure) -> StructureView:
        """The view of ``structure`` read from ``path``."""
        chains = tuple(dict.fromkeys(str(name) for name in structure.chain_id))
        return cls(path, structure, len(structure.residue_starts()), chains)


def _no_steps() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class LossHistory:
    """Loss terms against steps; NaN where a term was not reported.

    Attributes
    ----------
    step
        (k,) steps, increasing.
    terms
        (k,) values per image of every named term, ``"total"`` among them.
    """

    step: NDArray[np.int64] = field(default_factory=_no_steps, repr=False)
    terms: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, eq=False)
class RunView:
    """A training run, as it stands.

    Attributes
    ----------
    stage_text, done, total
        What is being prepared, and how far it is; ``total`` 0 means unknown.
    seconds_left
        NaN while unknown.
    motion_A
        RMS deformation of the last batches.
    message
        One line on how the run ended, or empty.
    device_text, contrast_text
        Where it trains and how the protein looks in the images, e.g. "CPU, 1 thread" and "protein
        bright, detected"; empty while unknown.
    reference
        One CA atom per bead of the reference, where the structure is known.
    bead_count
        Residues that a decoded state has; 0 where states are maps alone, -1 while unknown.
    ready
        Whether states can be decoded (the model is there, and the reference is read).
    viewing_share
        What part (0 to 1) of the trainer's time goes to whoever looks: decoding, live latents.
    epochs
        Epochs whose latents are kept, each with the step that they are of.
    attached
        Which other program trains the run, e.g. "process 4711"; empty where it is ours.
    model_problem
        Why none of its states can be decoded, and what to do; empty where they can be, or while
        the model is loaded.
    """

    folder: Path
    run_id: str = ""
    status: RunStatus = RunStatus.IDLE
    stage_text: str = ""
    done: int = 0
    total: int = 0
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    history: LossHistory = field(default_factory=LossHistory)
    images_per_s: float = 0.0
    seconds_left: float = float("nan")
    motion_A: float = 0.0
    message: str = ""
    device_text: str = ""
    contrast_text: str = ""
    reference: Structure | None = field(default=None, repr=False)
    bead_count: int = -1
    ready: bool = False
    viewing_share: float = 0.0
    epochs: tuple[tuple[int, int], ...] = ()
    attached: str = ""
    model_problem: str = ""

    @property
    def trains_here(self) -> bool:
        """Whether the run is being trained by this session, which can train only one."""
        return self.status.active and not self.attached


@dataclass(frozen=True, eq=False)
class ShownState:
    """What the 3-D view shows.

    Attributes
    ----------
    request_id
        Grows with every request; 0 for what was read from a file.
    z
        (d,) latent that was decoded; empty for what was read from a file.
    coords_A, displacement_A
        (n, 3) beads and (n,) how far each lies from the reference.
    level
        Density at which ``isosurface`` was drawn.
    label
        Where it comes from: decoded by the model, reconstructed, or read from a file.
    sigma, spread, enclosed_A3
        ``level`` in standard deviations above the mean of the map, that standard deviation in the
        map's units, and the volume above the level in A^3.
    full_box_px, preview_box_px
        Box of the run's own maps, and that of a map that it decodes quickly; 0 while unknown.
    surface_step
        ``isosurface`` is that of every so many voxels; 1: of all.
    """

    request_id: int
    z: NDArray[np.float32]
    coords_A: NDArray[np.float32] = field(repr=False)
    displacement_A: NDArray[np.float32] = field(repr=False)
    backbone: Mesh = field(repr=False)
    density: Volume | None = field(repr=False)
    isosurface: Mesh | None = field(repr=False)
    level: float
    label: str
    sigma: float = 0.0
    spread: float = 0.0
    enclosed_A3: float = 0.0
    full_box_px: int = 0
    preview_box_px: int = 0
    surface_step: int = 1

    @property
    def box_text(self) -> str:
        """In which box the map was decoded, e.g. "48³ preview of 128³" or "full 128³".

        And of how many of its voxels the surface is, where that is not all.
        """
        if self.density is None:
            return ""
        every = f"surface of every {_ordinal(self.surface_step)} voxel"
        parts = (self._box_words, every if self.surface_step > 1 else "")
        return ", ".join(part for part in parts if part)

    @property
    def _box_words(self) -> str:
        assert self.density is not None
        if self.full_box_px == 0:
            return ""
        box_px = self.density.values.shape[0]
        if box_px >= self.full_box_px:
            return f"full {box_px}³"
        kind = "preview" if box_px >= self.preview_box_px else "coarse preview"
        return f"{box_px}³ {kind} of {self.full_box_px}³"


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


@dataclass(frozen=True)
class JobView:
    """Work in the background; ``total`` 0 means that its length is unknown."""

    name: str
    text: str
    done: int
    total: int
    cancellable: bool


@dataclass(frozen=True)
class Notice:
    """One line for the user. ``when`` is in seconds since the epoch."""

    level: Literal["info", "warning", "error"]
    text: str
    when: float


@dataclass(frozen=True)
class UndoState:
    """What undo and redo would do now; empty where there is nothing."""

    undo: str = ""
    redo: str = ""
