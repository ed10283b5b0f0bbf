"""From an atomic structure to beads: where they lie, how heavy and how wide they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure
from cryoscope.models.bead_kinds import (
    BoolArray,
    IntArray,
    Residues,
    describe,
    find_residues,
    side_chain_atoms,
)
from cryoscope.models.bead_widths import (
    FloatArray,
    atom_scattering,
    electrons,
    electrons_with_hydrogens,
    fitted_sigma_A,
    moments,
)

#: Distance of consecutive anchors beyond which two amino acids, or two nucleotides, are not bonded.
LONGEST_BOND_A, LONGEST_NUCLEIC_BOND_A = 4.5, 8.5
#: Distance from the CA of side-chain beads that start there; at none the two are alike for ever.
START_OFFSET_A = 0.1

KINDS = ("CA", "CA+SC", "atoms")


@dataclass(frozen=True)
class Beads:
    """N beads that stand for a structure, on a backbone trace of K atoms.

    Attributes
    ----------
    anchor_A
        (N, 3) what deforms and what restraints act on.
    centre_A, carrier
        (M, 3) centres of what is projected, in the reference, and (M,) the bead that carries each:
        the anchors themselves (M = N), but for kind ``"CA"`` with centre ``"mass"``, or with
        ``"parts"``, where a bead carries its residue's backbone and side chain apart.
    home_A
        (N, 3) place of each bead in the given structure: the anchors, but for side chains that
        start on their CA.
    amplitude
        (M,) mass.
    variance_A2
        (M,) mean square radius along one axis, the atoms' own width included.
    bead_type, type_names
        (M,) rows of the names: the residue's, for a side-chain bead with ``" side chain"``, for
        an atom the element.
    trace
        (K,) beads that are the backbone: CA, or P (C1') of nucleotides, in file order.
    bonded
        (K - 1,) True where trace bead i is bonded to trace bead i + 1.
    chain
        (K,) chain of each trace bead, numbered in file order.
    side_chains
        (P, 2) backbone bead and side-chain bead (base) of the residues that have one; kind
        ``"CA+SC"`` only.
    side_chain_length_A
        (P,) largest distance from the trace atom to the side chain's centre of mass that occurs
        in residues of this type.
    structure
        The K trace atoms: what is shown and written as the backbone.
    atoms, atom_bead
        All n heavy atoms of the residues that have a bead, and (n,) the bead that carries each.
    skipped
        Residues left out, as ``"chain number name"``.
    report
        One or two lines: what was kept and what was left out.
    """

    anchor_A: FloatArray
    centre_A: FloatArray
    carrier: IntArray
    home_A: FloatArray
    amplitude: FloatArray
    variance_A2: FloatArray
    bead_type: IntArray
    type_names: tuple[str, ...]
    trace: IntArray
    bonded: BoolArray
    chain: IntArray
    side_chains: IntArray
    side_chain_length_A: FloatArray
    structure: Structure
    atoms: Structure
    atom_bead: IntArray
    skipped: tuple[str, ...]
    report: str

    def __len__(self) -> int:
        return len(self.anchor_A)

    @property
    def mass_centre_A(self) -> FloatArray:
        """(N, 3) centre, in the reference, of what each bead carries."""
        weighted = self.amplitude[:, None] * self.centre_A
        sums = [np.bincount(self.carrier, column, len(self)) for column in weighted.T]
        return np.stack(sums, axis=1) / self.mass[:, None]

    @property
    def mass(self) -> FloatArray:
        """(N,) mass that each bead carries."""
        return np.bincount(self.carrier, self.amplitude, len(self)).astype(np.float64)


def beads_for(structure: Structure, settings: Any, file: str | Path = "") -> Beads:
    """The beads that training settings ask for; see :func:`coarse_grain`.

    Parameters
    ----------
    structure
        Atomic model.
    settings
        A ``training.model_config.BeadConfig``.
    file
        Named in errors.
    """
    return coarse_grain(
        structure,
        kind=settings.coarse_grain,
        nucleotide=settings.nucleotide,
        centre=settings.centre,
        amplitude=settings.amplitude,
        width=settings.width,
        sigma_A=settings.sigma_A,
        side_chain_start=settings.side_chain_start,
        file=file,
    )


def coarse_grain(
    structure: Structure,
    *,
    kind: str = "CA",
    nucleotide: str = "P",
    centre: str = "mass",
    amplitude: str = "form-factor",
    width: str = "residue",
    sigma_A: float = 2.0,
    side_chain_start: str = "mass",
    file: str | Path = "",
) -> Beads:
    """Beads of a protein, nucleic acid or complex; hydrogens of the file are left out.

    Parameters
    ----------
    structure
        Atomic model. Modified residues are kept: whatever has a CA, or is a nucleotide by its
        atoms. What has no such atom (ligands, waters, fragments) is left out and reported.
    kind
        ``"CA"``: a bead per residue. ``"CA+SC"``: one for the backbone, on its CA, and one at the
        centre of mass of the side chain or base (none in glycine), which follow all the first.
        ``"atoms"``: every heavy atom.
    nucleotide
        Atom that carries a nucleotide, ``"P"`` or ``"C1'"``; the other where it is missing.
    centre
        Kind ``"CA"`` only: ``"CA"``, ``"mass"`` (centre of the residue's scattering mass), or
        ``"parts"`` (those of its backbone and its side chain).
    amplitude
        ``"electrons"`` (Z of the heavy atoms that are in the file) or ``"form-factor"`` (electron
        scattering factor f_e(0) of the same).
    width
        ``"residue"``: mean square radius of each residue. ``"prins"``: one width per type, see
        :func:`~cryoscope.models.bead_widths.fitted_sigma_A`; with ``"electrons"`` the mass too is
        one per type and includes hydrogens, as in Prins et al. 2024. ``"fixed"``: ``sigma_A``.
    side_chain_start
        Kind ``"CA+SC"`` only: side-chain beads start at their ``"mass"`` or near their ``"CA"``
        (Cryofold's approximate model), 0.1 A away in fixed random directions.
    file
        Named in errors.

    Raises
    ------
    InputError
        When no residue has an anchor, or an element is unknown.
    """
    residues = find_residues(structure, nucleotide)
    if not residues.kept.any():
        raise _no_anchor(file)
    group = _group(residues, kind)
    shown = _group(residues, "CA+SC") if kind == "CA" and centre == "parts" else group
    chosen = residues.heavy.take(residues.anchor[residues.kept])
    scattering = atom_scattering(group.atoms, amplitude, file)
    on_trace_A = chosen.coords_A if kind != "CA" or centre == "CA" else None
    total, centre_A, variance_A2 = _mass_and_size(shown, *scattering, on_trace_A)
    if width == "fixed":
        variance_A2 = np.full(len(total), sigma_A**2)
    elif width == "prins":
        variance_A2 = _fitted_variance_A2(shown, centre_A)
        total = _electrons(shown) if amplitude == "electrons" and kind != "atoms" else total
    home_A = chosen.coords_A if kind == "CA" else centre_A
    anchor_A = _on_the_backbone(home_A, group.side_chains) if side_chain_start == "CA" else home_A
    return Beads(
        anchor_A=anchor_A,
        centre_A=centre_A if kind == "CA" else anchor_A,
        carrier=_carrier(shown, len(group.trace) if kind == "CA" else len(total)),
        home_A=home_A,
        amplitude=total,
        variance_A2=variance_A2,
        bead_type=shown.bead_type,
        type_names=shown.type_names,
        trace=group.trace,
        bonded=_bonded(chosen, residues),
        chain=_chain_numbers(chosen),
        side_chains=group.side_chains,
        side_chain_length_A=_longest(home_A, group.side_chains, group.bead_type),
        structure=chosen,
        atoms=group.atoms,
        atom_bead=group.atom_bead,
        skipped=residues.labels(~residues.kept),
        report=describe(residues, nucleotide),
    )


def _carrier(shown: _Group, count: int) -> IntArray:
    """(M,) which of the ``count`` beads carries each part that is projected."""
    carrier = np.arange(len(shown.bead_name), dtype=np.int64)
    backbone, side = shown.side_chains.T
    carrier[side[side >= count]] = backbone[side >= count]
    return carrier


@dataclass(frozen=True)
class _Group:
    """Which atoms make which bead: names and kind of (N,) beads, the rest as in Beads."""

    atoms: Structure
    atom_bead: IntArray
    bead_name: NDArray[np.str_]
    nucleic: BoolArray
    trace: IntArray
    side_chains: IntArray

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """Names that occur, sorted."""
        return tuple(str(name) for name in np.unique(self.bead_name))

    @cached_property
    def bead_type(self) -> IntArray:
        """(N,) rows of the names."""
        return np.unique(self.bead_name, return_inverse=True)[1].astype(np.int64)


def _group(residues: Residues, kind: str) -> _Group:
    """Assign the atoms of the residues that are kept to beads."""
    if kind not in KINDS:
        raise ValueError(f"coarse-graining {kind!r} is none of {', '.join(KINDS)}")
    kept = residues.kept
    taken = kept[residues.number]
    atoms = residues.heavy.take(taken)
    residue = (np.cumsum(kept) - 1)[residues.number[taken]].astype(np.int64)
    nucleic = residues.nucleic[kept]
    names = residues.heavy.residue_name[residues.start[kept]]
    count = len(names)
    trace = np.arange(count, dtype=np.int64)
    side_chains = np.zeros((0, 2), dtype=np.int64)
    if kind == "atoms":
        place = (np.cumsum(taken) - 1)[residues.anchor[kept]].astype(np.int64)
        every = np.arange(len(atoms), dtype=np.int64)
        return _Group(atoms, every, atoms.element, nucleic[residue], place, side_chains)
    if kind == "CA":
        return _Group(atoms, residue, names, nucleic, trace, side_chains)
    side = side_chain_atoms(atoms, nucleic[residue])
    side[(np.cumsum(taken) - 1)[residues.anchor[kept]]] = False
    owner = np.unique(residue[side])
    bead = residue.copy()
    bead[side] = count + np.searchsorted(owner, residue[side])
    side_chains = np.stack([owner, count + np.arange(len(owner))], axis=1).astype(np.int64)
    bead_name = np.concatenate([names, np.char.add(names[owner], " side chain")])
    return _Group(
        atoms, bead, bead_name, np.concatenate([nucleic, nucleic[owner]]), trace, side_chains
    )


def _no_anchor(file: str | Path) -> InputError:
    return InputError(
        "no residue has a CA atom, or P or C1' of a nucleotide",
        file=file or None,
        cure="Give a model of a protein or nucleic acid with these atoms",
    )


def _mass_and_size(
    group: _Group, mass: FloatArray, width_A2: FloatArray, on_trace_A: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mass, centre and mean square radius about it; the trace beads may be put elsewhere."""
    atoms_A = group.atoms.coords_A
    total, middle_A, variance_A2 = moments(atoms_A, group.atom_bead, mass, width_A2)
    centre_A = middle_A.copy()
    if np.array_equal(group.atom_bead, np.arange(len(total))):
        centre_A = atoms_A.copy()  # not m x / m, which rounds
    if on_trace_A is not None:
        centre_A[group.trace] = on_trace_A
    # mass that is not at the bead's centre widens the bead
    return total, centre_A, variance_A2 + ((middle_A - centre_A) ** 2).sum(1) / 3


def _fitted_variance_A2(group: _Group, centre_A: FloatArray) -> FloatArray:
    """(N,) squares of the fitted widths of the types."""
    away_A = np.linalg.norm(group.atoms.coords_A - centre_A[group.atom_bead], axis=1)
    sigma_A = fitted_sigma_A(away_A, electrons(group.atoms), group.bead_type[group.atom_bead])
    return np.asarray(sigma_A[group.bead_type] ** 2)


def _electrons(group: _Group) -> FloatArray:
    """(N,) electrons of the types, hydrogens included."""
    return electrons_with_hydrogens(
        group.atoms, group.atom_bead, group.bead_type, group.nucleic, group.side_chains
    )


def _bonded(anchors: Structure, residues: Residues) -> BoolArray:
    """(K - 1,) whether consecutive trace atoms are near, and of one chain and one kind.

    C1' of extended nucleotides are further apart than others that are not bonded; there O3' - P
    decides.
    """
    place = np.flatnonzero(residues.kept)
    nucleic = residues.nucleic[place]
    apart_A = np.linalg.norm(np.diff(anchors.coords_A, axis=0), axis=1)
    near = apart_A < np.where(nucleic[1:], LONGEST_NUCLEIC_BOND_A, LONGEST_BOND_A)
    near |= residues.linked[place[1:]] & (np.diff(place) == 1)
    same_kind = nucleic[1:] == nucleic[:-1]
    return np.asarray((anchors.chain_id[1:] == anchors.chain_id[:-1]) & same_kind & near)


def _chain_numbers(anchors: Structure) -> IntArray:
    """(K,) number of the chain of each trace atom, in order of appearance."""
    _, first, chain = np.unique(anchors.chain_id, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[chain].astype(np.int64)


def _on_the_backbone(anchor_A: FloatArray, side_chains: IntArray) -> FloatArray:
    """Anchors with the side chains a little away from their backbone beads, always the same way."""
    away = np.random.default_rng(0).standard_normal((len(side_chains), 3))
    away *= START_OFFSET_A / np.linalg.norm(away, axis=1, keepdims=True)
    anchor_A = anchor_A.copy()
    anchor_A[side_chains[:, 1]] = anchor_A[side_chains[:, 0]] + away
    return anchor_A


def _longest(home_A: FloatArray, side_chains: IntArray, bead_type: IntArray) -> FloatArray:
    """(P,) largest length of side chains of the same type."""
    ends = home_A[side_chains]
    length_A = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    kind = bead_type[side_chains[:, 1]]
    most_A = np.zeros(int(bead_type.max()) + 1)
    np.maximum.at(most_A, kind, length_A)
    return np.asarray(most_A[kind])
