"""The controls of a careful user: half-sets, noise alone, a wrong reference, held-out images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.disagreement import Disagreement, ResidueDisagreement
from cryoscope.analysis.motion import table_csv
from cryoscope.analysis.reduce import finite_rows
from cryoscope.analysis.trajectory import rms_motion_A
from cryoscope.data import InputError, Structure
from cryoscope.io.atomic import write_text_atomic
from cryoscope.io.relion import read_particles
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure, write_structure
from cryoscope.training.config import DataConfig, TrainConfig
from cryoscope.training.decoding import load_decoder
from cryoscope.training.encoding import TrainedRun, as_trained, load_trained_run
from cryoscope.training.reference import place_structure

#: Trains a configuration in a run folder, or goes on there; False where the user stopped it.
Train = Callable[[TrainConfig, Path], bool]
Progress = Callable[[str, int, int], None]
#: The noise-only control passes below this RMS deformation.
NOISE_LIMIT_A = 0.3
#: Share of the particles held out by a control that needs some and was given none.
HELD_OUT = 0.1
#: Figures of large sets are taken from so many particles.
MOST_PARTICLES = 20_000
_CHUNK = 1024
_MARGIN_A, _SHARE_OF_BOX = 10.0, 0.95


@dataclass(frozen=True)
class ControlResult:
    """What a control found.

    Attributes
    ----------
    figures
        Numbers by name, units in the names.
    files
        What was written.
    """

    figures: dict[str, Any]
    files: tuple[Path, ...] = field(default=())


def _quiet(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def halves(
    config: TrainConfig, out: Path, train: Train, progress: Progress = _quiet
) -> ControlResult | None:
    """Train two runs on the two half-sets and compare what they say about every residue.

    The runs are ``out/half1`` and ``out/half2``. Each encodes all particles and decodes its own
    latents, so that states are matched by the particle, whatever the axes of either latent mean.

    Returns
    -------
    Figures, ``disagreement.csv`` and ``disagreement.pdb`` (B-factor: the disagreement in A); None
    where training was stopped.
    """
    runs = {name: out / name for name in ("half1", "half2")}
    for name, path in runs.items():
        if not train(_with_data(config, subset=name), path):
            return None
    found = compare_runs(runs["half1"], runs["half2"], progress)
    table, model = out / "disagreement.csv", out / "disagreement.pdb"
    write_text_atomic(table, table_csv(found.rows(), ResidueDisagreement))
    write_structure(model, replace(found.structure, b_factor_A2=found.per_residue_A))
    return ControlResult({"particles": found.count, **found.figures()}, (table, model))


def compare_runs(first: Path, second: Path, progress: Progress = _quiet) -> Disagreement:
    """What two runs of one structure and one particle file say about the same particles.

    Raises
    ------
    InputError
        If the runs have not the same residues or not the same particles.
    """
    z, decoders, uid = [], [], []
    for path in (first, second):
        trained = load_trained_run(path, progress=progress)
        latents = trained.encode()
        z.append(latents.z)
        uid.append(latents.uid)
        decoders.append(trained.decoder)
    traces = [decoder.trace_structure for decoder in decoders]
    if len(traces[0]) != len(traces[1]) or not np.array_equal(uid[0], uid[1]):
        raise InputError(
            f"{first.name} and {second.name} are not of the same residues and particles",
            file=second,
            cure="Compare runs of one structure and one particle file",
        )
    found = Disagreement(traces[0])
    for start in range(0, len(uid[0]), _CHUNK):
        rows = slice(start, start + _CHUNK)
        found.add(decoders[0].coords_A(z[0][rows]), decoders[1].coords_A(z[1][rows]))
        progress("comparing the halves", min(start + _CHUNK, len(uid[0])), len(uid[0]))
    return found


def noise(config: TrainConfig, out: Path, train: Train) -> ControlResult | None:
    """Train on noise with the spectrum of the images' own: nothing may move.

    The run is ``out/noise``. Returns None where training was stopped.
    """
    if not train(_with_data(config, control="noise"), out / "noise"):
        return None
    figures = deformation_figures(out / "noise")
    passed = figures["deformation_A"] < NOISE_LIMIT_A
    return ControlResult({**figures, "limit_A": NOISE_LIMIT_A, "passed": passed})


def wrong_reference(
    config: TrainConfig,
    out: Path,
    train: Train,
    wrong: Path | None = None,
    progress: Progress = _quiet,
) -> ControlResult | None:
    """Train with the reference and with a wrong one, and compare on images neither has seen.

    The runs are ``out/right`` and ``out/wrong``. Where the settings hold out no particles, a tenth
    is held out here.

    Parameters
    ----------
    wrong
        The wrong structure, in the frame of the right one. Without it, the reference's mirror
        image through the plane of its two longest axes: the same composition, bonds and nearly the
        same envelope in the same place, so that only what is finer than the envelope can tell.

    Returns
    -------
    Data terms per held-out image (nats for the likelihood; lower is better), their paired
    difference, and deformations; None where training was stopped.
    """
    share = config.data.held_out or HELD_OUT
    wrong_structure, radius_A = _wrong_structure(config.data, wrong)
    right_config = _with_data(config, held_out=share, particle_radius_A=radius_A)
    right_path, wrong_path = out / "right", out / "wrong"
    if not train(right_config, right_path):
        return None
    file = out / "wrong-reference.pdb"
    write_structure(file, wrong_structure)
    run = RunFolder.open(right_path)
    # Box, low-pass and contrast as the right run found them: only the structure is wrong.
    wrong_config = _with_data(as_trained(run, right_config), structure=str(file))
    if not train(wrong_config, wrong_path):
        return None
    right_cost, wrong_cost = (
        _held_out_cost(load_trained_run(path, progress=progress))
        for path in (right_path, wrong_path)
    )
    apart = wrong_cost - right_cost
    figures = {
        "held_out_particles": len(apart),
        "data_right": float(right_cost.mean()),
        "data_wrong": float(wrong_cost.mean()),
        "wrong_minus_right": float(apart.mean()),
        "standard_error": _standard_error(apart),
        "images_preferring_right": float((apart > 0).mean()),
    }
    for name, path in (("right", right_path), ("wrong", wrong_path)):
        figures |= {f"{k}_{name}": v for k, v in deformation_figures(path).items()}
    return ControlResult(figures, (file,))


def held_out_gap(run_path: Path, progress: Progress = _quiet) -> ControlResult:
    """Data term on images that a run never trained on against those it did.

    Raises
    ------
    InputError
        If the run held out no particles.
    """
    trained = load_trained_run(run_path, progress=progress)
    seen, unseen = trained.rows()
    if len(unseen) == 0:
        raise InputError(
            "the run held out no particles",
            file=run_path,
            cure="Train with --set data.held_out=0.1",
        )
    seen_cost = trained.data_term(_some(seen))
    unseen_cost = trained.data_term(_some(unseen))
    error = np.hypot(_standard_error(seen_cost), _standard_error(unseen_cost))
    return ControlResult(
        {
            "trained_particles": len(seen),
            "held_out_particles": len(unseen),
            "data_trained": float(seen_cost.mean()),
            "data_held_out": float(unseen_cost.mean()),
            "held_out_minus_trained": float(unseen_cost.mean() - seen_cost.mean()),
            "standard_error": float(error),
        }
    )


def deformation_figures(run_path: Path) -> dict[str, float]:
    """How far a run moves its reference: RMS over particles and residues, in A.

    ``deformation_A`` is measured from the reference, ``motion_A`` from each residue's mean
    position, and ``worst_residue_motion_A`` is the largest of the latter.
    """
    z = RunFolder.open(run_path).load_latents().z
    z = z[_some(np.flatnonzero(finite_rows(z)))]
    decoder = load_decoder(run_path)
    if len(z) == 0:
        raise InputError("the run has no latents yet", file=run_path, cure="Train for longer")
    coords_A = decoder.coords_A(z, chunk=_CHUNK)
    moved_A2 = ((coords_A - decoder.reference_A) ** 2).sum(-1, dtype=np.float64)
    motion_A = rms_motion_A(coords_A)
    return {
        "deformation_A": float(np.sqrt(moved_A2.mean())),
        "motion_A": float(np.sqrt((motion_A**2).mean())),
        "worst_residue_motion_A": float(motion_A.max()),
    }


def mirrored(structure: Structure) -> Structure:
    """The mirror image through the plane of the two longest axes, in the same place."""
    middle_A = structure.coords_A.mean(0)
    offset_A = structure.coords_A - middle_A
    _, axes = np.linalg.eigh(offset_A.T @ offset_A)
    shortest = axes[:, 0]
    return structure.with_coords(structure.coords_A - 2 * np.outer(offset_A @ shortest, shortest))


def _with_data(config: TrainConfig, **values: Any) -> TrainConfig:
    return replace(config, data=replace(config.data, **values))


def _wrong_structure(data: DataConfig, wrong: Path | None) -> tuple[Structure, float]:
    """The wrong structure in the frame of the poses, and one radius for both runs.

    With one radius the images, their normalisation and their noise are the same in both.
    """
    if not data.particles or not data.structure:
        raise InputError(
            "this control needs particles and a structure", cure="Name them (--structure)"
        )
    optics = read_particles(Path(data.particles)).optics[0]

    def placed(file: Path) -> Structure:
        return place_structure(read_structure(file), optics, data.structure_origin, file)

    right = placed(Path(data.structure))
    other = mirrored(right) if wrong is None else placed(wrong)
    if data.particle_radius_A > 0:
        return other, data.particle_radius_A
    reach_A = max(float(np.linalg.norm(one.coords_A, axis=1).max()) for one in (right, other))
    half_A = optics.box_size_px * optics.pixel_size_A / 2
    return other, min(reach_A + _MARGIN_A, _SHARE_OF_BOX * half_A)


def _held_out_cost(trained: TrainedRun) -> NDArray[np.float64]:
    return trained.data_term(_some(trained.rows()[1]))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 20,000 of the rows, always the same ones."""
    if len(rows) <= MOST_PARTICLES:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_PARTICLES, replace=False))


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
