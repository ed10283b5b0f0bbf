from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoscope.data import CTFParams, InputError, Optics, Provenance, Selection, Structure, Volume


def atoms(names: list[str], residues: list[int], elements: list[str]) -> Structure:
    n = len(names)
    return Structure(
        coords_A=np.arange(3.0 * n).reshape(n, 3),
        element=np.array(elements),
        atom_name=np.array(names),
        residue_name=np.array(["ALA"] * n),
        residue_id=np.array(residues),
        chain_id=np.array(["A"] * n),
        insertion_code=np.array([""] * n),
        b_factor_A2=np.zeros(n),
        occupancy=np.ones(n),
        name="model",
    )


def test_an_error_is_one_line_with_file_row_problem_and_cure() -> None:
    error = InputError("bad\nvalue", file="a.star", row=3, cure="Mend it.")
    assert str(error) == "a.star, row 3: bad value. Mend it."
    assert (error.file, error.row) == ("a.star", 3)
    assert str(InputError("no file", row=2)) == "row 2: no file"


def test_cropping_keeps_the_field_of_view() -> None:
    cropped = Optics(1.0, 256).cropped(64)
    assert (cropped.pixel_size_A, cropped.box_size_px) == (4.0, 64)


def test_ctf_parameters_are_taken_row_by_row() -> None:
    params = CTFParams.uniform(4, np.array([1e4, 2e4, 3e4, 4e4]), astigmatism_A=200.0)
    some = params.take(np.array([2, 0]))
    assert len(some) == 2
    assert some.defocus_u_A.tolist() == [30_100.0, 10_100.0]
    assert some.defocus_v_A.tolist() == [29_900.0, 9_900.0]


def test_residues_begin_where_number_chain_or_insertion_code_changes() -> None:
    model = atoms(["N", "CA", "N", "CA", "CA"], [1, 1, 2, 2, 2], ["N", "C", "N", "C", "C"])
    assert model.residue_starts().tolist() == [0, 2]
    inserted = replace(model, insertion_code=np.array(["", "", "", "", "A"]))
    assert inserted.residue_starts().tolist() == [0, 2, 4]
    chains = replace(model, chain_id=np.array(["A", "B", "B", "B", "B"]))
    assert chains.residue_starts().tolist() == [0, 1, 2]
    assert len(model.take(np.zeros(5, dtype=bool)).residue_starts()) == 0


def test_one_ca_per_residue_and_no_calcium() -> None:
    model = atoms(["CA", "CA", "CA", "N", "CA"], [1, 1, 2, 3, 4], ["C", "C", "CA", "N", "C"])
    assert model.alpha_carbons().tolist() == [0, 4]
    assert model.take(np.array([3])).alpha_carbons().tolist() == []


def test_hydrogen_and_deuterium_are_not_heavy() -> None:
    model = atoms(["CA", "HA", "D1", "HG"], [1, 1, 1, 2], ["C", "H", "D", "Hg"])
    assert model.heavy_atoms().tolist() == [True, False, False, True]
    assert model.take(model.heavy_atoms()).name == "model"


def test_a_centred_map_has_its_origin_at_half_the_box() -> None:
    volume = Volume.centred(np.zeros((8, 8, 8), np.float32), 1.5, Provenance("decoded", run_id="r"))
    assert volume.origin_A == (-6.0, -6.0, -6.0)
    assert "decoded by the model" in volume.provenance.label()


def test_the_length_of_a_selection_is_the_number_of_its_particles() -> None:
    assert len(Selection("s", np.array([True, False, True]))) == 2


def test_records_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Optics(1.0, 64).box_size_px = 32  # type: ignore[misc]
