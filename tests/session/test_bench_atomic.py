"""Cases, settings and the table of the atomic bench, without training anything."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError, Latents
from cryoscope.session import bench_atomic
from cryoscope.session.bench_atomic import Outcome
from cryoscope.session.bench_atomic_cases import (
    CASES,
    DATA_SETS,
    SCALE_OPTIONS,
    SCALES,
    Case,
    chosen_cases,
    epochs_of,
)
from cryoscope.session.bench_atomic_data import MadeSet, make_set
from cryoscope.session.bench_atomic_figures import (
    LABELS,
    coordinate_figures,
    latent_figures,
    latent_floors,
)
from cryoscope.session.bench_atomic_report import MARKS, figures_json, markdown, rows_of
from cryoscope.session.bench_atomic_settings import differences, with_options
from cryoscope.session.bench_goals import Goal
from cryoscope.session.bench_picture import write_picture
from cryoscope.session.bench_sets import first_folder
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.truth import Truth
from cryoscope.training.presets import preset


def outcomes() -> dict[str, Outcome]:
    first = Case(
        "ours", "group", "dims-0.1", "cryoscope-default",
        (Goal("rmsd_A", "<=", 0.9), Goal("rmsd_A", "<=", 0.4, floor="best fit of 16 modes")),
    )  # fmt: skip
    second = Case(
        "theirs", "group", "dims-0.1", "prins",
        (Goal("rmsd_A", ">=", factor=1.5, case="ours"), Goal("rmsd_A", "<", case="absent")),
    )  # fmt: skip
    third = replace(second, name="failing")
    floors = {"rmsd_A": {"do nothing": 4.4, "mean structure": 2.2, "best fit of 16 modes": 0.5,
                         "oracle": 0.1}}  # fmt: skip
    speed = {"images_per_s": 2500.0, "epochs": 30, "seconds": 120.0}
    return {
        "ours": Outcome(first, {"rmsd_A": 1.0}, floors, speed, ["latent.dim: 8 -> 2"]),
        "theirs": Outcome(second, {"rmsd_A": 1.6}, floors, speed),
        "failing": Outcome(third, problem="no trajectory"),
    }


def test_goals_are_fixed_or_measured_against_floors_and_other_cases() -> None:
    rows = rows_of(outcomes())
    assert [row.reached for row in rows] == [False, False, True, None]
    assert [row.bound for row in rows] == [0.9, pytest.approx(0.9), pytest.approx(1.5), None]
    assert [row.must_reach for row in rows] == [
        "<= 0.9",
        "<= 0.9 (best fit of 16 modes + 0.4)",
        ">= 1.5 (1.5 x ours)",
        "< ? (absent)",
    ]


def test_the_table_has_floors_beside_results_and_says_what_is_missing_or_changed() -> None:
    text = markdown(outcomes(), "cpu", {"cores": 2})
    row = next(line for line in text.splitlines() if line.startswith("| ours"))
    for cell in ("4.4", "2.2", "0.5 (16)", "0.1", "2,500", "30", "120", "**no**"):
        assert f"| {cell} |" in row
    assert "- `failing`: no trajectory" in text
    assert "latent.dim: 8 -> 2" in text
    assert "- `dims-0.1`: dims; snr 0.1" in text


def test_the_figures_are_plain_json() -> None:
    values = json.loads(json.dumps(figures_json(outcomes(), "cpu", {"cores": 2})))
    assert values["rows"][2]["reached"] is True
    assert values["cases"]["failing"]["problem"] == "no trajectory"
    assert values["cases"]["ours"]["floors"]["rmsd_A"]["oracle"] == 0.1


def test_the_picture_is_written_also_of_nothing(tmp_path: Path) -> None:
    from PIL import Image

    for name, rows in (("full.png", rows_of(outcomes())), ("empty.png", [])):
        write_picture(rows, tmp_path / name, MARKS)
        with Image.open(tmp_path / name) as image:
            assert image.width > 800


@pytest.mark.parametrize("measured", [-0.3, 0.0, math.nan, math.inf])
def test_the_picture_has_no_bar_for_what_is_not_above_zero(measured: float, tmp_path: Path) -> None:
    from PIL import Image

    row = rows_of(outcomes())[0]
    bars = []
    for name, value in (("some.png", 1.0), ("none.png", measured)):
        floors = {"do nothing": -0.1, "mean structure": math.nan}
        shown = replace(row, measured=value, floors=floors, bound=0.5)
        write_picture([shown], tmp_path / name, MARKS)
        with Image.open(tmp_path / name) as image:
            red, _, blue = np.moveaxis(np.asarray(image, dtype=int), -1, 0)
        bars.append(int((red - blue > 100).sum()))  # the red of what is not reached
    assert bars[0] > 5_000
    assert bars[1] < 100


def test_every_case_fits_its_data_preset_and_figures() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    for case in CASES:
        assert case.data in DATA_SETS
        for goal in case.goals:
            assert goal.figure in LABELS
            assert not goal.case or goal.case in names
            assert not goal.case or names.index(goal.case) != names.index(case.name)
        for scale in SCALES:
            options = {**SCALE_OPTIONS[scale].get(case.preset, {}), **case.options}
            config = with_options(preset(case.preset), options)
            changed = {line.partition(":")[0] for line in differences(preset(case.preset), config)}
            assert changed <= set(options), case.name
            assert epochs_of(case, scale) >= 1


def test_restraints_are_named_by_their_pairs() -> None:
    base = preset("cryoscope-default")
    config = with_options(base, {"loss.restraints.bonds.weight": 3.25, "latent.dim": 2})
    changed = differences(base, config)
    assert any(line.startswith("loss.restraints.bonds.weight:") for line in changed)
    assert "latent.dim: 8 -> 2" in changed
    assert len(changed) == 2
    with pytest.raises(InputError, match="no restraint 'glue'"):
        with_options(base, {"loss.restraints.glue.weight": 1.0})


def test_cases_are_chosen_by_name_and_group() -> None:
    assert chosen_cases("") == CASES
    assert [case.name for case in chosen_cases("noise, cont")] == ["cont", "noise"]
    assert {case.group for case in chosen_cases("prins")} == {"prins"}
    with pytest.raises(InputError, match="no case 'nothing'"):
        chosen_cases("nothing")


def test_a_set_whose_files_are_absent_is_refused_and_the_case_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not part of Cryoscope"):
        make_set(DATA_SETS["globin-0.1"], "smoke", tmp_path, fixtures=tmp_path / "none")
    done = bench_atomic.run(
        chosen_cases("default"), "smoke", tmp_path / "out", fixtures=tmp_path / "none"
    )
    assert [o.failed for o in done.values()] == [False, False]
    assert all("not part of Cryoscope" in o.problem for o in done.values())


def test_an_equal_folder_is_taken_again_and_another_left_alone(tmp_path: Path) -> None:
    wanted = tmp_path / "run"
    assert first_folder(wanted, lambda path: False) == wanted
    wanted.mkdir()
    assert first_folder(wanted, lambda path: True) == wanted
    assert first_folder(wanted, lambda path: False) == tmp_path / "run-2"


def made_set(frames: int, **settings: object) -> MadeSet:
    """Four particles a frame on a straight line of five residues."""
    frame = np.arange(frames).repeat(4)
    base = np.random.default_rng(0).normal(size=(5, 3)) * 5
    coords_A = base + np.linspace(0, 10, frames)[:, None, None] * np.array([1.0, 0, 0])
    many = np.zeros(len(frame))
    truth = Truth(
        frame_of_particle=frame.astype(np.int32),
        t=many.astype(np.float32),
        t_of_frame=np.linspace(0, 1, frames, dtype=np.float32),
        coords_ca_A=coords_A.astype(np.float32),
        residue_id=np.arange(5),
        chain_id=np.full(5, "A"),
        rotation=np.tile(np.eye(3, dtype=np.float32), (len(frame), 1, 1)),
        shift_A=np.full((len(frame), 2), 3.2, dtype=np.float32),
        defocus_u_A=many,
        defocus_v_A=many,
        defocus_angle_deg=many,
        half_set=many.astype(np.int8),
        snr=0.1,
        snr_measured=0.1,
        noise_sd=1.0,
        signal_scale=1.0,
    )
    config = replace(SimulationConfig(structures=("a.pdb",)), **settings)  # type: ignore[arg-type]
    made = MadeSet(config, Path("nowhere"), DATA_SETS["dims-0.1"])
    made.__dict__["truth"] = truth
    return made


def test_figures_of_a_motion() -> None:
    made = made_set(51, distribution="noncontiguous", maxima=(0.2, 0.8))
    truth = made.truth
    frame, frames_A = truth.frame_of_particle, truth.coords_ca_A
    figures = coordinate_figures(np.tile(frames_A[:1], (len(frame), 1, 1)), made, frames_A[0])
    assert figures["motion_A"] == 0.0
    assert figures["rmsd_A"] == pytest.approx(5.0)
    assert figures["rmsd_end_A"] == pytest.approx(9.9, abs=0.01)  # the last two of 51 frames
    assert figures["rmsd_maxima_A"] == pytest.approx(8.0, abs=0.01)
    assert figures["emd_A"] == pytest.approx(0.0, abs=1e-3)  # a shift is no change of shape
    assert figures["local_distance_A"] == pytest.approx(0.0, abs=1e-4)


def test_figures_of_one_structure() -> None:
    made = made_set(1)
    truth_A = made.truth.coords_ca_A
    figures = coordinate_figures(np.tile(truth_A + 4.0, (4, 1, 1)), made, truth_A[0])
    assert figures["ca_rmse_A"] == pytest.approx(4 * math.sqrt(3), rel=1e-5)
    assert figures["share_3A"] == 0.0


def test_shifts_are_measured_where_the_model_corrects_them() -> None:
    made = made_set(3)
    count = len(made.truth)
    given_A = np.zeros((count, 2))
    z = made.truth.frame_of_particle[:, None].astype(np.float32)
    uid = np.array([str(i) for i in range(count)])
    plain = Latents(z, None, uid, "r", 1)
    assert latent_figures(plain, made, given_A) == {"spearman": pytest.approx(1.0)}
    corrected = replace(plain, shift_A=np.full((count, 2), 1.6, dtype=np.float32))
    assert latent_figures(corrected, made, given_A)["shift_px"] == pytest.approx(1.0)
    assert latent_floors(corrected, made, given_A)["shift_px"]["do nothing"] == pytest.approx(2.0)
