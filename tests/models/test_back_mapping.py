from __future__ import annotations

import numpy as np
import pytest

from cryoscope.data import Structure
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models.back_mapping import BackMapping
from cryoscope.models.coarse_grain import Beads, coarse_grain

KINDS = ["CA", "CA+SC", "atoms"]


def demo() -> Structure:
    return read_structure(resource_path("structures/1ake_A.pdb"))


def turn() -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.fixture(params=KINDS)
def beads(request: pytest.FixtureRequest) -> Beads:
    return coarse_grain(demo(), kind=request.param)


def test_the_reference_gives_its_atoms_back(beads: Beads) -> None:
    atoms_A = BackMapping(beads)(beads.anchor_A[None])
    assert atoms_A.dtype == np.float32
    assert atoms_A.shape == (1, len(beads.atoms), 3)
    assert np.abs(atoms_A[0] - beads.atoms.coords_A).max() < 1e-3


def test_a_rigid_motion_moves_the_atoms_rigidly(beads: Beads) -> None:
    rotation, shift_A = turn(), np.array([30.0, -20.0, 100.0])
    moved = BackMapping(beads)((beads.anchor_A @ rotation.T + shift_A)[None].astype(np.float32))
    assert np.abs(moved[0] - (beads.atoms.coords_A @ rotation.T + shift_A)).max() < 2e-3


def test_a_domain_that_turns_takes_its_atoms_along() -> None:
    beads = coarse_grain(demo())
    domain = (beads.structure.residue_id >= 122) & (beads.structure.residue_id <= 159)
    pivot_A, rotation = beads.anchor_A[domain].mean(0), turn()
    positions_A = beads.anchor_A.copy()
    positions_A[domain] = (beads.anchor_A[domain] - pivot_A) @ rotation.T + pivot_A
    atoms_A = BackMapping(beads)(positions_A[None])[0]
    residue = beads.atoms.residue_id
    inner = (residue > 123) & (residue < 158)  # frames within the domain
    expected_A = (beads.atoms.coords_A[inner] - pivot_A) @ rotation.T + pivot_A
    assert np.abs(atoms_A[inner] - expected_A).max() < 1e-3
    outer = (residue < 121) | (residue > 160)
    assert np.abs(atoms_A[outer] - beads.atoms.coords_A[outer]).max() < 1e-3


def test_states_are_independent_however_many_are_placed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beads = coarse_grain(demo(), kind="CA+SC")
    noise = np.random.default_rng(0).standard_normal((7, len(beads), 3))
    positions_A = beads.anchor_A + 0.5 * noise
    mapping = BackMapping(beads)
    together = mapping(positions_A)
    monkeypatch.setattr("cryoscope.models.back_mapping.ATOMS_AT_ONCE", 2 * len(beads.atoms))
    assert np.allclose(mapping(positions_A), together, atol=1e-5)
    assert np.allclose(mapping(positions_A[4:5])[0], together[4], atol=1e-5)


def test_residues_keep_their_shape_in_any_state() -> None:
    beads = coarse_grain(demo())
    noise = np.random.default_rng(0).standard_normal((5, len(beads), 3))
    atoms_A = BackMapping(beads)(beads.anchor_A + noise)
    one = np.flatnonzero(beads.atom_bead == 60)
    reference_A = beads.atoms.coords_A[one]

    def distances_A(coords_A: np.ndarray) -> np.ndarray:
        return np.linalg.norm(coords_A[..., :, None, :] - coords_A[..., None, :, :], axis=-1)

    assert np.allclose(distances_A(atoms_A[:, one]), distances_A(reference_A), atol=1e-3)


def test_side_chains_go_with_their_bead_and_backbones_stay() -> None:
    beads = coarse_grain(demo(), kind="CA+SC")
    positions_A = beads.anchor_A.copy()
    moved_A = np.random.default_rng(0).standard_normal((len(beads.side_chains), 3))
    positions_A[beads.side_chains[:, 1]] += moved_A
    change_A = BackMapping(beads)(positions_A[None])[0] - beads.atoms.coords_A
    side = beads.atom_bead >= len(beads.trace)
    assert np.abs(change_A[~side]).max() < 1e-3
    expected_A = moved_A[beads.atom_bead[side] - len(beads.trace)]
    assert np.abs(change_A[side] - expected_A).max() < 1e-3


def test_side_chains_that_started_on_the_backbone_are_centred_on_their_beads() -> None:
    beads = coarse_grain(demo(), kind="CA+SC", side_chain_start="CA")
    atoms_A = BackMapping(beads)(beads.home_A[None])
    assert np.abs(atoms_A[0] - beads.atoms.coords_A).max() < 1e-3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fragments_without_a_frame_still_give_the_reference(count: int) -> None:
    residues = demo()
    few = residues.take(residues.residue_id <= count)
    beads = coarse_grain(few)
    mapping = BackMapping(beads)
    assert np.abs(mapping(beads.anchor_A[None])[0] - beads.atoms.coords_A).max() < 1e-3
    moved = mapping(beads.anchor_A[None] + 7.0)[0]
    assert np.abs(moved - beads.atoms.coords_A - 7.0).max() < 1e-3


def test_a_residue_between_gaps_turns_with_its_surroundings() -> None:
    atoms = demo()
    broken = atoms.take(~np.isin(atoms.residue_id, (49, 51)))
    beads = coarse_grain(broken)
    rotation = turn()
    moved = BackMapping(beads)((beads.anchor_A @ rotation.T)[None])[0]
    assert np.abs(moved - beads.atoms.coords_A @ rotation.T).max() < 1e-3


def test_positions_of_other_beads_are_refused() -> None:
    beads = coarse_grain(demo())
    with pytest.raises(ValueError, match="214"):
        BackMapping(beads)(np.zeros((2, 213, 3)))
