"""Atomic models: PDB and mmCIF (plain or gzipped), read and written with gemmi."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.io.atomic import explain_os_errors, write_text_atomic
from cryoscope.io.reader_extensions import read_with_extension

TEXT_LIMIT_BYTES = 2 * 1024**3
_POLYMER = gemmi.EntityType.Polymer.value
_PDB_SUFFIXES = (".pdb", ".ent")
_CIF_SUFFIXES = (".cif", ".mmcif")


def read_structure(
    path: str | Path, *, chains: str | None = None, keep_hetero: bool = False
) -> Structure:
    """Read the first model of a PDB or mmCIF file.

    Parameters
    ----------
    path
        ``.pdb``, ``.ent``, ``.cif`` or ``.mmcif``, plain or ``.gz``; the content decides.
    chains
        Author chain names to keep, separated by commas or blanks; None keeps all.
    keep_hetero
        Keep waters, ions, sugars and ligands. Residues of a chain (MSE, SEP, HSD, ...) are always
        kept, hydrogens too.

    Returns
    -------
    Atoms in file order with author chain names and residue numbers. Of alternative positions the
    one of highest occupancy is kept, the first where they tie. Elements are written as ``"Se"``.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or has no atom that is kept; or a chain is not there.
    """
    path = Path(path)
    structure: Structure | None = read_with_extension(path, "structure")
    if structure is None:
        model = _load(path)
        del model[1:]
        table = _flatten(model, path)
        structure = _structure(table, model.name)
        structure = structure.take(_kept(table, structure, path, keep_hetero))
    _check_finite(structure.coords_A, structure, path)
    if chains is None:
        return structure
    return structure.take(_in_chains(structure, chains, path))


def read_topology(path: str | Path) -> tuple[Structure, NDArray[np.int64]]:
    """Read all atoms of the first model in file order, for coordinates kept in another file.

    Returns
    -------
    The structure, alternative positions and waters included, and the index of the atoms that
    :func:`read_structure` keeps.

    Raises
    ------
    InputError
        As :func:`read_structure`; positions that are not numbers are accepted.
    """
    path = Path(path)
    model = _load(path)
    del model[1:]
    table = _flatten(model, path)
    structure = _structure(table, model.name)
    # gemmi gathers the parts of a chain; the serial numbers given by _load undo that.
    order = np.argsort(table.serials, kind="stable")
    keep = _kept(table, structure, path, keep_hetero=False)[order]
    return structure.take(order), np.flatnonzero(keep)


def read_models(path: str | Path, *, keep_hetero: bool = False) -> Trajectory:
    """Read all models of a file as frames of one trajectory.

    Parameters
    ----------
    path, keep_hetero
        As for :func:`read_structure`.

    Raises
    ------
    InputError
        If the models do not have the same atoms in the same order, and as
        :func:`read_structure`.
    """
    path = Path(path)
    models = _load(path)
    frames = len(models)
    table = _flatten(models, path)
    counts = [model.count_atom_sites() for model in models]
    for number, count in enumerate(counts, start=1):
        if count != counts[0]:
            raise InputError(
                f"model {number} has {count} atoms, but model 1 has {counts[0]}",
                file=path,
                cure="Give a file whose models all have the same atoms.",
            )
    for column in (table.atom_names, table.residue_names, table.chain_ids):
        names = np.asarray(column).reshape(frames, counts[0], -1)
        differing = np.flatnonzero((names != names[0]).any(axis=(1, 2)))
        if len(differing):
            raise InputError(
                f"model {differing[0] + 1} has other atoms than model 1, or another order",
                file=path,
                cure="Give a file whose models all have the same atoms in the same order.",
            )
    coords_A = np.array(table.pos).reshape(frames, counts[0], 3)
    del models[1:]
    table = _flatten(models, path)
    structure = _structure(table, models.name)
    keep = _kept(table, structure, path, keep_hetero)
    structure, coords_A = structure.take(keep), coords_A[:, keep]
    for frame in coords_A:
        _check_finite(frame, structure, path)
    return Trajectory(structure, coords_A)


def structure_without_hydrogens(structure: Structure) -> Structure:
    """The atoms that are neither hydrogen nor deuterium."""
    return structure.take(~np.isin(structure.element, ("H", "D")))


def write_structure(path: str | Path, structure: Structure) -> None:
    """Write one model as PDB or mmCIF, as the suffix says, atomically.

    Raises
    ------
    InputError
        If the suffix is neither, the structure is empty or has coordinates that are not numbers,
        or does not fit the PDB format (the cure is to write ``.cif``).
    """
    write_trajectory(path, Trajectory(structure, structure.coords_A[None]))


def write_trajectory(path: str | Path, trajectory: Trajectory) -> None:
    """Write all frames as models of one PDB or mmCIF file, as the suffix says, atomically.

    Chains, residue numbers, insertion codes, B-factors (in PDB files up to 999.99 A2) and
    occupancies are kept. More than 99,999
    atoms or residue numbers above 9,999 become hybrid-36 numbers in PDB files, which ChimeraX,
    PyMOL and gemmi read.

    Raises
    ------
    InputError
        As :func:`write_structure`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _PDB_SUFFIXES + _CIF_SUFFIXES:
        raise InputError(
            "structures are written as .pdb or .cif",
            file=path,
            cure="Choose one of these suffixes.",
        )
    structure, coords_A = trajectory.structure, np.asarray(trajectory.coords_A, dtype=np.float64)
    if coords_A.size == 0 or coords_A.shape[1:] != (len(structure), 3):
        raise InputError(
            f"coordinates {coords_A.shape} do not fit a structure of {len(structure)} atoms",
            file=path,
            cure="Export at least one frame of at least one atom.",
        )
    for values in (coords_A, structure.b_factor_A2, structure.occupancy):
        if not np.isfinite(values).all():
            raise InputError(
                "a coordinate, B-factor or occupancy is not a number",
                file=path,
                cure="Look for NaN in the structure to be written.",
            )
    if suffix in _PDB_SUFFIXES:
        _refuse_what_pdb_cannot_hold(structure, coords_A, path)
    models = _to_gemmi(structure, coords_A)
    in_pdb = suffix in _PDB_SUFFIXES
    text = models.make_pdb_string() if in_pdb else models.make_mmcif_document().as_string()
    write_text_atomic(path, text)


def _load(path: Path) -> gemmi.Structure:
    """Parse a file of bounded size; entities (what is polymer, what water) are set up."""
    with explain_os_errors(path, action="read"):
        try:
            if path.suffix.lower() == ".gz":
                with gzip.open(path) as file:
                    text = file.read(TEXT_LIMIT_BYTES + 1)
            else:
                with path.open("rb") as file:
                    text = file.read(TEXT_LIMIT_BYTES + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _unreadable(path, error) from error
    if len(text) > TEXT_LIMIT_BYTES:
        raise _unreadable(path, "it is larger than 2 GB")
    try:
        models = gemmi.read_structure_string(
            text, merge_chain_parts=False, format=gemmi.CoorFormat.Detect
        )
        for model in models:
            for serial, site in enumerate(model.all()):
                site.atom.serial = serial
        models.merge_chain_parts()
        models.setup_entities()
    except (RuntimeError, ValueError, IndexError) as error:
        raise _unreadable(path, error) from error
    if len(models) == 0 or models[0].count_atom_sites() == 0:
        raise _unreadable(path, "it has no atoms")
    models.name = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    return models


def _unreadable(path: Path, why: object) -> InputError:
    return InputError(
        f"not readable as PDB or mmCIF ({str(why)[:200]})",
        file=path,
        cure="Give an atomic model in one of these formats.",
    )


def _flatten(models: gemmi.Structure, path: Path) -> gemmi.FlatStructure:
    try:
        return gemmi.FlatStructure(models)
    except RuntimeError as error:
        raise InputError(
            f"names of eight letters or more are not read ({str(error)[:200]})",
            file=path,
            cure="Shorten the chain or residue names.",
        ) from error


def _text(column: Any) -> NDArray[np.str_]:
    """(n, 8) bytes of gemmi's fixed-width names as strings."""
    raw = np.ascontiguousarray(column)
    if raw.dtype.kind != "S":
        raw = raw.view("S8").ravel()
    return np.char.decode(raw, "latin-1")


def _structure(table: gemmi.FlatStructure, name: str) -> Structure:
    insertion = np.char.decode(np.asarray(table.icodes).view("S1"), "latin-1")
    return Structure(
        coords_A=np.array(table.pos, dtype=np.float64),
        element=_text(table.element_names),
        atom_name=_text(table.atom_names),
        residue_name=_text(table.residue_names),
        residue_id=np.array(table.resnums, dtype=np.int64),
        chain_id=_text(table.chain_ids),
        insertion_code=np.where(insertion == " ", "", insertion),
        b_factor_A2=np.array(table.b_iso, dtype=np.float64),
        occupancy=np.array(table.occ, dtype=np.float64),
        name=name,
    )


def _kept(
    table: gemmi.FlatStructure, structure: Structure, path: Path, keep_hetero: bool
) -> NDArray[np.bool_]:
    """Mask of the atoms of one model that are read."""
    keep = np.ones(len(structure), dtype=np.bool_)
    if not keep_hetero:
        keep = np.asarray(table.entity_type) == _POLYMER
        if not keep.any():
            raise InputError(
                "there is no protein or nucleic acid chain, only waters and ligands",
                file=path,
                cure="Give a model of the molecule.",
            )
    return keep & _best_of_alternatives(structure, np.asarray(table.altlocs))


def _best_of_alternatives(structure: Structure, altloc: NDArray[Any]) -> NDArray[np.bool_]:
    """Mask that keeps one position of every atom, and one residue type of every residue."""
    keep = np.ones(len(structure), dtype=np.bool_)
    alternatives = np.flatnonzero(altloc).tolist()
    residue_of = {
        i: (structure.chain_id[i], structure.residue_id[i], structure.insertion_code[i])
        for i in alternatives
    }
    # Highest occupancy first; a stable sort leaves ties in file order.
    alternatives.sort(key=lambda i: -structure.occupancy[i])
    residue_name: dict[Any, str] = {}
    taken: set[Any] = set()
    for i in alternatives:
        residue = residue_of[i]
        atom = (*residue, structure.atom_name[i])
        same_type = residue_name.setdefault(residue, structure.residue_name[i])
        keep[i] = same_type == structure.residue_name[i] and atom not in taken
        taken.add(atom)
    return keep


def _in_chains(structure: Structure, chains: str, path: Path) -> NDArray[np.bool_]:
    wanted = chains.replace(",", " ").split()
    there = list(dict.fromkeys(structure.chain_id.tolist()))
    absent = [chain for chain in wanted if chain not in there]
    if absent or not wanted:
        raise InputError(
            f"there is no chain {', '.join(absent) or repr(chains)}",
            file=path,
            cure=f"Chains in the file: {', '.join(there[:80])}.",
        )
    return np.isin(structure.chain_id, wanted)


def _check_finite(coords_A: NDArray[np.float64], structure: Structure, path: Path) -> None:
    broken = np.flatnonzero(~np.isfinite(coords_A).all(axis=1))
    if len(broken):
        i = broken[0]
        atom = f"{structure.atom_name[i]} of {structure.residue_name[i]} {structure.residue_id[i]}"
        raise InputError(
            f"atom {atom}, chain {structure.chain_id[i]}, has no position",
            file=path,
            cure="Remove the atom or give its coordinates.",
        )


def _to_gemmi(structure: Structure, coords_A: NDArray[np.float64]) -> gemmi.Structure:
    """One gemmi model a frame, made from one model whose positions are set for all at once."""
    model = gemmi.Model(1)
    starts = structure.residue_starts()
    ends = [*starts[1:].tolist(), len(structure)]
    chain: gemmi.Chain | None = None
    for start, end in zip(starts.tolist(), ends, strict=True):
        chain_name = str(structure.chain_id[start])
        if chain is None or chain.name != chain_name:
            chain = model.add_chain(chain_name)
        chain.add_residue(_residue(structure, start, end))
    models = gemmi.Structure()
    models.name = structure.name or "model"
    for number in range(1, len(coords_A) + 1):
        model.num = number
        models.add_model(model)
    table = gemmi.FlatStructure(models)
    table.pos[:] = coords_A.reshape(-1, 3)
    models = table.generate_structure()
    models.setup_entities()
    return models


def _residue(structure: Structure, start: int, end: int) -> gemmi.Residue:
    residue = gemmi.Residue()
    residue.name = str(structure.residue_name[start])
    code = str(structure.insertion_code[start]) or " "
    residue.seqid = gemmi.SeqId(int(structure.residue_id[start]), code)
    known = gemmi.find_tabulated_residue(residue.name)
    in_a_chain = known.is_amino_acid() or known.is_nucleic_acid()
    residue.het_flag = "H" if known.found() and not in_a_chain else "A"
    for i in range(start, end):
        atom = gemmi.Atom()
        atom.name = str(structure.atom_name[i])
        atom.element = gemmi.Element(str(structure.element[i]))
        atom.b_iso = float(structure.b_factor_A2[i])
        atom.occ = float(structure.occupancy[i])
        residue.add_atom(atom)
    return residue


def pdb_cannot_hold(structure: Structure, coords_A: NDArray[np.floating]) -> list[str]:
    """What of (models, n, 3) positions of a structure is wider than its columns in a PDB file."""

    def longest(names: NDArray[np.str_]) -> int:
        return int(np.char.str_len(names).max())

    problems = {
        "chain names of more than one letter": longest(structure.chain_id) > 1,
        "residue names of more than three letters": longest(structure.residue_name) > 3,
        "atom names of more than four letters": longest(structure.atom_name) > 4,
        "residue numbers below -999": int(structure.residue_id.min()) < -999,
        "residue numbers above 1,000,000": int(structure.residue_id.max()) > 1_000_000,
        "more than 40,000,000 atoms": len(structure) > 40_000_000,
        "more than 9,999 models": len(coords_A) > 9_999,
        "coordinates beyond -999 or 9,999 A": bool(
            coords_A.min() <= -999.9 or coords_A.max() >= 9999.9
        ),
    }
    return [problem for problem, there in problems.items() if there]


def _refuse_what_pdb_cannot_hold(
    structure: Structure, coords_A: NDArray[np.float64], path: Path
) -> None:
    found = pdb_cannot_hold(structure, coords_A)
    if found:
        raise InputError(
            f"the PDB format cannot hold {' or '.join(found)}",
            file=path,
            cure="Write .cif instead.",
        )
