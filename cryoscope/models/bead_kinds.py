"""What the residues of a structure are, and which of their atoms a bead hangs on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Structure

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Atoms of a protein's backbone; force fields name a chain's last oxygens in several ways.
BACKBONE = ("N", "CA", "C", "O", "OXT", "OT", "OT1", "OT2", "OC1", "OC2")
#: Phosphate of a nucleotide; the atoms of its sugar end in a prime (an asterisk in old files).
PHOSPHATE = ("P", "OP1", "OP2", "OP3", "O1P", "O2P", "O3P")
#: Atoms that only the end of a chain has.
TERMINAL = ("OXT", "OT", "OT2", "OC2", "OP3", "O3P")
#: Names of protonation states in force fields.
SAME_RESIDUE = {
    **dict.fromkeys(("HSD", "HSE", "HSP", "HID", "HIE", "HIP"), "HIS"),
    **dict.fromkeys(("CYX", "CYM"), "CYS"),
    "ASH": "ASP",
    "GLH": "GLU",
    "LYN": "LYS",
}
#: Hydrogens of an atom of a residue whose chemistry is not tabulated: protein, nucleic acid.
HYDROGENS_PER_ATOM = (1.0, 0.55)
#: Hydrogens of the backbone: NH and CH; sugar and phosphate (as an acid).
BACKBONE_HYDROGENS = (2.0, 8.0)

#: Longest bond from O3' to P.
LINK_A = 2.2

NOT_THERE = -1
NAMED = 12


@dataclass(frozen=True)
class Residues:
    """The residues of a structure, R of them.

    Attributes
    ----------
    heavy
        The n atoms of the structure that are not hydrogen, one of each name in a residue.
    number
        (n,) residue of each atom.
    start
        (R,) first atom of each residue.
    anchor
        (R,) atom that carries the bead, -1 where there is none.
    nucleic
        (R,) True for nucleotides.
    substitute
        (R,) True for nucleotides without the wanted atom, which hang on the other one.
    linked
        (R,) True where a phosphate binds to O3' of the residue before.
    repeated
        Atoms left out because their residue has another of this name (alternative positions that
        the file does not mark as such).
    """

    heavy: Structure
    number: IntArray
    start: IntArray
    anchor: IntArray
    nucleic: BoolArray
    substitute: BoolArray
    linked: BoolArray
    repeated: int

    @property
    def kept(self) -> BoolArray:
        """(R,) True where the residue has an anchor."""
        return np.asarray(self.anchor != NOT_THERE)

    def labels(self, which: BoolArray) -> tuple[str, ...]:
        """``"chain number name"`` of some residues."""
        heavy = self.heavy
        return tuple(
            f"{heavy.chain_id[i]} {heavy.residue_id[i]}{heavy.insertion_code[i]} "
            f"{heavy.residue_name[i]}"
            for i in self.start[which]
        )


def find_residues(structure: Structure, nucleotide: str = "P") -> Residues:
    """Tell amino acids from nucleotides by their atoms and find what carries their beads.

    A residue with a CA is an amino acid, whatever its name. One without is a nucleotide if it has
    C1' and O3', or has a nucleotide's name and P or C1'. Names alone would not do: modified
    residues and those of force fields (HSD, ADE) are in no table or mean another molecule there.

    Parameters
    ----------
    structure
        Atomic model.
    nucleotide
        ``"P"`` or ``"C1'"``; a nucleotide that has only the other one hangs on that.
    """
    every = structure.take(structure.heavy_atoms())
    heavy = every.take(_best_of_each_name(every))
    start, number = heavy.residue_starts(), _numbers(heavy)
    count = len(start)

    def first(mask: BoolArray) -> IntArray:
        """(R,) first atom of each residue under the mask."""
        atom = np.full(count, NOT_THERE, dtype=np.int64)
        index = np.flatnonzero(mask)[::-1]
        atom[number[index]] = index
        return atom

    name = heavy.atom_name
    alpha = first((name == "CA") & (heavy.element == "C"))
    phosphorus = first((name == "P") & (heavy.element == "P"))
    sugar = first(np.isin(name, ("C1'", "C1*")))
    named, kind = np.unique(heavy.residue_name[start], return_inverse=True)
    tabulated = np.array([_tabulated(str(n)).is_nucleic_acid() for n in named], dtype=np.bool_)
    last = first(np.isin(name, ("O3'", "O3*")))
    has_sugar = (sugar != NOT_THERE) & (last != NOT_THERE)
    nucleic = (alpha == NOT_THERE) & (has_sugar | tabulated[kind])
    wanted, other = (phosphorus, sugar) if nucleotide == "P" else (sugar, phosphorus)
    substitute = nucleic & (wanted == NOT_THERE) & (other != NOT_THERE)
    base = np.where(substitute, other, wanted)
    return Residues(
        heavy=heavy,
        number=number,
        start=start,
        anchor=np.where(nucleic, base, alpha),
        nucleic=nucleic,
        substitute=substitute,
        linked=_linked(heavy.coords_A, last, phosphorus),
        repeated=len(every) - len(heavy),
    )


def _numbers(atoms: Structure) -> IntArray:
    """(n,) number of the residue of each atom."""
    start = atoms.residue_starts()
    return np.repeat(np.arange(len(start)), np.diff([*start, len(atoms)])).astype(np.int64)


def _best_of_each_name(atoms: Structure) -> IntArray:
    """Index of the atom of highest occupancy (the first of equals) of each name in a residue."""
    name = np.unique(atoms.atom_name, return_inverse=True)[1]
    order = np.argsort(-atoms.occupancy, kind="stable")
    place = _numbers(atoms) * (len(name) + 1) + name
    return np.sort(order[np.unique(place[order], return_index=True)[1]])


def _linked(coords_A: NDArray[np.float64], last: IntArray, phosphorus: IntArray) -> BoolArray:
    """(R,) whether the phosphate of a residue binds to O3' of the one before."""
    there = (last[:-1] != NOT_THERE) & (phosphorus[1:] != NOT_THERE)
    apart_A = np.linalg.norm(coords_A[last[:-1]] - coords_A[phosphorus[1:]], axis=1)
    return np.concatenate([np.zeros(min(len(last), 1), np.bool_), there & (apart_A < LINK_A)])


def side_chain_atoms(atoms: Structure, nucleic: BoolArray) -> BoolArray:
    """(n,) True for atoms of side chains and bases; ``nucleic`` (n,) tells which rule holds."""
    sugar = np.char.endswith(atoms.atom_name, "'") | np.char.endswith(atoms.atom_name, "*")
    base = ~sugar & ~np.isin(atoms.atom_name, PHOSPHATE)
    side = ~np.isin(atoms.atom_name, BACKBONE) & (atoms.residue_name != "GLY")
    return np.where(nucleic, base, side)


def hydrogen_count(residue_name: str, heavy_atoms: int, nucleic: bool) -> float:
    """Hydrogens of a residue within a chain: those of the free molecule less one water's.

    Counts are of the charge states in the chemical components dictionary (LYS, ARG and HIS with
    their additional proton); residues that are not in it get the average of their kind.
    """
    known = _tabulated(SAME_RESIDUE.get(residue_name, residue_name))
    if known.is_amino_acid() or known.is_nucleic_acid():
        return float(max(known.hydrogen_count - 2, 0))
    return HYDROGENS_PER_ATOM[nucleic] * heavy_atoms


def backbone_hydrogens(residue_name: str, nucleic: bool) -> float:
    """Hydrogens of a residue that belong to its backbone; the nitrogen of proline has none."""
    return BACKBONE_HYDROGENS[nucleic] - (residue_name == "PRO")


def describe(residues: Residues, nucleotide: str) -> str:
    """One or two lines: what has beads, and what was left out."""
    heavy, kept = residues.heavy, residues.kept
    names = heavy.residue_name[residues.start]
    chains = len(np.unique(heavy.chain_id[residues.start[kept]]))
    amino, bases = int((kept & ~residues.nucleic).sum()), int((kept & residues.nucleic).sum())
    parts = [f"{amino} amino acids"] * (amino > 0)
    parts += [f"{bases} nucleotides by {nucleotide}"] * (bases > 0)
    text = f"Kept {' and '.join(parts)} in {chains} chain{'s' * (chains != 1)}"
    if residues.substitute.any():
        there = "C1'" if nucleotide == "P" else "P"
        text += f", without {nucleotide} and so by {there}: "
        text += _some(residues.labels(residues.substitute))
    unusual = Counter(str(n) for n in names[kept] if not _tabulated(str(n)).is_standard())
    if unusual:
        counts = tuple(f"{count} {name}" for name, count in unusual.most_common())
        text += f"; modified or otherwise named: {_some(counts)}"
    if residues.repeated:
        text += f"; {residues.repeated} atoms named twice in their residue kept once"
    lost = residues.labels(~kept)
    if not lost:
        return text + "; nothing left out."
    return f"{text}.\nLeft out {len(lost)} without CA, P or C1': {_some(lost)}."


def _some(labels: tuple[str, ...]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more


def _tabulated(name: str) -> gemmi.ResidueInfo:
    return gemmi.find_tabulated_residue(name)
