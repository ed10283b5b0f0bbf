"""The residues of the backbone: their names, motion and colours, and which one is pointed out."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoscope.data import InputError, Mesh, Structure
from cryoscope.session.disagreement_file import known_disagreement_A, load_disagreement
from cryoscope.session.jobs import Job
from cryoscope.session.opening import reporting
from cryoscope.session.records import ShownState, StructureView
from cryoscope.session.shown import LARGE_RESIDUES, LARGE_TUBE, TUBE, backbone_trace, in_style
from cryoscope.session.state import Session

ColourBy = Literal["displacement", "motion", "b_factor", "disagreement", "chain"]
COLOURS_BY: tuple[str, ...] = get_args(ColourBy)
TITLES = {
    "displacement": "displacement in this state (Å)",
    "motion": "RMS motion over the run (Å)",
    "b_factor": "B-factor of the model (Å²)",
    "disagreement": "disagreement between half-sets (Å)",
    "chain": "chain",
}
#: Particles whose states the motion over the run is measured from, and the seed they are drawn by.
MOTION_STATES, MOTION_SEED = 200, 0
_REACH_A = 4.0
_SMALLEST_RANGE_A = 2.0
_traces: weakref.WeakKeyDictionary[StructureView, Structure] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class ResidueTable:
    """The residues of the backbone trace, in its order; all columns (n,).

    Attributes
    ----------
    letter, name, chain, number
        One-letter code, residue name, chain, and number with insertion code.
    chain_place
        0-based place of the chain among the chains.
    """

    letter: NDArray[np.str_]
    name: NDArray[np.str_]
    chain: NDArray[np.str_]
    number: NDArray[np.str_]
    chain_place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.letter)

    def label(self, place: int) -> str:
        """E.g. ``chain A, GLY 45``."""
        return f"chain {self.chain[place]}, {self.name[place]} {self.number[place]}"


def residue_trace(session: Session) -> Structure | None:
    """The backbone trace of the run, or of the open structure while there is no run; or None."""
    run, structure = session.snapshot("run", "structure")
    if run is not None:
        reference: Structure | None = run.reference
        # A run whose states are maps may keep a structure too, which does not move with them.
        return None if run.bead_count == 0 else reference
    if structure is None:
        return None
    if structure not in _traces:
        _traces[structure] = backbone_trace(structure.structure)
    return _traces[structure]


def residue_table(session: Session) -> ResidueTable | None:
    """The residues that there are, or None for a run without atoms."""
    from cryoscope.io.sequence import one_letter_codes

    trace = residue_trace(session)
    if trace is None or len(trace) == 0:
        return None
    numbers = np.char.add(trace.residue_id.astype(np.str_), np.char.strip(trace.insertion_code))
    chains = list(dict.fromkeys(trace.chain_id.tolist()))
    place = {chain: number for number, chain in enumerate(chains)}
    return ResidueTable(
        one_letter_codes(trace.residue_name),
        trace.residue_name,
        trace.chain_id,
        numbers,
        np.array([place[chain] for chain in trace.chain_id.tolist()], dtype=np.int64),
    )


def residue_values(session: Session, by: str) -> NDArray[np.float64] | None:
    """(n,) what the residues are coloured by, in Å or Å² (or the place of the chain); or None."""
    trace, shown = residue_trace(session), session.shown
    if trace is None:
        return None
    values: NDArray[np.floating] | NDArray[np.int64] | None
    match by:
        case "displacement":
            values = None if shown is None else shown.displacement_A
        case "motion":
            values = session.residue_motion
        case "b_factor":
            values = trace.b_factor_A2
        case "disagreement":
            values = known_disagreement_A(trace)
        case _:
            table = residue_table(session)
            values = None if table is None else table.chain_place
    if values is None or len(values) != len(trace):
        return None
    return np.asarray(values, dtype=np.float64)


def backbone_mesh(session: Session, shown: ShownState) -> Mesh:
    """The backbone of a state with the values that it is to be coloured by."""
    from cryoscope.analysis.backbone import chain_breaks, tube_values

    by, trace = session.backbone_colour, residue_trace(session)
    if trace is not None and len(trace) == len(shown.coords_A):
        shown = in_style(shown, trace, session.scene.backbone)
    if by == "displacement" or trace is None or len(trace) != len(shown.coords_A):
        return shown.backbone
    values = residue_values(session, by)
    if values is None:
        return shown.backbone
    samples, sides = TUBE if len(trace) <= LARGE_RESIDUES else LARGE_TUBE
    breaks = chain_breaks(trace.coords_A, trace.chain_id, trace.residue_id)
    shades = tube_values(breaks, values, samples=samples, sides=sides, blended=by != "chain")
    if len(shades) != len(shown.backbone.vertices_A):
        return shown.backbone
    return replace(shown.backbone, values=shades)


def colour_range(session: Session, by: str) -> float:
    """The value at the upper end of the colours; they begin at 0."""
    values = residue_values(session, by)
    if values is None or by == "chain":
        return 0.0
    finite = values[np.isfinite(values)]
    smallest = _SMALLEST_RANGE_A if by in ("displacement", "motion") else 1.0
    return max(float(np.max(finite, initial=0.0)), smallest)


def colour_backbone(session: Session, by: str) -> None:
    """Colour the backbone by ``displacement``, ``motion``, ``b_factor``, ``disagreement`` or
    ``chain``.

    ``motion`` is measured first where it is not known yet; ``disagreement`` is what the half-set
    control of the run wrote beside it.
    """  # noqa: D205
    with reporting(session):
        if by not in COLOURS_BY:
            raise InputError(f"the backbone has no colours by {by!r}", cure=", ".join(COLOURS_BY))
        trace = residue_trace(session)
        if trace is None:
            raise InputError("there is no atomic model", cure="Open a .pdb or .cif model.")
        if by == "disagreement":
            load_disagreement(trace, None if session.run is None else session.run.folder)
        session.backbone_colour = by
        if by == "motion" and session.residue_motion is None:
            measure_motion(session)


def mark_residue(session: Session, place: int | None) -> None:
    """Point out a residue (its place in the trace, from 0), and name it; None for none."""
    with reporting(session):
        if place is None:
            session.marked_residue = None
            return
        table = residue_table(session)
        if table is None or not 0 <= place < len(table):
            raise InputError("there is no such residue")
        session.marked_residue = int(place)
        session.notify("info", residue_text(session, place))


def residue_text(session: Session, place: int, *, short: bool = False) -> str:
    """One line on a residue: its name, and how far it moved."""
    table = residue_table(session)
    if table is None or not 0 <= place < len(table):
        return ""
    parts = [table.label(place)]
    moved = residue_values(session, "displacement")
    if moved is not None and len(session.shown.z if session.shown is not None else ()):
        words = "moved" if short else "from the reference in this state"
        parts.append(f"{moved[place]:.1f} Å {words}")
    motion = residue_values(session, "motion")
    if motion is not None:
        parts.append(f"RMS {motion[place]:.1f} Å" + ("" if short else " over the run"))
    return "; ".join(parts)


def residue_at_ray(session: Session, origin_A: ArrayLike, direction: ArrayLike) -> int | None:
    """The residue of the shown state that a line of sight (xyz) meets first, or None."""
    from cryoscope.analysis.picking import point_at_ray

    shown, trace = session.shown, residue_trace(session)
    if shown is None or trace is None or len(trace) != len(shown.coords_A):
        return None
    return point_at_ray(shown.coords_A, origin_A, direction, within_A=_REACH_A)


def residue_place_A(session: Session, place: int | None) -> NDArray[np.float32] | None:
    """(3,) xyz of a residue in the shown state, or None."""
    shown = session.shown
    if place is None or shown is None or not 0 <= place < len(shown.coords_A):
        return None
    return np.asarray(shown.coords_A[place], dtype=np.float32)


def measure_motion(session: Session) -> None:
    """Measure how far every residue moves over the states of the run; returns at once."""

    def measure(job: Job) -> None:
        from cryoscope.analysis.trajectory import rms_motion_A

        coords_A, trace = _run_states(session, job)
        motion_A = rms_motion_A(coords_A)
        # Only if the run is still the one that was asked.
        session.revise(
            lambda: {"residue_motion": motion_A} if residue_trace(session) is trace else {}
        )

    session.pool.submit("Measuring motion", measure, key="motion", text="Measuring motion")


def export_residues(session: Session, path: str | Path) -> None:
    """Write how far every residue moves over the states of the run as .csv; returns at once."""
    target = Path(path).expanduser()
    with reporting(session):
        if target.suffix.lower() != ".csv":
            raise InputError("residue tables are written as .csv", file=target, cure="Name it so.")

        def export(job: Job) -> None:
            from cryoscope.analysis.motion import ResidueMotion, motion_table, table_csv
            from cryoscope.io.atomic import write_text_atomic

            coords_A, trace = _run_states(session, job)
            rows = motion_table(coords_A, trace)
            job.check()
            write_text_atomic(target, table_csv(rows, ResidueMotion))
            session.notify("info", f"{len(rows):,} residues written to {target}")

        session.pool.submit("Exporting residues", export, text=f"Writing {target.name}")


def _run_states(session: Session, job: Job) -> tuple[NDArray[np.float32], Structure]:
    """(S, n, 3) states of particles drawn at random, and the trace at rest; for jobs."""
    from cryoscope.analysis.reduce import finite_rows

    trace, latents = residue_trace(session), session.latents
    if trace is None or session.run is None:
        raise InputError("no run with an atomic model is open", cure="Open such a run first.")
    rows = (
        np.zeros(0, dtype=np.int64) if latents is None else np.flatnonzero(finite_rows(latents.z))
    )
    if latents is None or len(rows) == 0:
        raise InputError("there are no latents yet", cure="Wait for the first latents of the run.")
    if len(rows) > MOTION_STATES:
        rng = np.random.default_rng(MOTION_SEED)
        rows = np.sort(rng.choice(rows, MOTION_STATES, replace=False))
    coords_A = session.decoder.states(latents.z[rows], job).coords_A
    if coords_A.shape[1] != len(trace):
        raise InputError(
            f"the model has {coords_A.shape[1]:,} beads, but the reference structure has "
            f"{len(trace):,} CA atoms",
            cure="Open the structure that the run was trained with.",
        )
    return coords_A, trace
