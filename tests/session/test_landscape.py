from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError, Latents, Volume
from cryoscope.io.mrc import read_volume, write_volume
from cryoscope.io.selections_file import read_selections
from cryoscope.session.landscape import landscape_of
from cryoscope.session.landscape_records import LandscapeSettings
from tests.analysis.toy_maps import (
    BOX_PX,
    VOXEL_A,
    blob,
    moving_part,
    part_or_none,
    two_groups,
    volume,
)

SETTINGS = LandscapeSettings(
    sketch=40, box_size_px=BOX_PX, states=2, components=5, samples=30, dilate_px=1
)


def latents_of(z: np.ndarray) -> Latents:
    uid = np.array([f"{i:06d}@a" for i in range(len(z))])
    return Latents(np.asarray(z, dtype=np.float32), None, uid, "toy", 3)


class Counting:
    """Decodes, counts the maps, and can be interrupted after so many."""

    def __init__(self, decode: object, fail_after: int = 1 << 30) -> None:
        self.decode, self.count, self.fail_after = decode, 0, fail_after

    def __call__(self, z: np.ndarray) -> Iterator[Volume]:
        for one in self.decode(z):  # type: ignore[operator]
            if self.count >= self.fail_after:
                raise KeyboardInterrupt
            self.count += 1
            yield one


def test_two_states_are_found(tmp_path: Path) -> None:
    z, truth = two_groups(200)
    z[5] = np.nan
    decode = Counting(part_or_none)
    found = landscape_of(latents_of(z), decode, tmp_path / "l", SETTINGS)
    known = np.arange(len(z)) != 5
    assert adjusted_rand_score(truth[known], found.particle_state[known]) == 1.0
    assert found.particle_state[5] == -1
    assert found.weight.sum() == 399
    assert found.figures["states"] == 2
    assert max(found.figures["r2_network"], found.figures["r2_nearest_map"]) > 0.9
    # The state with the part, and without.
    means = [read_volume(tmp_path / "l" / f"state-0{i}-mean.mrc") for i in (1, 2)]
    part = [float(one.values[8, 8, 12]) for one in means]
    with_part = int(found.particle_state[-1])
    assert part[with_part] == pytest.approx(1, abs=0.05)
    assert part[1 - with_part] == pytest.approx(0, abs=0.05)
    assert means[0].voxel_size_A == VOXEL_A
    assert read_volume(tmp_path / "l" / "state-01-std.mrc").values.max() < 0.1


def test_files_of_a_landscape(tmp_path: Path) -> None:
    z, _ = two_groups(100)
    folder = tmp_path / "l"
    found = landscape_of(latents_of(z), part_or_none, folder, SETTINGS)
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "mask.mrc", "component-01.mrc", "state-01-mean.mrc", "state-02-std.mrc", "state-01.txt",
        "selections.json", "states.csv", "sketch.csv", "particles.csv", "landscape.png",
        "free-energy.png", "states.cxc", "summary.json", "stages",
    }  # fmt: skip
    assert not [name for name in names if "tmp" in name or name.endswith(".lock")]
    for number, selection in enumerate(read_selections(folder / "selections.json"), start=1):
        rows = np.loadtxt(folder / f"state-0{number}.txt", dtype=int)
        np.testing.assert_array_equal(np.flatnonzero(selection.mask), rows)
        np.testing.assert_array_equal(rows, np.flatnonzero(found.particle_state == number - 1))
    particles = pd.read_csv(folder / "particles.csv")
    assert particles["state"].tolist() == (found.particle_state + 1).tolist()
    states = pd.read_csv(folder / "states.csv")
    assert states["particles"].sum() == 200
    sketch = pd.read_csv(folder / "sketch.csv")
    assert len(sketch) == 40
    np.testing.assert_allclose(sketch[["z1", "z2"]], z[found.sketched], rtol=1e-5)
    for name in ("landscape.png", "free-energy.png"):
        with Image.open(folder / name) as picture:
            assert np.asarray(picture).std() > 5
    assert json.loads((folder / "summary.json").read_text())["settings"]["sketch"] == 40


def test_a_motion_is_laid_out_in_order(tmp_path: Path) -> None:
    t = np.random.default_rng(0).uniform(-1, 1, size=400)
    # The latent is a distorted, noisy picture of the truth.
    noise = 0.02 * np.random.default_rng(1).normal(size=400)
    z = np.stack([t, t**2 + noise], axis=1)
    found = landscape_of(
        latents_of(z), moving_part, tmp_path / "l", replace(SETTINGS, samples=150, states=4)
    )
    exact = found.components.scores[:, 0]
    assert abs(spearmanr(t[found.sketched], exact).statistic) > 0.999
    assert abs(spearmanr(t, found.mapped.scores[:, 0]).statistic) > 0.98
    assert found.figures["r2_network"] > 0.9


@pytest.mark.parametrize("after", [1, 25, 41, 50])
def test_a_kill_at_any_time_costs_little(tmp_path: Path, after: int) -> None:
    z, truth = two_groups(100)
    folder = tmp_path / "l"
    killed = Counting(part_or_none, fail_after=after)
    with pytest.raises(KeyboardInterrupt):
        landscape_of(latents_of(z), killed, folder, SETTINGS)
    assert not (folder / "summary.json").exists()
    resumed = Counting(part_or_none)
    found = landscape_of(latents_of(z), resumed, folder, SETTINGS)
    assert adjusted_rand_score(truth, found.particle_state) == 1.0
    whole = landscape_of(latents_of(z), part_or_none, tmp_path / "once", SETTINGS)
    np.testing.assert_array_equal(found.particle_state, whole.particle_state)
    np.testing.assert_array_equal(found.mapped.scores, whole.mapped.scores)
    # One map to recognise the model; at most one unfinished chunk of twenty is decoded again.
    assert resumed.count <= 1 + 40 + 30 - 20 * max(0, (after - 1) // 20)


def test_a_finished_landscape_is_not_made_again(tmp_path: Path) -> None:
    z, _ = two_groups(100)
    first = landscape_of(latents_of(z), part_or_none, tmp_path / "l", SETTINGS)
    again = Counting(part_or_none)
    second = landscape_of(latents_of(z), again, tmp_path / "l", SETTINGS)
    assert again.count == 1
    np.testing.assert_array_equal(first.mapped.scores, second.mapped.scores)


@pytest.mark.parametrize(
    ("change", "decoded"),
    [({"states": 3}, 1), ({"linkage": "ward"}, 1), ({"components": 3}, 31), ({"samples": 10}, 11),
     ({"dilate_px": 2.0}, 31), ({"sketch": 30}, 61), ({"seed": 1}, 71)],
)  # fmt: skip
def test_a_changed_setting_makes_anew_what_depends_on_it(
    change: dict[str, object], decoded: int, tmp_path: Path
) -> None:
    z, _ = two_groups(100)
    landscape_of(latents_of(z), part_or_none, tmp_path / "l", SETTINGS)
    again = Counting(part_or_none)
    changed = replace(SETTINGS, **change)  # type: ignore[arg-type]
    found = landscape_of(latents_of(z), again, tmp_path / "l", changed)
    assert again.count == decoded
    fresh = landscape_of(latents_of(z), part_or_none, tmp_path / "fresh", changed)
    np.testing.assert_array_equal(found.particle_state, fresh.particle_state)
    np.testing.assert_array_equal(found.mapped.scores, fresh.mapped.scores)
    made = {p.name for p in (tmp_path / "l").iterdir()}
    assert made == {p.name for p in (tmp_path / "fresh").iterdir()}


def test_a_model_that_was_trained_on_is_decoded_anew(tmp_path: Path) -> None:
    z, _ = two_groups(100)
    landscape_of(latents_of(z), part_or_none, tmp_path / "l", SETTINGS)
    again = Counting(lambda z: (volume(1.1 * one.values) for one in part_or_none(z)))
    landscape_of(latents_of(z), again, tmp_path / "l", SETTINGS)
    assert again.count == 71


def test_damaged_stages_are_made_again(tmp_path: Path) -> None:
    z, truth = two_groups(100)
    folder = tmp_path / "l"
    landscape_of(latents_of(z), part_or_none, folder, SETTINGS)
    for file in (folder / "stages").iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    found = landscape_of(latents_of(z), part_or_none, folder, SETTINGS)
    assert adjusted_rand_score(truth, found.particle_state) == 1.0


def test_stopping_keeps_finished_stages(tmp_path: Path) -> None:
    z, _ = two_groups(100)
    asked = {"stop": False}
    shown: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        shown.append((stage, done, total))
        asked["stop"] |= stage == "decoding the sketch" and done >= 20

    with pytest.raises(Stopped):
        landscape_of(
            latents_of(z), part_or_none, tmp_path / "l", SETTINGS, progress=progress,
            should_stop=lambda: asked["stop"],
        )  # fmt: skip
    stages = {path.stem for path in (tmp_path / "l" / "stages").iterdir()}
    assert stages == {"1-sketch", "maps-000000"}
    assert ("decoding the sketch", 20, 40) in shown


def test_a_mask_of_ones_own(tmp_path: Path) -> None:
    z, truth = two_groups(100)
    mask = tmp_path / "mask.mrc"
    write_volume(mask, volume(blob((0, 0, 4)) > 0.3))
    found = landscape_of(
        latents_of(z), part_or_none, tmp_path / "l", replace(SETTINGS, mask=str(mask))
    )
    assert adjusted_rand_score(truth, found.particle_state) == 1.0
    assert found.figures["mask_voxels"] == int((blob((0, 0, 4)) > 0.3).sum())
    # In the particles' larger box over the same field of view.
    wide = np.repeat(np.repeat(np.repeat(blob((0, 0, 4)) > 0.3, 2, 0), 2, 1), 2, 2)
    fine = Volume.centred(wide.astype(np.float32), VOXEL_A / 2, volume(wide).provenance)
    write_volume(mask, fine)
    found = landscape_of(
        latents_of(z), part_or_none, tmp_path / "l", replace(SETTINGS, mask=str(mask))
    )
    assert adjusted_rand_score(truth, found.particle_state) == 1.0


@pytest.mark.parametrize(
    ("values", "voxel_A", "words"),
    [
        (np.zeros((BOX_PX,) * 3), VOXEL_A, "the mask is empty"),
        (np.ones((BOX_PX,) * 3), 5.0, "the mask covers 80.0 A in 16 voxels, the maps 64.0 A in 16"),
        (np.ones((8, 8, 8)), VOXEL_A, "the mask covers 32.0 A in 8 voxels"),
        (np.ones((32, 32, 32)), VOXEL_A, "the mask covers"),
    ],
)
def test_masks_that_do_not_fit(
    values: np.ndarray, voxel_A: float, words: str, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.mrc"
    write_volume(
        mask, Volume.centred(values.astype(np.float32), voxel_A, volume(values).provenance)
    )
    z, _ = two_groups(100)
    with pytest.raises(InputError, match=words) as caught:
        landscape_of(latents_of(z), part_or_none, tmp_path / "l", replace(SETTINGS, mask=str(mask)))
    assert caught.value.file is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sketch": 300}, "a sketch of 300 cannot be made of 200 particles with latents"),
        ({"threshold": 50.0}, "the mask is empty"),
        ({"box_size_px": 130}, "even box from 8 to 128"),
        ({"box_size_px": 63}, "even box"),
        ({"states": 41}, "41 states cannot be made of 40 maps"),
        ({"linkage": "nearest"}, "no linkage"),
        ({"components": 0}, "--components 0"),
        ({"samples": -1}, "--samples -1"),
        ({"mask": "absent.mrc"}, "no such file"),
    ],
)
def test_bad_settings(change: dict[str, object], words: str, tmp_path: Path) -> None:
    z, _ = two_groups(100)
    with pytest.raises(InputError, match=words):
        landscape_of(
            latents_of(z), part_or_none, tmp_path / "l", replace(SETTINGS, **change)  # type: ignore[arg-type]
        )  # fmt: skip


def test_latents_and_maps_that_are_no_numbers(tmp_path: Path) -> None:
    z, _ = two_groups(100)
    with pytest.raises(InputError, match="0 particles with latents"):
        landscape_of(latents_of(z * np.nan), part_or_none, tmp_path / "l", SETTINGS)
    broken = lambda z: (volume(one.values * np.nan) for one in part_or_none(z))  # noqa: E731
    with pytest.raises(InputError, match="NaN or infinite"):
        landscape_of(latents_of(z), broken, tmp_path / "l", SETTINGS)
    with pytest.raises(InputError, match="all maps of the sketch are the same"):
        landscape_of(
            latents_of(z), lambda z: (volume(blob((0, 0, 0))) for _ in z), tmp_path / "m", SETTINGS
        )
