"""Molecular dynamics trajectories: DCD coordinates with a PDB, mmCIF or PSF topology."""

from __future__ import annotations

import itertools
import string
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.dcd import dcd_shape, read_dcd
from cryoscope.io.structures import read_topology

_HISTIDINES = ("HSD", "HSE", "HSP", "HID", "HIE", "HIP")
_SOLVENT = (
    *("HOH", "WAT", "SOL", "TIP", "TIP3", "TIP4", "TIP5", "TP3M", "SPC", "SPCE"),
    *("SOD", "CLA", "POT", "CES", "CAL", "MG", "ZN2", "NA", "CL", "K", "NA+", "CL-", "K+"),
)
_ELEMENTS = (
    *("H", "C", "N", "O", "F", "Na", "Mg", "P", "S", "Cl", "K", "Ca", "Mn", "Fe", "Co", "Ni"),
    *("Cu", "Zn", "Se", "Br", "I", "Cs"),
)
_MASS_TOLERANCE_DA = 0.3
_HEADER_LINES = 100_000
_LEAST_BYTES_PER_ATOM = 20


def read_trajectory(dcd: str | Path, topology: str | Path) -> Trajectory:
    """Read a DCD file with the atoms of ``topology``; waters and ions are left out.

    Parameters
    ----------
    topology
        PDB or mmCIF (through gemmi), or CHARMM/NAMD ``.psf`` (through ProDy), of the very atoms of
        the DCD file in their order. Names of protonated histidines become HIS. A PSF has segments
        for chains: names of one letter are kept, else they become A, B, C in file order.

    Returns
    -------
    Trajectory whose structure has the coordinates of the first frame.

    Raises
    ------
    InputError
        If a file cannot be read, or the two have different numbers of atoms.
    """
    dcd, topology = Path(dcd), Path(topology)
    if topology.suffix.lower() == ".psf":
        atoms = _read_psf(topology)
        keep = np.flatnonzero(~np.isin(atoms.residue_name, _SOLVENT))
    else:
        atoms, keep = read_topology(topology)
    _, count = dcd_shape(dcd)
    if count != len(atoms):
        raise InputError(
            f"the trajectory has {count:,} atoms, but its topology {topology.name} has "
            f"{len(atoms):,}",
            file=dcd,
            cure="Give the topology the trajectory was made with.",
        )
    if len(keep) == 0:
        raise InputError(
            "there is nothing but waters and ions", file=topology, cure="Give a model with a chain."
        )
    coords_A = read_dcd(dcd, atoms=keep)
    structure = _named_as_deposited(atoms.take(keep)).with_coords(coords_A[0])
    return Trajectory(structure, coords_A)


def _read_psf(path: Path) -> Structure:
    """All atoms of a PSF file; it has no coordinates, elements or chains of its own."""
    try:
        import prody
    except ImportError as error:
        raise InputError(
            "reading .psf needs ProDy, which is not installed",
            file=path,
            cure="Install the package prody, or give the topology as .pdb or .cif.",
        ) from error
    with explain_os_errors(path, action="read"):
        count = _announced_atoms(path)
        try:
            atoms = prody.parsePSF(str(path))
        except (ValueError, IndexError, TypeError, AttributeError) as error:
            raise _not_psf(path, str(error)[:200]) from error
    if atoms.numAtoms() != count or (atoms.getMasses() <= 0).any():
        raise _not_psf(path, "atoms or their masses are missing")
    names = np.asarray(atoms.getNames(), dtype=np.str_)
    segments = np.asarray(atoms.getSegnames(), dtype=np.str_)
    return Structure(
        coords_A=np.zeros((count, 3)),
        element=_elements(names, np.asarray(atoms.getMasses(), dtype=np.float64)),
        atom_name=names,
        residue_name=np.asarray(atoms.getResnames(), dtype=np.str_),
        residue_id=np.asarray(atoms.getResnums(), dtype=np.int64),
        chain_id=_chains(segments),
        insertion_code=np.zeros(count, dtype="<U1"),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
        name=path.stem,
    )


def _announced_atoms(path: Path) -> int:
    """The number of atoms in the header, checked against the size of the file."""
    with path.open("rb") as file:
        for line in itertools.islice(file, _HEADER_LINES):
            if line.rstrip().endswith(b"!NATOM"):
                digits = line.split()[0]
                count = int(digits) if digits.isdigit() and len(digits) < 12 else 0
                if 0 < count * _LEAST_BYTES_PER_ATOM <= path.stat().st_size:
                    return count
                raise _not_psf(path, f"it is too short for {digits[:20].decode('latin-1')} atoms")
    raise _not_psf(path, "it has no !NATOM section")


def _not_psf(path: Path, why: str) -> InputError:
    return InputError(
        f"not readable as PSF ({why})",
        file=path,
        cure="Give the .psf the trajectory was made with, or a .pdb of the same atoms.",
    )


def _elements(names: NDArray[np.str_], mass_da: NDArray[np.float64]) -> NDArray[np.str_]:
    """Elements by mass; by the first letter of the name where no element has that mass."""
    known_da = np.array([gemmi.Element(symbol).weight for symbol in _ELEMENTS])
    nearest = np.abs(mass_da[:, None] - known_da).argmin(axis=1)
    by_mass = np.array(_ELEMENTS)[nearest]
    by_name = np.array([name.lstrip(string.digits)[:1] or "X" for name in names.tolist()])
    return np.where(np.abs(mass_da - known_da[nearest]) < _MASS_TOLERANCE_DA, by_mass, by_name)


def _chains(segments: NDArray[np.str_]) -> NDArray[np.str_]:
    names = list(dict.fromkeys(segments.tolist()))
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits
    if all(len(name) == 1 for name in names) or len(names) > len(letters):
        return segments
    letter_of = dict(zip(names, letters, strict=False))
    return np.array([letter_of[name] for name in segments.tolist()])


def _named_as_deposited(structure: Structure) -> Structure:
    """Force-field names of protonated histidines become HIS, as in deposited models."""
    is_histidine = np.isin(structure.residue_name, _HISTIDINES)
    return replace(structure, residue_name=np.where(is_histidine, "HIS", structure.residue_name))
