from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoscope.analysis.motion import ResidueMotion, motion_table, residue_motion_A, table_csv
from tests.analysis.structures import trace


def test_one_row_per_residue_in_the_references_numbering() -> None:
    structure = trace()
    coords_A = np.stack([structure.coords_A, structure.coords_A])
    coords_A[1, 0] += [6.0, 0, 8.0]
    rows = motion_table(coords_A, structure)
    assert rows[0] == ResidueMotion("A", 10, "a", "ALA", 5.0, 10.0, 5.0)
    assert rows[3] == ResidueMotion("B", 6, "", "ALA", 0.0, 0.0, 0.0)
    lines = table_csv(rows, ResidueMotion).splitlines()
    assert lines[0] == (
        "chain,residue,insertion_code,name,rms_motion_A,largest_displacement_A,mean_displacement_A"
    )
    assert lines[1] == "A,10,a,ALA,5.0000,10.0000,5.0000"
    with pytest.raises(ValueError, match="trace of 4"):
        motion_table(coords_A[:, :3], structure)


def test_names_with_commas_are_quoted() -> None:
    structure = replace(trace(), chain_id=np.array(["A,1"] * 2 + ["B"] * 2))
    text = table_csv(motion_table(structure.coords_A[None], structure), ResidueMotion)
    assert text.splitlines()[1].startswith('"A,1",10')


def test_atoms_of_a_residue_share_its_motion() -> None:
    structure = replace(
        trace(), residue_id=np.array([1, 1, 2, 2]), insertion_code=np.array([""] * 4)
    )
    coords_A = np.stack([structure.coords_A, structure.coords_A])
    coords_A[1, 0, 0] += 2.0
    expected = np.sqrt((1.0 + 0.0) / 2)
    np.testing.assert_allclose(residue_motion_A(coords_A, structure), [expected, expected, 0, 0])
