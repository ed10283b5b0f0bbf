from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryoscope.data import InputError, Structure
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models.bead_widths import fitted_sigma_A
from cryoscope.models.coarse_grain import Beads, beads_for, coarse_grain
from cryoscope.models.local_frames import CarriedCentres


def structure(
    names: list[str],
    residues: list[int],
    chains: list[str],
    coords: list,  # type: ignore[type-arg]
    residue_names: list[str] | None = None,
) -> Structure:
    n = len(names)
    return Structure(
        coords_A=np.array(coords, dtype=float),
        element=np.array([name[0] for name in names]),
        atom_name=np.array(names),
        residue_name=np.array(residue_names or ["ALA"] * n),
        residue_id=np.array(residues),
        chain_id=np.array(chains),
        insertion_code=np.array([""] * n),
        b_factor_A2=np.zeros(n),
        occupancy=np.ones(n),
    )


def helix(count: int, chain: str = "A", first: int = 1) -> Structure:
    """CA and CB of an ideal helix."""
    turn = np.deg2rad(100) * np.arange(count)
    ca = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)], axis=1)
    cb = np.stack([3.3 * np.cos(turn), 3.3 * np.sin(turn), 1.5 * np.arange(count) - 0.5], axis=1)
    coords = np.stack([ca, cb], axis=1).reshape(-1, 3)
    numbers = [r for r in range(first, first + count) for _ in range(2)]
    return structure(["CA", "CB"] * count, numbers, [chain] * 2 * count, coords.tolist())


def nucleic(names: list[str], kinds: list[str], step_A: float = 6.0) -> Structure:
    """One strand; of each residue the atoms listed, close together."""
    atoms = [(atom, i, kind) for i, kind in enumerate(kinds) for atom in names]
    coords = [
        [step_A * i, 4 * np.sin(i), 1.4 * (names.index(atom) + 0.1 * i)] for atom, i, _ in atoms
    ]
    return structure(
        [a for a, _, _ in atoms],
        [i + 1 for _, i, _ in atoms],
        ["A"] * len(atoms),
        coords,
        [kind for _, _, kind in atoms],
    )


def demo(name: str = "1ake_A.pdb") -> Structure:
    return read_structure(resource_path(f"structures/{name}"))


def per_type(beads: Beads) -> dict[str, tuple[float, float]]:
    """Width and mass of each type, which must be the same for all its beads."""
    table = {}
    for kind, name in enumerate(beads.type_names):
        sigma_A = beads.variance_A2[beads.bead_type == kind] ** 0.5
        mass = beads.amplitude[beads.bead_type == kind]
        assert np.ptp(sigma_A) == 0
        assert np.ptp(mass) == 0
        table[name] = (float(sigma_A[0]), float(mass[0]))
    return table


def test_one_bead_per_residue_with_its_scattering() -> None:
    beads = coarse_grain(helix(10))
    assert len(beads) == 10
    assert beads.bonded.all()
    assert np.allclose(beads.amplitude, 2 * 2.509, atol=0.01)  # f_e(0) of two carbons
    assert np.allclose(coarse_grain(helix(10), amplitude="electrons").amplitude, 12)


def test_the_centre_is_the_mass_and_its_spread_widens_the_bead() -> None:
    mass, ca = coarse_grain(helix(6)), coarse_grain(helix(6), centre="CA")
    atoms = helix(6).coords_A.reshape(6, 2, 3)
    assert np.allclose(mass.centre_A, atoms.mean(1))
    assert np.allclose(ca.centre_A, atoms[:, 0])
    half2 = ((atoms[:, 1] - atoms[:, 0]) ** 2).sum(1) / 4
    assert np.allclose(ca.variance_A2 - mass.variance_A2, half2 / 3)


def test_hydrogens_and_residues_without_ca_are_left_out_and_named() -> None:
    atoms = structure(
        ["CA", "HA", "O", "CA"],
        [1, 1, 2, 3],
        ["A"] * 4,
        [[0, 0, 0], [1, 0, 0], [3, 3, 3], [3.8, 0, 0]],
    )
    beads = coarse_grain(atoms)
    assert len(beads) == 2
    assert beads.skipped == ("A 2 ALA",)


def test_chains_and_gaps_are_not_bonded() -> None:
    coords = [[0, 0, 0], [3.8, 0, 0], [20, 0, 0], [21, 3.7, 0]]
    beads = coarse_grain(structure(["CA"] * 4, [1, 2, 9, 10], ["A", "A", "A", "B"], coords))
    assert beads.bonded.tolist() == [True, False, False]


def test_no_ca_is_an_error_that_names_the_file() -> None:
    atoms = structure(["P"], [1], ["A"], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"rna\.pdb: no residue has a CA"):
        coarse_grain(atoms, file="rna.pdb")


def test_carried_centres_start_at_the_reference_and_turn_with_the_chain() -> None:
    beads = coarse_grain(helix(12))
    carried = CarriedCentres(beads)
    anchors = torch.as_tensor(beads.anchor_A).float()
    assert torch.allclose(
        carried(anchors[None])[0], torch.as_tensor(beads.centre_A).float(), atol=1e-4
    )
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.sign(torch.det(turn))
    moved = carried(anchors[None] @ turn.T + 5.0)[0]
    assert torch.allclose(moved, torch.as_tensor(beads.centre_A).float() @ turn.T + 5.0, atol=1e-3)


def test_a_residue_on_its_own_keeps_its_offset_finite() -> None:
    lonely = helix(1)
    carried = CarriedCentres(coarse_grain(lonely))
    centre = carried(torch.as_tensor(lonely.coords_A[:1]).float()[None])
    assert torch.isfinite(centre).all()


def test_the_kernel_agrees_with_plain_torch_in_centres_and_gradients() -> None:
    beads = coarse_grain(helix(30))
    beads.bonded[12] = False  # two chains, whose ends borrow frames
    carried = CarriedCentres(beads)
    anchors = torch.as_tensor(beads.anchor_A).float() + torch.randn(6, 30, 3)
    pull = torch.randn(6, 30, 3)
    fast, slow = anchors.clone().requires_grad_(), anchors.clone().requires_grad_()
    ours, plain = carried(fast), carried.reference(slow)
    assert torch.allclose(ours, plain, atol=1e-4)
    (ours * pull).sum().backward()
    (plain * pull).sum().backward()
    assert fast.grad is not None
    assert slow.grad is not None
    assert float((fast.grad - slow.grad).norm() / slow.grad.norm()) < 1e-4


def test_side_chain_beads_follow_the_backbone_and_share_the_mass() -> None:
    whole, split = coarse_grain(demo()), coarse_grain(demo(), kind="CA+SC")
    backbone, side = split.side_chains.T
    count = len(split.trace)
    assert count == len(whole) == 214
    assert split.trace.tolist() == list(range(count))
    assert side.tolist() == list(range(count, len(split)))
    names = split.structure.residue_name
    assert "GLY" not in names[backbone]
    assert len(side) == (names != "GLY").sum()
    assert np.isclose(split.amplitude.sum(), whole.amplitude.sum())
    assert np.allclose(split.amplitude[backbone] + split.amplitude[side], whole.amplitude[backbone])
    assert np.allclose(split.anchor_A[split.trace], split.structure.coords_A)
    assert np.array_equal(split.anchor_A, split.centre_A)
    assert all(split.type_names[t].endswith(" side chain") for t in split.bead_type[side])


def test_the_longest_side_chain_of_a_type_bounds_all_of_it() -> None:
    beads = coarse_grain(demo(), kind="CA+SC")
    ends = beads.anchor_A[beads.side_chains]
    length_A = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    kind = beads.bead_type[beads.side_chains[:, 1]]
    for each in np.unique(kind):
        longest = beads.side_chain_length_A[kind == each]
        assert np.allclose(longest, length_A[kind == each].max())


def test_side_chains_may_start_a_little_off_the_backbone_always_the_same_way() -> None:
    beads, again = (coarse_grain(demo(), kind="CA+SC", side_chain_start="CA") for _ in range(2))
    backbone, side = beads.side_chains.T
    apart_A = np.linalg.norm(beads.anchor_A[side] - beads.anchor_A[backbone], axis=1)
    assert np.allclose(apart_A, 0.1)
    assert np.array_equal(beads.anchor_A, again.anchor_A)
    home = coarse_grain(demo(), kind="CA+SC")
    assert np.array_equal(beads.home_A, home.anchor_A)
    assert np.array_equal(beads.side_chain_length_A, home.side_chain_length_A)


def test_every_heavy_atom_can_be_a_bead() -> None:
    beads = coarse_grain(demo("4ake_A.pdb"), kind="atoms")
    assert len(beads) == len(beads.atoms) == len(beads.atom_bead)
    assert np.array_equal(beads.anchor_A, beads.atoms.coords_A)
    assert set(beads.type_names) == {"C", "N", "O", "S"}
    assert (beads.atoms.atom_name[beads.trace] == "CA").all()
    assert np.array_equal(beads.structure.coords_A, beads.anchor_A[beads.trace])
    assert beads.side_chains.shape == (0, 2)


@pytest.mark.parametrize("kind", ["CA", "CA+SC"])
def test_every_atom_is_carried_by_a_bead_of_its_residue(kind: str) -> None:
    beads = coarse_grain(demo(), kind=kind)
    backbone = np.arange(len(beads))
    backbone[beads.side_chains[:, 1]] = beads.side_chains[:, 0]
    owner = beads.structure.residue_id[backbone[beads.atom_bead]]
    assert np.array_equal(owner, beads.atoms.residue_id)
    assert np.array_equal(np.unique(beads.atom_bead), np.arange(len(beads)))


SUGAR = ["P", "O5'", "C3'", "C1'", "N9", "O3'"]


def test_nucleotides_have_beads_on_p_or_c1() -> None:
    for names, kinds in ((SUGAR, ["A", "C", "G"]), (SUGAR, ["DA", "DT", "PSU"])):
        strand = nucleic(names, kinds)
        beads = coarse_grain(strand)
        assert (beads.structure.atom_name == "P").all()
        assert beads.bonded.all()  # 7 A apart
        assert "3 nucleotides by P" in beads.report
        assert (coarse_grain(strand, nucleotide="C1'").structure.atom_name == "C1'").all()
    assert "1 PSU" in beads.report
    old = nucleic([name.replace("'", "*") for name in SUGAR], ["A", "C"])
    assert (coarse_grain(old, nucleotide="C1'").structure.atom_name == "C1*").all()


def test_a_strand_without_its_first_phosphate_keeps_its_first_residue_and_says_so() -> None:
    strand = nucleic(SUGAR, ["G", "A", "C"])
    beads = coarse_grain(strand.take(np.arange(len(strand)) != 0))
    assert beads.structure.atom_name.tolist() == ["C1'", "P", "P"]
    assert beads.skipped == ()
    assert "without P and so by C1': A 1 G" in beads.report


def test_a_base_is_the_side_chain_of_a_nucleotide() -> None:
    beads = coarse_grain(nucleic(SUGAR, ["A", "G"]), kind="CA+SC")
    assert beads.side_chains.tolist() == [[0, 2], [1, 3]]
    assert (beads.atoms.atom_name[beads.atom_bead >= 2] == "N9").all()


def test_extended_nucleotides_are_bonded_through_their_phosphate() -> None:
    coords = [[0, 0, 0], [3, 0, 0], [4.6, 0, 0], [9.5, 0, 0], [12, 0, 0]]
    names = ["C1'", "O3'", "P", "C1'", "O3'"]
    strand = structure(names, [1, 1, 2, 2, 2], ["A"] * 5, coords, ["A"] * 5)
    assert coarse_grain(strand, nucleotide="C1'").bonded.tolist() == [True]
    strand.coords_A[2, 1] = 3.0
    assert coarse_grain(strand, nucleotide="C1'").bonded.tolist() == [False]


def test_protein_and_nucleic_acid_are_not_bonded_to_each_other() -> None:
    coords = [[0, 0, 0], [3.8, 0, 0], [7.6, 0, 0], [13, 0, 0]]
    mixed = structure(
        ["CA", "CA", "P", "P"], [1, 2, 3, 4], ["A"] * 4, coords, ["ALA", "GLY", "A", "U"]
    )
    beads = coarse_grain(mixed)
    assert beads.bonded.tolist() == [True, False, True]
    assert "2 amino acids and 2 nucleotides" in beads.report


def test_modified_residues_are_kept_and_ligands_named() -> None:
    names = ["HSD", "MSE", "SEP", "XYZ", "HOH", "CA", "PO4"]
    atoms = structure(
        ["CA", "CA", "CA", "CA", "O", "CA", "P"],
        list(range(1, 8)),
        ["A"] * 7,
        [[3.8 * i, 0, 0] for i in range(7)],
        names,
    )
    element = np.array(["C", "C", "C", "C", "O", "Ca", "P"])
    protein = Structure(**{**vars(atoms), "element": element})
    beads = coarse_grain(protein)
    assert beads.structure.residue_name.tolist() == names[:4]
    assert beads.skipped == ("A 5 HOH", "A 6 CA", "A 7 PO4")
    assert all(name in beads.report for name in names[:4])
    assert "Left out 3" in beads.report
    for width in ("residue", "prins", "fixed"):  # XYZ is in no table
        assert (coarse_grain(protein, width=width, amplitude="electrons").amplitude > 0).all()


def test_insertion_codes_are_residues_and_chains_are_numbered_in_file_order() -> None:
    atoms = structure(
        ["CA"] * 4, [1, 1, 2, 1], ["B", "B", "B", "A"], [[3.8 * i, 0, 0] for i in range(4)]
    )
    inserted = Structure(**{**vars(atoms), "insertion_code": np.array(["", "A", "", ""])})
    beads = coarse_grain(inserted)
    assert len(beads) == 4
    assert beads.chain.tolist() == [0, 0, 0, 1]


def test_unmarked_alternatives_count_once() -> None:
    atoms = structure(
        ["CA", "CB", "CB"], [1, 1, 1], ["A"] * 3, [[0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]]
    )
    atoms.occupancy[:] = 1.0, 0.4, 0.6
    beads = coarse_grain(atoms, amplitude="electrons")
    assert beads.amplitude.tolist() == [12.0]
    assert np.allclose(beads.atoms.coords_A[1], [0, 1.5, 0])
    assert "1 atoms named twice" in beads.report


def direct_sigma_A(distance_A: np.ndarray, weight: np.ndarray) -> float:
    """The fit by brute force: rotation average sampled, images compared on a radial grid."""
    direction = np.random.default_rng(1).standard_normal((4000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    flat = np.hypot(direction[:, 0], direction[:, 1])[:, None] * distance_A
    r = np.arange(0.02, 10, 0.04)
    # a Gaussian at radius f averaged over the turn: Bessel i0, taken by a sum over angles
    angle = np.arange(32) * 2 * np.pi / 32
    image = np.zeros_like(r)
    for some, w in zip(flat.T, weight / weight.sum(), strict=True):
        density, edges = np.histogram(some, bins=60, density=False)
        middle = (edges[1:] + edges[:-1]) / 2
        d2 = (
            r**2
            + middle[:, None, None] ** 2
            - 2 * r * middle[:, None, None] * np.cos(angle[:, None])
        )
        image += w * np.einsum("f,far->r", density / 4000, np.exp(-d2 / 2)) / 32 / (2 * np.pi)
    sigmas = np.arange(0.9, 4, 0.01)
    model = np.exp(-(r**2) / 2 / sigmas[:, None] ** 2) / (2 * np.pi * sigmas[:, None] ** 2)
    return float(sigmas[((model - image) ** 2 @ r).argmin()])


def test_the_fitted_width_agrees_with_sampled_projections() -> None:
    distance_A, weight = np.array([0.0, 1.5, 1.5, 2.4, 4.0]), np.array([6.0, 7.0, 6.0, 8.0, 6.0])
    fitted = fitted_sigma_A(distance_A, weight, np.zeros(5, dtype=np.int64))
    assert np.allclose(fitted, direct_sigma_A(distance_A, weight), atol=0.02)
    one = fitted_sigma_A(np.zeros(1), np.ones(1), np.zeros(1, dtype=np.int64))
    assert np.allclose(one, 1.0, atol=0.003)


def check_prins(atoms: Structure) -> None:
    table = per_type(coarse_grain(atoms, centre="CA", width="prins", amplitude="electrons"))
    masses = {"GLY": 30, "ALA": 38, "SER": 46, "PRO": 52, "VAL": 54, "PHE": 78, "TYR": 86}
    for name, mass in masses.items():
        assert table[name][1] == mass
    assert table["GLY"][0] == pytest.approx(1.4, abs=0.06)
    assert table["ALA"][0] == pytest.approx(1.4, abs=0.06)
    assert table["ARG"][0] == pytest.approx(2.15, abs=0.12)
    assert all(1.3 < sigma < 2.3 for sigma, _ in table.values())
    split = coarse_grain(atoms, kind="CA+SC", width="prins", amplitude="electrons")
    parts = per_type(split)
    assert parts["TYR"][1] + parts["TYR side chain"][1] == masses["TYR"]
    assert parts["PRO"][1] == 28


def test_widths_and_masses_are_those_of_prins() -> None:
    check_prins(demo())


def test_widths_and_masses_of_the_reference_structures(fixtures_dir: Path) -> None:
    check_prins(read_structure(fixtures_dir / "structures" / "1ake_A.pdb"))
    spike = read_structure(fixtures_dir / "structures" / "6vxx_spike_closed.pdb")
    table = per_type(coarse_grain(spike, centre="CA", width="prins", amplitude="electrons"))
    assert table["TRP"] == (pytest.approx(2.15, abs=0.12), 98)


def test_a_ribosome_is_kept_whole(fixtures_dir: Path) -> None:
    ribosome = read_structure(fixtures_dir / "structures" / "6zu5_ribosome_165k_atoms.cif.gz")
    beads = coarse_grain(ribosome, kind="CA+SC", width="prins")
    assert beads.skipped == ()
    assert len(beads.trace) == len(ribosome.residue_starts())
    assert len(beads.atoms) == ribosome.heavy_atoms().sum()
    assert (~beads.bonded).sum() < 2 * beads.chain.max()
    assert np.isfinite(beads.variance_A2).all()


def test_a_fixed_width_is_that_of_every_bead() -> None:
    assert np.allclose(coarse_grain(demo(), width="fixed", sigma_A=3.71).variance_A2, 3.71**2)


def test_training_settings_name_the_same_things() -> None:
    settings = SimpleNamespace(
        coarse_grain="CA+SC",
        nucleotide="P",
        centre="mass",
        amplitude="electrons",
        width="fixed",
        sigma_A=2.5,
        side_chain_start="CA",
    )
    ours = beads_for(demo(), settings, "1ake_A.pdb")
    same = coarse_grain(
        demo(),
        kind="CA+SC",
        amplitude="electrons",
        width="fixed",
        sigma_A=2.5,
        side_chain_start="CA",
    )
    assert np.array_equal(ours.anchor_A, same.anchor_A)
    assert np.array_equal(ours.amplitude, same.amplitude)
    assert np.array_equal(ours.variance_A2, same.variance_A2)


def test_nucleotide_centres_turn_with_the_strand_and_pieces_of_one_with_their_surroundings() -> (
    None
):
    beads = coarse_grain(nucleic(SUGAR, ["A", "C", "G", "U", "A", "G"], step_A=5.0))
    beads.bonded[:1] = False  # the first residue is on its own
    carried = CarriedCentres(beads)
    anchors = torch.as_tensor(beads.anchor_A).float()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))[0]
    turn = turn * torch.sign(torch.det(turn))
    centres = torch.as_tensor(beads.centre_A).float()
    assert torch.allclose(carried(anchors[None] @ turn.T)[0], centres @ turn.T, atol=1e-3)


@pytest.mark.parametrize("kind", ["CA+SC", "atoms"])
def test_beads_without_an_offset_lie_on_their_anchors(kind: str) -> None:
    beads = coarse_grain(demo(), kind=kind)
    moved = torch.as_tensor(beads.anchor_A).float()[None] + 2 * torch.randn(2, len(beads), 3)
    moved.requires_grad_()
    centres = CarriedCentres(beads)(moved)
    assert torch.allclose(centres, moved)
    (gradient,) = torch.autograd.grad(centres.sum(), moved)
    assert torch.allclose(gradient, torch.ones_like(gradient))


def test_a_bead_may_carry_backbone_and_side_chain_apart() -> None:
    mass, parts = coarse_grain(demo()), coarse_grain(demo(), centre="parts")
    assert len(parts) == len(mass) == 214
    glycines = int((parts.structure.residue_name == "GLY").sum())
    assert len(parts.centre_A) == 2 * 214 - glycines
    assert np.allclose(parts.mass, mass.amplitude)
    both = np.zeros((214, 3))
    np.add.at(both, parts.carrier, parts.amplitude[:, None] * parts.centre_A)
    assert np.allclose(both / parts.mass[:, None], mass.centre_A, atol=1e-6)


def test_both_parts_turn_with_the_frame() -> None:
    beads = coarse_grain(demo(), centre="parts")
    carried = CarriedCentres(beads)
    rest_A = torch.as_tensor(beads.anchor_A).float()
    centres_A = torch.as_tensor(beads.centre_A).float()
    assert torch.allclose(carried(rest_A[None])[0], centres_A, atol=1e-3)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn).sign()
    moved = carried((rest_A @ turn.T + 5.0)[None])[0]
    assert torch.allclose(moved, centres_A @ turn.T + 5.0, atol=1e-3)
    anchors = (rest_A + torch.randn(4, 214, 3)).requires_grad_()
    weight = torch.randn(4, len(centres_A), 3)
    slopes = [
        torch.autograd.grad((path(anchors) * weight).sum(), anchors)[0]
        for path in (carried, carried.reference)
    ]
    assert torch.allclose(slopes[0], slopes[1], rtol=1e-3, atol=1e-3)
