"""From decoded states, structures and maps to what the 3-D view draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Mesh, Provenance, Structure, Volume
from cryoscope.session.contours import Contour
from cryoscope.session.records import ShownState

STATES_LIMIT_BYTES = 8 * 1024**3
# Rings per residue and vertices per ring; nobody sees so many in a large molecule.
TUBE, LARGE_TUBE, LARGE_RESIDUES = (6, 8), (4, 6), 600


@dataclass(frozen=True, eq=False)
class DecodedStates:
    """What the worker answers: ``coords_A`` (states, n, 3), ``z`` (states, d), and maybe a map.

    ``full_box_px`` and ``preview_box_px`` are the boxes of the run's own maps and of quick ones;
    0 where the worker does not say.
    """

    coords_A: NDArray[np.float32]
    z: NDArray[np.float32]
    volume: NDArray[np.float32] | None
    voxel_size_A: float
    full_box_px: int = 0
    preview_box_px: int = 0


def read_decoded(path: Path) -> DecodedStates:
    """Read the file of a ``Decoded`` event.

    Raises
    ------
    InputError
        If it is missing, damaged, or its arrays do not belong together.
    """
    try:
        if path.stat().st_size > STATES_LIMIT_BYTES:
            raise ValueError("it is too large")
        with np.load(path, allow_pickle=False) as file:
            coords_A = np.asarray(file["coords_A"], dtype=np.float32)
            z = np.asarray(file["z"], dtype=np.float32)
            has_volume = "volume" in file.files
            volume = np.asarray(file["volume"], dtype=np.float32) if has_volume else None
            voxel_size_A = float(file["voxel_size_A"]) if has_volume else 0.0
            boxes_px = [
                int(file[name]) if name in file.files else 0
                for name in ("full_box_px", "preview_box_px")
            ]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"the decoded state cannot be read ({error})", file=path, cure="Ask for it again."
        ) from error
    shapes_fit = coords_A.ndim == 3 and coords_A.shape[2] == 3 and z.ndim == 2
    if not shapes_fit or len(z) != len(coords_A) or (volume is not None and volume.ndim != 3):
        raise InputError(
            "the decoded arrays do not belong together", file=path, cure="Ask for it again."
        )
    return DecodedStates(coords_A, z, volume, voxel_size_A, *boxes_px)


def backbone_trace(structure: Structure, nucleotide: str = "P") -> Structure:
    """The atom of every residue that carries its bead (CA, P or C1'), in file order."""
    from cryoscope.models.bead_kinds import find_residues

    residues = find_residues(structure, nucleotide)
    return residues.heavy.take(residues.anchor[residues.kept])


def shown_decoded(
    request_id: int,
    decoded: DecodedStates,
    reference: Structure | None,
    *,
    contour: Contour,
    run_id: str,
    epoch: int,
) -> ShownState:
    """The first decoded state, ready to be drawn.

    Raises
    ------
    InputError
        If the reference has not one CA atom per bead.
    """
    coords_A, z = decoded.coords_A[0], decoded.z[0]
    provenance = Provenance(
        "decoded", run_id=run_id, epoch=epoch, z=tuple(float(value) for value in z)
    )
    density = None
    if decoded.volume is not None:
        density = Volume.centred(decoded.volume, decoded.voxel_size_A, provenance)
    backbone, moved_A = _backbone(coords_A, reference)
    shown = ShownState(
        request_id, z, coords_A, moved_A, backbone, density, None, 0.0, provenance.label()
    )
    shown = replace(shown, full_box_px=decoded.full_box_px, preview_box_px=decoded.preview_box_px)
    return with_level(shown, contour)


def shown_structure(structure: Structure, file: Path) -> ShownState:
    """A structure as it was read, not deformed."""
    trace = backbone_trace(structure)
    coords_A = trace.coords_A.astype(np.float32)
    backbone, moved_A = _backbone(coords_A, trace)
    label = Provenance("file", detail=file.name).label()
    nowhere = np.zeros(0, dtype=np.float32)
    return ShownState(0, nowhere, coords_A, moved_A, backbone, None, None, 0.0, label)


def with_density(shown: ShownState | None, density: Volume, contour: Contour) -> ShownState:
    """The map ``density``, together with the backbone that is already shown."""
    if shown is None:
        nothing, empty = np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.float32)
        shown = ShownState(0, empty, nothing, empty, _no_mesh(), None, None, 0.0, "")
    label = density.provenance.label()
    there = replace(shown, density=density, label=label, full_box_px=0, preview_box_px=0)
    return with_level(there, contour)


def shown_again(
    z: NDArray[np.float32],
    coords_A: NDArray[np.float32],
    displacement_A: NDArray[np.float32],
    density: Volume | None,
    label: str,
    *,
    reference: Structure | None,
    contour: Contour,
) -> ShownState:
    """A state that was shown before, from what was kept of it.

    Without a ``reference`` of as many atoms, its trace has no chain breaks.
    """
    backbone = _no_mesh()
    if len(coords_A):
        same = reference is not None and len(reference) == len(coords_A)
        breaks = _breaks(reference if same else None, len(coords_A))
        backbone = _tube(coords_A, breaks, displacement_A)
    shown = ShownState(0, z, coords_A, displacement_A, backbone, density, None, 0.0, label)
    return with_level(shown, contour)


def with_level(shown: ShownState, contour: Contour) -> ShownState:
    """The same state with its isosurface at the level that the contour gives for its map.

    That of a large map is coarse at first: see :mod:`cryoscope.session.refining`.
    """
    from cryoscope.analysis.isosurface import enclosed_volume_A3, mean_and_spread
    from cryoscope.session.refining import first_surface

    if shown.density is None:
        return replace(shown, isosurface=None, level=0.0, surface_step=1)
    level = contour.level(shown.density)
    mean, spread = mean_and_spread(shown.density)
    surface, step = first_surface(shown.density, level)
    return replace(
        shown,
        isosurface=surface,
        surface_step=step,
        level=level,
        sigma=(level - mean) / spread if spread > 0 else 0.0,
        spread=spread,
        enclosed_A3=enclosed_volume_A3(shown.density, level),
    )


def _backbone(
    coords_A: NDArray[np.float32], reference: Structure | None
) -> tuple[Mesh, NDArray[np.float32]]:
    """The tube through the beads, coloured by how far each moved, and that distance."""
    from cryoscope.analysis.trajectory import displacement_A

    if len(coords_A) == 0:  # a model without atoms: its states are maps
        return _no_mesh(), np.zeros(0, dtype=np.float32)
    if reference is None:
        moved_A = np.zeros(len(coords_A), dtype=np.float32)
        return _tube(coords_A, _breaks(None, len(coords_A)), moved_A), moved_A
    if len(reference) != len(coords_A):
        raise InputError(
            f"the model has {len(coords_A):,} beads, but the reference structure has "
            f"{len(reference):,} CA atoms",
            cure="Open the structure that the run was trained with.",
        )
    breaks = _breaks(reference, len(coords_A))
    moved_A = np.asarray(displacement_A(coords_A, reference.coords_A), dtype=np.float32)
    return _tube(coords_A, breaks, moved_A), moved_A


def _breaks(reference: Structure | None, count: int) -> NDArray[np.bool_]:
    """Where the chain is interrupted between ``count`` residues."""
    from cryoscope.analysis.backbone import chain_breaks

    if reference is None:
        return np.zeros(max(count - 1, 0), dtype=np.bool_)
    # Breaks come from the reference: a deformation never changes the mesh's topology.
    return chain_breaks(reference.coords_A, reference.chain_id, reference.residue_id)


def in_style(shown: ShownState, trace: Structure, style: str) -> ShownState:
    """The state with its backbone as a ``tube`` (as it is) or a ``ribbon``."""
    from cryoscope.analysis.backbone import chain_breaks
    from cryoscope.analysis.ribbon import ribbon_mesh

    if style != "ribbon":
        return shown
    breaks = chain_breaks(trace.coords_A, trace.chain_id, trace.residue_id)
    # At rest, so that a ribbon keeps its helices while they bend.
    kinds = _kinds(np.asarray(trace.coords_A, dtype=np.float64).tobytes(), breaks.tobytes())
    samples, sides = TUBE if len(trace) <= LARGE_RESIDUES else LARGE_TUBE
    mesh = ribbon_mesh(
        shown.coords_A, breaks, kinds, values=shown.displacement_A, samples=samples, sides=sides
    )
    return replace(shown, backbone=mesh)


@lru_cache(maxsize=4)
def _kinds(coords_A: bytes, breaks: bytes) -> NDArray[np.int8]:
    """The secondary structure of a trace that is drawn again and again."""
    from cryoscope.analysis.secondary_structure import secondary_structure

    coords = np.frombuffer(coords_A, dtype=np.float64).reshape(-1, 3)
    return secondary_structure(coords, np.frombuffer(breaks, dtype=np.bool_))


def _no_mesh() -> Mesh:
    return Mesh(np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int32))


def _tube(
    coords_A: NDArray[np.float32], breaks: NDArray[np.bool_], moved_A: NDArray[np.float32]
) -> Mesh:
    from cryoscope.analysis.backbone import tube_mesh

    samples, sides = TUBE if len(coords_A) <= LARGE_RESIDUES else LARGE_TUBE
    return tube_mesh(coords_A, breaks, values=moved_A, samples=samples, sides=sides)
