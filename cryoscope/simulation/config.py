"""What to simulate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from cryoscope.data import InputError
from cryoscope.simulation.composition import Composition, check_compositions
from cryoscope.simulation.distributions import DISTRIBUTIONS, MAXIMA, Distribution
from cryoscope.simulation.matching import Align

Bounds = tuple[float, float]
Motion = Literal["path", "hinges", "circle"]

MOTIONS: tuple[Motion, ...] = get_args(Motion)

_BOUNDS: dict[str, Bounds] = {
    "frames": (1, 10_000),
    "particles": (1, 20_000_000),
    "box_px": (16, 2048),
    "pixel_size_A": (0.1, 50.0),
    "snr": (0.0, 1e9),
    "states": (1, 10_000),
    "shift_px": (0.0, 512.0),
    "defocus_A": (100.0, 200_000.0),
    "defocus_log_sd": (0.0, 3.0),
    "defocus_min_A": (0.0, 200_000.0),
    "defocus_max_A": (0.0, 200_000.0),
    "astigmatism_A": (0.0, 20_000.0),
    "voltage_kv": (20.0, 3000.0),
    "spherical_aberration_mm": (0.0, 20.0),
    "amplitude_contrast": (0.0, 1.0),
    "b_factor_A2": (0.0, 5000.0),
    "seed": (0, 2**63 - 1),
    "stacks": (1, 10_000),
}


@dataclass(frozen=True)
class SimulationConfig:
    """Everything a simulated set needs to be made again.

    Attributes
    ----------
    structures
        Atomic models (.pdb, .cif). One with a single model: no motion. One with several models: the
        models are the frames. Two or more: a relaxed path through them.
    trajectory, topology
        A ``.dcd`` file and its ``.psf``, ``.pdb`` or ``.cif``, in place of ``structures``.
    motion
        ``"path"``: the models, the trajectory, or a relaxed path through the structures.
        ``"hinges"``: parts of one structure turn independently about ``hinges``, one coordinate
        each. ``"circle"``: a closed loop: once round about one hinge, or about two of them in turn
        (the ellipse in the plane of the two angles).
    hinges
        ``CHAIN:RESIDUE``: the part of the chain after that residue turns about the line from its
        CA to the next.
    angles_deg
        Turned by the last frame, one for every hinge or one for all; a circle about one hinge
        takes 360.
    frames
        Frames of a relaxed path, along each coordinate of ``"hinges"``, and once round a circle;
        models and trajectories keep theirs.
    compositions
        What is left out in which share of the particles, whatever their conformation.
    align
        How a path's end is laid on its start: over ``"all"`` CA or the still ``"core"``.
    particles
        Number of images.
    box_px, pixel_size_A
        Sampling of the images; the box is even.
    snr
        Variance of the noise-free images over the whole box, averaged over particles, divided by
        the variance of the noise (convention 10); 0 leaves noise alone.
    distribution, states
        Where along the path (along every coordinate) particles are; ``states`` is for
        ``"discrete"``.
    maxima
        ``"noncontiguous"``: where on the path, 0 to 1, its groups of particles are.
    shift_px
        Standard deviation of the shift in x and in y (normal).
    known_shifts
        Whether the particle file tells the shifts; else it says zero, and only the truth knows.
    ctf
        Whether there is a microscope at all; without, the images are plain projections and the
        particle file describes a CTF of 1 (no defocus, no aberration, amplitude contrast 1).
    defocus_A, defocus_log_sd, defocus_min_A, defocus_max_A
        Median and standard deviation of the natural logarithm of the defocus; values beyond the
        limits are set to them.
    astigmatism_A
        Standard deviation of ``defocus_u - defocus_v`` (half-normal), at a uniform angle.
    voltage_kv, spherical_aberration_mm, amplitude_contrast
        The microscope.
    b_factor_A2
        Blur of every atom ``exp(-B k^2 / 4)``, in place of the model's own B-factors; the same as
        an envelope of the images.
    contrast
        Protein ``"bright"`` or ``"dark"``.
    stacks
        Number of ``.mrcs`` files the images are spread over.
    device
        ``cpu``, ``cuda`` or ``cuda:N``.
    """

    structures: tuple[str, ...] = ()
    trajectory: str = ""
    topology: str = ""
    motion: Motion = "path"
    hinges: tuple[str, ...] = ()
    angles_deg: tuple[float, ...] = (60.0,)
    frames: int = 50
    compositions: tuple[Composition, ...] = ()
    align: Align = "all"
    particles: int = 10_000
    box_px: int = 64
    pixel_size_A: float = 1.6
    snr: float = 0.1
    distribution: Distribution = "uniform"
    states: int = 5
    maxima: tuple[float, ...] = MAXIMA
    shift_px: float = 1.5
    known_shifts: bool = True
    ctf: bool = True
    defocus_A: float = 15_000.0
    defocus_log_sd: float = 0.3
    defocus_min_A: float = 5_000.0
    defocus_max_A: float = 30_000.0
    astigmatism_A: float = 200.0
    voltage_kv: float = 300.0
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.1
    b_factor_A2: float = 60.0
    contrast: Literal["bright", "dark"] = "bright"
    seed: int = 0
    stacks: int = 1
    device: str = "cpu"

    def check(self) -> None:
        """Raise :class:`InputError` naming the first setting that makes no sense."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(
                    f"setting {name} is {value:g}",
                    cure=f"Give a number from {low:g} to {high:g}",
                )
        if not (self.maxima and all(0.0 <= place <= 1.0 for place in self.maxima)):
            raise InputError(
                f"setting maxima is {list(self.maxima)}", cure="Give numbers from 0 to 1"
            )
        if self.box_px % 2:
            raise InputError(f"box_px is {self.box_px}, an odd number", cure="Give an even box")
        if self.defocus_min_A > self.defocus_max_A:
            raise InputError("defocus_min_A is above defocus_max_A", cure="Exchange them")
        if self.stacks > self.particles:
            raise InputError(
                f"{self.stacks} stacks for {self.particles} particles", cure="Give fewer stacks"
            )
        choices: dict[str, tuple[str, ...]] = {
            "distribution": DISTRIBUTIONS,
            "align": ("all", "core"),
            "motion": MOTIONS,
            "contrast": ("bright", "dark"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"setting {name} is {getattr(self, name)!r}",
                    cure=f"Choose one of {', '.join(allowed)}",
                )
        if bool(self.structures) == bool(self.trajectory):
            raise InputError(
                "what to project is not clear",
                cure="Give either structures or a trajectory with its topology",
            )
        if bool(self.trajectory) != bool(self.topology):
            raise InputError(
                "a trajectory has no atom names, a topology no motion",
                cure="Give --trajectory and --topology together",
            )
        self._check_motion()
        check_compositions(self.compositions)

    def _check_motion(self) -> None:
        if self.motion == "path":
            if self.hinges:
                raise InputError(
                    "a path has no hinges", cure="Choose --motion hinges or --motion circle"
                )
            return
        if len(self.structures) != 1:
            raise InputError(
                f"motion {self.motion} turns parts of one structure, not of "
                f"{len(self.structures) or 'a trajectory'}",
                cure="Give one --structure",
            )
        most = 2 if self.motion == "circle" else 3
        if not 1 <= len(self.hinges) <= most:
            raise InputError(
                f"motion {self.motion} has {len(self.hinges)} hinges",
                cure=f"Give --hinge CHAIN:RESIDUE one to {most} times",
            )
        if len(self.angles_deg) not in (1, len(self.hinges)):
            raise InputError(
                f"{len(self.angles_deg)} angles for {len(self.hinges)} hinges",
                cure="Give one angle for every hinge, or one for all",
            )
        if not all(math.isfinite(angle) and 0 < abs(angle) <= 360 for angle in self.angles_deg):
            raise InputError(
                f"setting angles_deg is {list(self.angles_deg)}",
                cure="Give angles up to 360 degrees, not 0",
            )
        self._check_frames()

    def _check_frames(self) -> None:
        coordinates = len(self.hinges) if self.motion == "hinges" else 1
        if self.frames < 2 or self.frames**coordinates > _BOUNDS["frames"][1]:
            raise InputError(
                f"{self.frames} frames along each of {coordinates} coordinates",
                cure=f"Give from 2 frames to {_BOUNDS['frames'][1]:,.0f} of all combinations",
            )
        if self.motion == "circle" and self.distribution == "cooperative":
            raise InputError(
                "a circle has no ends at which particles could gather",
                cure="Choose the distribution uniform, noncontiguous or discrete",
            )

    def to_json(self) -> dict[str, Any]:
        """All settings as plain JSON values."""
        values = asdict(self)
        for name in ("structures", "maxima", "hinges", "angles_deg", "compositions"):
            values[name] = list(values[name])
        for composition in values["compositions"]:
            composition["without"] = list(composition["without"])
        return values
