"""A DCD file and its topology become one trajectory of the molecule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.dcd import write_dcd
from cryoscope.io.trajectories import read_trajectory

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"

PSF = """PSF

       1 !NTITLE
 REMARKS made for a test

       5 !NATOM
       1 PROA 1    HSE  N      56  -0.300000       14.0070           0
       2 PROA 1    HSE  CA     22   0.210000       12.0110           0
       3 PROA 1    HSE  HA      6   0.100000       1.00800           0
       4 PROB 7    MET  SD     81  -0.090000       32.0600           0
       5 ION  8    SOD  SOD    90   1.000000       22.9898           0

       0 !NBOND: bonds

"""


def atom(serial: int, identity: str) -> str:
    return f"ATOM  {serial:>5}  {identity}    {3.8 * serial:8.3f}{0:8.3f}{0:8.3f}  1.00 10.00\n"


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "model.pdb"
    path.write_text("".join(lines) + "END\n")
    return path


class TestTrajectories:
    coords_A = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)

    def test_psf(self, tmp_path: Path) -> None:
        pytest.importorskip("prody")
        (tmp_path / "a.psf").write_text(PSF)
        write_dcd(tmp_path / "a.dcd", self.coords_A)
        read = read_trajectory(tmp_path / "a.dcd", tmp_path / "a.psf")
        np.testing.assert_array_equal(read.coords_A, self.coords_A[:, :4])
        np.testing.assert_array_equal(read.structure.coords_A, self.coords_A[0, :4])
        assert read.structure.residue_name.tolist() == ["HIS", "HIS", "HIS", "MET"]
        assert read.structure.element.tolist() == ["N", "C", "H", "S"]
        assert read.structure.chain_id.tolist() == ["A", "A", "A", "B"]
        assert read.structure.residue_id.tolist() == [1, 1, 1, 7]

    @pytest.mark.parametrize(
        "content", ["", "nonsense\n", PSF[:200], PSF.replace("5 !N", "500000 !N")]
    )
    def test_broken_psf(self, tmp_path: Path, content: str) -> None:
        pytest.importorskip("prody")
        (tmp_path / "a.psf").write_text(content)
        write_dcd(tmp_path / "a.dcd", self.coords_A)
        with pytest.raises(InputError, match=r"a\.psf"):
            read_trajectory(tmp_path / "a.dcd", tmp_path / "a.psf")

    def test_psf_without_prody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prody", None)
        with pytest.raises(InputError, match=r"prody.*\.pdb"):
            read_trajectory(tmp_path / "a.dcd", tmp_path / "a.psf")

    def test_pdb_topology_is_taken_in_file_order(self, tmp_path: Path) -> None:
        # Two parts of chain A with chain B between them: readers gather the parts of a chain.
        lines = [
            atom(1, "CA  ALA A   1"),
            atom(2, "CA  GLY B   1"),
            atom(3, "O   HOH W   9"),
            atom(4, "CA  HSP A   2"),
            atom(5, "CA  SER B   2"),
        ]
        write_dcd(tmp_path / "a.dcd", self.coords_A)
        read = read_trajectory(tmp_path / "a.dcd", written(tmp_path, lines))
        assert read.structure.residue_name.tolist() == ["ALA", "GLY", "HIS", "SER"]
        np.testing.assert_array_equal(read.coords_A, self.coords_A[:, [0, 1, 3, 4]])

    def test_other_number_of_atoms(self, tmp_path: Path) -> None:
        write_dcd(tmp_path / "a.dcd", self.coords_A)
        with pytest.raises(InputError, match=r"5 atoms.*model\.pdb has 3"):
            read_trajectory(
                tmp_path / "a.dcd",
                written(tmp_path, [atom(i, f"CA  ALA A   {i}") for i in (1, 2, 3)]),
            )

    @pytest.mark.skipif(
        not FIXTURES.is_dir(), reason="shared/fixtures is not beside the repository"
    )
    def test_transition_of_adenylate_kinase(self, tmp_path: Path) -> None:
        prody = pytest.importorskip("prody")
        folder = FIXTURES / "trajectories"
        dcd = folder / "adk_dims0001_fit-core.dcd"
        read = read_trajectory(dcd, folder / "adk4ake.psf")
        carbons = read.coords_A[:, read.structure.atom_name == "CA"]
        assert carbons.shape == (102, 214, 3)
        assert "HSD" not in read.structure.residue_name
        step_A = np.linalg.norm(np.diff(carbons, axis=1), axis=2)
        assert abs(np.median(step_A) - 3.85) < 0.1
        np.testing.assert_array_equal(prody.parseDCD(str(dcd)).getCoordsets(), read.coords_A)
        write_dcd(tmp_path / "a.dcd", read.coords_A)
        ours = prody.parseDCD(str(tmp_path / "a.dcd")).getCoordsets()
        np.testing.assert_array_equal(ours, read.coords_A)


def test_reading_needs_no_torch() -> None:
    code = (
        "import sys, cryoscope.io.run_folder, cryoscope.io.particle_cache, "
        "cryoscope.io.trajectories\n"
        "assert not {'torch', 'prody', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
