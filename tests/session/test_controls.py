from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError, Structure
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure
from cryoscope.session import controls
from cryoscope.training.config import TrainConfig
from cryoscope.training.events import RunFinished
from cryoscope.training.presets import preset
from cryoscope.training.trainer import Trainer
from tests.training.conftest import bent_helix, simulated_set


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = simulated_set(tmp_path_factory.mktemp("controls") / "set", particles=120)
    base = preset("cryoscope-default")
    return replace(
        base,
        threads=1,
        device="cpu",
        data=replace(
            base.data,
            particles=str(folder / "particles.star"),
            structure=str(folder / "reference.pdb"),
            box_size_px=32,
        ),
        encoder=replace(base.encoder, widths=(32,)),
        deformer=replace(base.deformer, widths=(32,)),
        optimiser=replace(base.optimiser, batch_size=32, epochs=2),
    )


def train(config: TrainConfig, path: Path) -> bool:
    last = list(Trainer(config, path).events())[-1]
    return isinstance(last, RunFinished) and last.reason == "completed"


def stopped(config: TrainConfig, path: Path) -> bool:
    return False


def with_data(config: TrainConfig, **values: object) -> TrainConfig:
    return replace(config, data=replace(config.data, **values))


def test_half_sets_are_trained_apart_and_compared(config: TrainConfig, tmp_path: Path) -> None:
    result = controls.halves(config, tmp_path, train)
    assert result is not None
    assert result.figures["particles"] == 120
    assert np.isfinite(result.figures["disagreement_A"])
    subsets = [RunFolder.open(tmp_path / name).config()["data"]["subset"]
               for name in ("half1", "half2")]  # fmt: skip
    assert subsets == ["half1", "half2"]
    lines = (tmp_path / "disagreement.csv").read_text().splitlines()
    assert lines[0].startswith("chain,residue,insertion_code,name,disagreement_A,unmatched_A")
    assert len(lines) == 41
    written = read_structure(tmp_path / "disagreement.pdb")
    table_A = np.array([float(line.split(",")[4]) for line in lines[1:]])
    np.testing.assert_allclose(written.b_factor_A2, table_A, atol=0.006)
    assert set(result.files) == {tmp_path / "disagreement.csv", tmp_path / "disagreement.pdb"}


def test_a_run_agrees_with_itself(config: TrainConfig, tmp_path: Path) -> None:
    assert train(config, tmp_path / "run")
    found = controls.compare_runs(tmp_path / "run", tmp_path / "run")
    np.testing.assert_allclose(found.per_residue_A, 0, atol=1e-5)


def test_noise_is_trained_on_and_measured(config: TrainConfig, tmp_path: Path) -> None:
    result = controls.noise(config, tmp_path, train)
    assert result is not None
    assert RunFolder.open(tmp_path / "noise").config()["data"]["control"] == "noise"
    figures = result.figures
    assert 0 <= figures["motion_A"] <= figures["deformation_A"] + 1e-9
    assert figures["passed"] == (figures["deformation_A"] < controls.NOISE_LIMIT_A)


def test_a_wrong_reference_is_compared_on_unseen_images(
    config: TrainConfig, tmp_path: Path
) -> None:
    result = controls.wrong_reference(config, tmp_path, train)
    assert result is not None
    assert result.figures["held_out_particles"] == 12
    apart = result.figures["data_wrong"] - result.figures["data_right"]
    assert result.figures["wrong_minus_right"] == pytest.approx(apart)
    right, wrong = (RunFolder.open(tmp_path / name) for name in ("right", "wrong"))
    assert right.optics() == wrong.optics()
    assert right.info()["contrast"] == wrong.info()["contrast"]
    radii = {run.config()["data"]["particle_radius_A"] for run in (right, wrong)}
    assert len(radii) == 1
    assert radii != {0.0}
    reference = read_structure(right.reference_path).coords_A
    other = read_structure(wrong.reference_path).coords_A
    np.testing.assert_allclose(other.mean(0), reference.mean(0), atol=0.01)
    assert np.abs(other - reference).max() > 1.0
    assert "deformation_A_right" in result.figures


def test_a_wrong_reference_may_be_given(config: TrainConfig, tmp_path: Path) -> None:
    wrong = tmp_path / "given.pdb"
    wrong.write_bytes(Path(config.data.structure).read_bytes())
    result = controls.wrong_reference(config, tmp_path / "c", train, wrong)
    assert result is not None
    assert result.figures["wrong_minus_right"] == pytest.approx(0, abs=0.5)


def test_held_out_images_against_trained_ones(config: TrainConfig, tmp_path: Path) -> None:
    assert train(with_data(config, held_out=0.25), tmp_path / "run")
    figures = controls.held_out_gap(tmp_path / "run").figures
    assert (figures["trained_particles"], figures["held_out_particles"]) == (90, 30)
    gap = figures["data_held_out"] - figures["data_trained"]
    assert figures["held_out_minus_trained"] == pytest.approx(gap)
    assert figures["standard_error"] > 0
    assert train(config, tmp_path / "all")
    with pytest.raises(InputError, match="held out no particles"):
        controls.held_out_gap(tmp_path / "all")


def test_a_stopped_control_has_no_result(config: TrainConfig, tmp_path: Path) -> None:
    assert controls.halves(config, tmp_path, stopped) is None
    assert controls.noise(config, tmp_path, stopped) is None
    assert controls.wrong_reference(config, tmp_path, stopped) is None
    with pytest.raises(InputError, match="--structure"):
        controls.wrong_reference(with_data(config, structure=""), tmp_path, stopped)


def test_a_mirror_image_has_the_other_hand_in_the_same_place() -> None:
    count = 40
    helix = Structure(
        coords_A=bent_helix(30) + np.array([5.0, -3.0, 2.0]),
        element=np.array(["C"] * count),
        atom_name=np.array(["CA"] * count),
        residue_name=np.array(["ALA"] * count),
        residue_id=np.arange(count),
        chain_id=np.array(["A"] * count),
        insertion_code=np.array([""] * count),
        b_factor_A2=np.zeros(count),
        occupancy=np.ones(count),
    )
    other = controls.mirrored(helix)
    np.testing.assert_allclose(other.coords_A.mean(0), helix.coords_A.mean(0), atol=1e-9)

    def hand(coords_A: np.ndarray) -> np.ndarray:
        a, b, c = (np.diff(coords_A, axis=0)[i : count - 3 + i] for i in range(3))
        return np.sign((np.cross(a, b) * c).sum(1))

    np.testing.assert_array_equal(hand(other.coords_A), -hand(helix.coords_A))
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(other.coords_A, axis=0), axis=1),
        np.linalg.norm(np.diff(helix.coords_A, axis=0), axis=1),
    )
