"""Atomic models are read as biologists mean them and written so that nothing is lost."""

from __future__ import annotations

import gzip
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscope.data import InputError, Structure, Trajectory
from cryoscope.io.dcd import read_dcd
from cryoscope.io.structures import (
    read_models,
    read_structure,
    read_topology,
    structure_without_hydrogens,
    write_structure,
    write_trajectory,
)

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared/fixtures is not beside the repository"
)


def atom(
    serial: int,
    name: str,
    residue: str,
    number: int,
    *,
    x_A: float = 0.0,
    chain: str = "A",
    element: str = "C",
    altloc: str = " ",
    occupancy: float = 1.0,
    code: str = " ",
    record: str = "ATOM",
) -> str:
    padded = f" {name:<3}" if len(name) < 4 and len(element) == 1 else f"{name:<4}"
    return (
        f"{record:<6}{serial:>5} {padded}{altloc}{residue:>3} {chain}{number:>4}{code}   "
        f"{x_A:8.3f}{0:8.3f}{0:8.3f}{occupancy:6.2f}{10:6.2f}          {element:>2}\n"
    )


def written(folder: Path, *lines: str) -> Path:
    path = folder / "model.pdb"
    path.write_text("".join(lines) + "END\n")
    return path


def chain_of_alanine(count: int = 3) -> list[str]:
    return [atom(i, "CA", "ALA", i, x_A=3.8 * i) for i in range(1, count + 1)]


def structure(count: int = 4, seed: int = 0) -> Structure:
    rng = np.random.default_rng(seed)
    return Structure(
        coords_A=rng.uniform(-900, 9000, size=(count, 3)).round(3),
        element=np.array(["N", "C", "C", "Se"] * count)[:count],
        atom_name=np.array(["N", "CA", "CB", "SE"] * count)[:count],
        residue_name=np.array(["ALA"] * count),
        residue_id=np.arange(count) // 4 + 1,
        chain_id=np.array(["A"] * count),
        insertion_code=np.array([""] * count),
        b_factor_A2=rng.uniform(0, 200, size=count).round(2),
        occupancy=np.ones(count),
        name="model",
    )


def assert_same(first: Structure, second: Structure, tolerance: float = 6e-3) -> None:
    for field in fields(Structure):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "name":
            continue
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, atol=tolerance, err_msg=field.name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


class TestReading:
    def test_waters_and_ligands_are_left_out(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            *chain_of_alanine(),
            atom(4, "CA", "MSE", 4, record="HETATM"),
            atom(5, "CA", "HSD", 5),
            atom(6, "CA", "SEC", 6, record="HETATM"),
            atom(7, "CA", "GLY", 7),
            "TER\n",
            atom(8, "O", "HOH", 301, element="O", record="HETATM"),
            atom(9, "CA", "CA", 302, element="CA", record="HETATM"),
            atom(10, "C1", "ATP", 303, record="HETATM"),
            atom(11, "OH2", "TIP", 304, element="O", chain="W"),
        )
        read = read_structure(path)
        assert read.residue_name.tolist() == [*["ALA"] * 3, "MSE", "HSD", "SEC", "GLY"]
        assert read.name == "model"
        everything = read_structure(path, keep_hetero=True)
        assert len(everything) == 11
        assert everything.element[8] == "Ca"

    def test_alternative_positions(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            *chain_of_alanine(),
            atom(4, "CA", "SER", 4, x_A=1, altloc="A", occupancy=0.4),
            atom(5, "CA", "SER", 4, x_A=2, altloc="B", occupancy=0.6),
            atom(6, "CB", "SER", 4, x_A=3, altloc="A", occupancy=0.5),
            atom(7, "CB", "SER", 4, x_A=4, altloc="B", occupancy=0.5),
            atom(8, "C", "SER", 4, x_A=5),
        )
        assert read_structure(path).coords_A[3:, 0].tolist() == [2, 3, 5]

    def test_two_residue_types_at_one_place(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            *chain_of_alanine(),
            atom(4, "CA", "SER", 4, altloc="A", occupancy=0.3),
            atom(5, "OG", "SER", 4, altloc="A", occupancy=0.3, element="O"),
            atom(6, "CA", "THR", 4, altloc="B", occupancy=0.7),
            atom(7, "CG2", "THR", 4, altloc="B", occupancy=0.7),
        )
        assert read_structure(path).residue_name[3:].tolist() == ["THR", "THR"]

    def test_insertion_codes_and_negative_numbers(self, tmp_path: Path) -> None:
        lines = [
            atom(1, "CA", "ALA", -3),
            atom(2, "CA", "ALA", 52),
            atom(3, "CA", "ALA", 52, code="A"),
            atom(4, "CA", "ALA", 52, code="B"),
        ]
        read = read_structure(written(tmp_path, *lines))
        assert read.residue_id.tolist() == [-3, 52, 52, 52]
        assert read.insertion_code.tolist() == ["", "", "A", "B"]
        assert len(read.residue_starts()) == 4

    def test_first_model_only(self, tmp_path: Path) -> None:
        one, two = chain_of_alanine(), [line.replace("ALA", "GLY") for line in chain_of_alanine()]
        path = written(tmp_path, "MODEL 1\n", *one, "ENDMDL\nMODEL 2\n", *two, "ENDMDL\n")
        assert read_structure(path).residue_name.tolist() == ["ALA"] * 3

    def test_chains(self, tmp_path: Path) -> None:
        lines = [line.replace(" A ", f" {c} ") for c in "ABC" for line in chain_of_alanine()]
        path = written(tmp_path, *lines)
        assert set(read_structure(path, chains="A, C").chain_id) == {"A", "C"}
        with pytest.raises(InputError, match=r"no chain X.*A, B, C"):
            read_structure(path, chains="A,X")
        with pytest.raises(InputError, match="no chain ' '"):
            read_structure(path, chains=" ")

    def test_hydrogens(self, tmp_path: Path) -> None:
        lines = [
            *chain_of_alanine(),
            atom(4, "HA", "ALA", 3, element="H"),
            atom(5, "D", "ALA", 3, element="D"),
            atom(6, "HG", "ALA", 3, element="HG"),
        ]
        read = read_structure(written(tmp_path, *lines))
        assert len(read) == 6
        assert structure_without_hydrogens(read).atom_name.tolist() == ["CA"] * 3 + ["HG"]

    def test_gzipped(self, tmp_path: Path) -> None:
        path = written(tmp_path, *chain_of_alanine())
        packed = tmp_path / "model.pdb.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert_same(read_structure(path), read_structure(packed), tolerance=0)
        packed.write_bytes(packed.read_bytes()[:-20])
        with pytest.raises(InputError, match="not readable"):
            read_structure(packed)

    @pytest.mark.parametrize("suffix", [".pdb", ".cif", ".pdb.gz", ".cif.gz"])
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"garbage\n" * 9,
            b"\0\xff" * 999,
            b"data_x\nloop_\n_atom_site.id\n1 2\n",
            b"{}",
            b"[",
        ],
    )
    def test_garbage(self, tmp_path: Path, suffix: str, content: bytes) -> None:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match="not readable"):
            read_structure(path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            read_structure(tmp_path / "absent.pdb")

    def test_only_water(self, tmp_path: Path) -> None:
        path = written(tmp_path, atom(1, "O", "HOH", 1, element="O", record="HETATM"))
        with pytest.raises(InputError, match="only waters and ligands"):
            read_structure(path)

    def test_position_that_is_no_number(self, tmp_path: Path) -> None:
        path = tmp_path / "model.cif"
        write_structure(path, structure())
        text = path.read_text()
        x_A = f"{structure().coords_A[1, 0]:.3f}".rstrip("0")
        assert text.count(f" {x_A} ") == 1
        path.write_text(text.replace(f" {x_A} ", " ? "))
        with pytest.raises(InputError, match="atom CA of ALA 1, chain A, has no position"):
            read_structure(path)


class TestWriting:
    @pytest.mark.parametrize("suffix", [".pdb", ".cif", ".ent", ".mmcif"])
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(seed=st.integers(0, 1000), count=st.integers(1, 30), data=st.data())
    def test_round_trip(
        self, tmp_path: Path, suffix: str, seed: int, count: int, data: st.DataObject
    ) -> None:
        first = data.draw(st.integers(-999, 9000))
        codes = data.draw(st.sampled_from([("", "A"), ("A", "B")]))
        base = structure(count, seed)
        given_structure = replace(
            base,
            residue_id=base.residue_id // 2 + first,
            insertion_code=np.array([codes[i % 2] for i in base.residue_id.tolist()]),
            chain_id=np.where(np.arange(count) < count // 8 * 4, "B", "A"),
        )
        path = tmp_path / f"model{suffix}"
        write_structure(path, given_structure)
        assert_same(read_structure(path, keep_hetero=True), given_structure)

    @pytest.mark.parametrize("suffix", [".pdb", ".cif"])
    def test_trajectory_round_trip(self, tmp_path: Path, suffix: str) -> None:
        base = structure(8)
        frames = np.random.default_rng(0).uniform(-50, 50, size=(5, 8, 3)).round(3)
        path = tmp_path / f"path{suffix}"
        write_trajectory(path, Trajectory(base, frames.astype(np.float32)))
        read = read_models(path)
        np.testing.assert_allclose(read.coords_A, frames, atol=6e-4)
        assert_same(read.structure, base.with_coords(frames[0]))
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("suffix", [".pdb", ".cif"])
    def test_more_atoms_and_residues_than_columns(self, tmp_path: Path, suffix: str) -> None:
        count = 100_500
        base = structure(count)
        given_structure = replace(base, residue_id=np.arange(count) // 4 + 1)
        path = tmp_path / f"big{suffix}"
        write_structure(path, given_structure)
        assert_same(read_structure(path), given_structure)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"chain_id": np.array(["AA"] * 4)}, "chain names"),
            ({"residue_name": np.array(["A1ABC"] * 4)}, "residue names"),
            ({"atom_name": np.array(["ABCDE"] * 4)}, "atom names"),
            ({"residue_id": np.array([-1000] * 4)}, "residue numbers below"),
            ({"residue_id": np.array([2_000_000] * 4)}, "residue numbers above"),
            ({"coords_A": np.full((4, 3), 10_000.0)}, "coordinates beyond"),
            ({"coords_A": np.full((4, 3), -1000.0)}, "coordinates beyond"),
        ],
    )
    def test_what_pdb_cannot_hold_goes_to_cif(
        self, tmp_path: Path, change: dict[str, np.ndarray], problem: str
    ) -> None:
        given_structure = replace(structure(), **change)
        with pytest.raises(InputError, match=rf"{problem}.*\.cif"):
            write_structure(tmp_path / "model.pdb", given_structure)
        assert list(tmp_path.iterdir()) == []
        write_structure(tmp_path / "model.cif", given_structure)
        assert_same(read_structure(tmp_path / "model.cif", keep_hetero=True), given_structure)

    def test_refusals(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"\.pdb or \.cif"):
            write_structure(tmp_path / "model.xyz", structure())
        with pytest.raises(InputError, match="at least one"):
            write_structure(tmp_path / "model.pdb", structure().take(np.zeros(0, dtype=int)))
        with pytest.raises(InputError, match="do not fit"):
            write_trajectory(tmp_path / "model.pdb", Trajectory(structure(), np.zeros((2, 3, 3))))
        with pytest.raises(InputError, match="not a number"):
            write_structure(
                tmp_path / "model.pdb", structure().with_coords(np.full((4, 3), np.nan))
            )
        with pytest.raises(InputError, match="no folder"):
            write_structure(tmp_path / "absent" / "model.pdb", structure())
        with pytest.raises(InputError, match="no folder"):
            write_structure(tmp_path / "absent" / "model.cif", structure())
        assert list(tmp_path.iterdir()) == []


class TestModels:
    def test_unequal_models(self, tmp_path: Path) -> None:
        models = [chain_of_alanine(3), chain_of_alanine(4)]
        lines = [
            line for i, m in enumerate(models) for line in (f"MODEL {i + 1}\n", *m, "ENDMDL\n")
        ]
        with pytest.raises(InputError, match="model 2 has 4 atoms"):
            read_models(written(tmp_path, *lines))

    def test_other_atoms(self, tmp_path: Path) -> None:
        models = [chain_of_alanine(3), [line.replace("ALA", "GLY") for line in chain_of_alanine(3)]]
        lines = [
            line for i, m in enumerate(models) for line in (f"MODEL {i + 1}\n", *m, "ENDMDL\n")
        ]
        with pytest.raises(InputError, match="model 2 has other atoms"):
            read_models(written(tmp_path, *lines))

    def test_one_model_is_one_frame(self, tmp_path: Path) -> None:
        assert read_models(written(tmp_path, *chain_of_alanine())).coords_A.shape == (1, 3, 3)


@needs_fixtures
class TestRealFiles:
    def test_alpha_carbons(self) -> None:
        for name, count in (
            ("1ake_A.pdb", 214),
            ("1ake_AB_chimerax.cif", 428),
            ("4ake_A_with_H.pdb", 214),
            ("6vxx_spike_closed.pdb", 3 * 972),
            ("nsp13_desres_start.pdb", 591),
        ):
            read = read_structure(FIXTURES / "structures" / name)
            assert np.count_nonzero(read.atom_name == "CA") == count, name

    def test_large_mmcif_with_long_chain_names(self, tmp_path: Path) -> None:
        read = read_structure(FIXTURES / "structures" / "6zu5_ribosome_165k_atoms.cif.gz")
        assert len(set(read.chain_id)) == 74
        write_structure(tmp_path / "a.cif", read)
        assert_same(read_structure(tmp_path / "a.cif"), read)

    def test_models_equal_the_dcd_of_another_program(self) -> None:
        folder = FIXTURES / "structures"
        from_pdb, from_cif = (read_models(folder / f"1l2y_nmr38.{s}") for s in ("pdb", "cif"))
        np.testing.assert_array_equal(from_pdb.coords_A, from_cif.coords_A)
        assert_same(from_pdb.structure, from_cif.structure)
        frames_A = read_dcd(FIXTURES / "trajectories" / "1l2y.dcd")
        np.testing.assert_allclose(frames_A, from_pdb.coords_A, atol=2e-6)

    def test_topology_keeps_every_atom(self) -> None:
        path = FIXTURES / "structures" / "1ake_AB_chimerax.cif"
        everything, kept = read_topology(path)
        assert len(everything) == 3816
        assert_same(everything.take(kept), read_structure(path), tolerance=0)
