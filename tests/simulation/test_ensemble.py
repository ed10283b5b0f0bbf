"""Sets of several coordinates, circles, discrete states and mixtures, and their true maps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscope.data import InputError, Poses, Structure
from cryoscope.io.relion import read_particles
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.physics.fourier import rfft2_centred
from cryoscope.simulation.composition import Composition, present_atoms, read_compositions
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.ensemble import load_ensemble
from cryoscope.simulation.hinge import hinge_number
from cryoscope.simulation.optics_draw import optics_of
from cryoscope.simulation.simulate import simulate
from cryoscope.simulation.true_volumes import read_settings, true_volumes
from cryoscope.simulation.truth import read_truth

OPEN = str(resource_path("structures/4ake_A.pdb"))
CONFIG = SimulationConfig(
    structures=(OPEN,), particles=60, box_px=32, pixel_size_A=4.0, snr=2.0, seed=3
)
TWO = replace(CONFIG, motion="hinges", hinges=("A:60", "A:160"), angles_deg=(40.0, 30.0), frames=4)
MIXTURE = (
    Composition("whole", 3.0),
    Composition("no lid", 1.0, ("A:122-159",)),
    Composition("core", 1.0, ("A:122-159", "A:30-59")),
)


@pytest.fixture(scope="module")
def opened() -> Structure:
    return read_structure(OPEN)


def angles_rad(axis: np.ndarray, arms_A: np.ndarray) -> np.ndarray:
    """Signed angle of each arm about an axis from the first."""
    axis = axis / np.linalg.norm(axis)
    flat = arms_A - (arms_A @ axis)[:, None] * axis
    across = np.cross(axis, flat[0])
    return np.asarray(np.arctan2(flat @ across, flat @ flat[0]))


def test_two_hinges_turn_independently_on_a_grid(opened: Structure) -> None:
    ensemble = load_ensemble(TWO)
    assert ensemble.shape == (4, 4)
    assert len(ensemble) == 16
    ca_A = ensemble.path.coords_A[:, opened.alpha_carbons()]
    grid = ensemble.coordinate_of_frame
    np.testing.assert_allclose(grid[[0, 3, 12, 15]], [[0, 0], [0, 1], [1, 0], [1, 1]])
    first, _ = (hinge_number(opened, hinge) for hinge in TWO.hinges)
    turned = angles_rad(ca_A[0, first + 1] - ca_A[0, first], ca_A[:, 120] - ca_A[0, first])
    np.testing.assert_allclose(turned, np.deg2rad(40.0) * grid[:, 0], atol=1e-6)
    np.testing.assert_allclose(ca_A[:, :59], np.repeat(ca_A[:1, :59], 16, axis=0), atol=1e-9)
    inner = np.linalg.norm(ca_A[:, 200] - ca_A[:, 100], axis=1)  # the first hinge carries both
    np.testing.assert_allclose(inner.reshape(4, 4), np.tile(inner[:4], (4, 1)), atol=1e-6)
    assert np.ptp(inner[:4]) > 1.0
    steps = np.linalg.norm(np.diff(ca_A, axis=1), axis=-1)
    np.testing.assert_allclose(steps, np.repeat(steps[:1], 16, axis=0), atol=1e-9)


def test_a_circle_comes_back_to_where_it_began(opened: Structure) -> None:
    one = replace(CONFIG, motion="circle", hinges=("A:113",), frames=12)
    for config in (one, replace(one, hinges=("A:60", "A:160"), angles_deg=(50.0,))):
        ensemble = load_ensemble(config)
        ca_A = ensemble.path.coords_A[:, opened.alpha_carbons()]
        step = np.sqrt(((np.roll(ca_A, -1, axis=0) - ca_A) ** 2).sum(-1).mean(-1))
        assert step.max() < 3 * step.min()
        assert ensemble.closed
        np.testing.assert_allclose(ensemble.coordinate_of_frame[:, 0], np.arange(12) / 12)


def test_discrete_states_go_round_a_circle_without_meeting() -> None:
    config = replace(
        CONFIG, motion="circle", hinges=("A:113",), frames=20, distribution="discrete", states=10
    )
    ensemble = load_ensemble(config)
    states, names = ensemble.states(config)
    np.testing.assert_array_equal(np.flatnonzero(states >= 0), np.arange(0, 20, 2))
    assert len(names) == 10
    assert set(ensemble.draw(replace(config, particles=2000))) == set(range(0, 20, 2))
    apart = replace(config, distribution="noncontiguous", maxima=(0.0, 0.5), particles=2000)
    drawn = ensemble.draw(apart)
    assert {0, 1, 19} <= set(drawn)
    assert not np.isin(drawn, (5, 15)).any()


def test_discrete_states_of_two_coordinates_are_all_pairs() -> None:
    config = replace(TWO, distribution="discrete", states=2)
    states, names = load_ensemble(config).states(config)
    assert states[[0, 3, 12, 15]].tolist() == [0, 1, 2, 3]
    assert np.count_nonzero(states < 0) == 12
    assert len(names) == 4


def test_a_mixture_leaves_out_what_it_says_in_its_shares(opened: Structure, tmp_path: Path) -> None:
    present = present_atoms(opened, MIXTURE)
    assert present[0].all()
    gone = opened.residue_id[~present[1]]
    assert (gone.min(), gone.max()) == (122, 159)
    config = replace(CONFIG, compositions=MIXTURE, particles=1000, snr=0.5)
    truth = read_truth(simulate(config, tmp_path / "set").with_name("truth.npz"))
    assert truth.state_names.tolist() == ["whole", "no lid", "core"]
    share = np.bincount(truth.state) / 1000
    np.testing.assert_allclose(share, [0.6, 0.2, 0.2], atol=0.05)
    assert truth.ca_present.sum(axis=1).tolist() == [214, 176, 146]
    assert read_settings(tmp_path / "set") == config


def test_images_are_the_projections_of_the_true_maps(opened: Structure, tmp_path: Path) -> None:
    """By the central slice, for frames that differ in conformation and in composition."""
    config = replace(
        TWO, frames=2, compositions=MIXTURE, ctf=False, shift_px=0.0, snr=1e8, pixel_size_A=3.0
    )
    config = replace(config, box_px=48)
    star = simulate(config, tmp_path / "set")
    truth, particles = read_truth(star.with_name("truth.npz")), read_particles(star)
    rows = np.array([np.flatnonzero(truth.frame_of_particle == f)[0] for f in (0, 5, 11)])
    straight = Poses(np.tile(np.eye(3), (len(rows), 1, 1)), np.zeros((len(rows), 2)))
    imager = load_ensemble(config).imager(
        optics_of(config), config.b_factor_A2, torch.device("cpu")
    )
    images, _ = imager.images(truth.frame_of_particle[rows], straight, particles.ctf.take(rows))
    maps = list(true_volumes(tmp_path / "set", truth.frame_of_particle[rows]))
    for image, volume in zip(images, maps, strict=True):
        projection = volume.sum(axis=0) * config.pixel_size_A
        assert np.corrcoef(image.ravel(), projection.ravel())[0, 1] > 0.9999
        assert np.abs(projection - image).max() < 0.02 * image.max()
    mass = [rfft2_centred(torch.as_tensor(v.sum(0)))[0, 0].real.item() for v in maps]
    assert mass[0] > 1.1 * mass[1] > 1.2 * mass[2]  # whole, no lid, core
    small = next(true_volumes(config, [0], box_px=24, pixel_size_A=6.0))
    assert small.shape == (24, 24, 24)
    with pytest.raises(InputError, match="no frame 12"):
        next(true_volumes(config, [12]))


def test_truth_of_an_older_version_is_one_path(tmp_path: Path) -> None:
    star = simulate(replace(TWO, particles=8), tmp_path / "set")
    file = star.with_name("truth.npz")
    new = {"coordinate_of_frame", "coordinate_is_closed", "state_of_frame", "state_names",
           "ca_present"}  # fmt: skip
    with np.load(file) as arrays:
        assert new <= set(arrays)
        kept = {name: arrays[name] for name in arrays if name not in new}
    np.savez(file, **kept)
    truth = read_truth(file)
    np.testing.assert_array_equal(truth.coordinate[:, 0], truth.t)
    assert truth.ca_present.all()
    assert not truth.state.any()
    assert len(truth.state_names) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hinges": ()}, "0 hinges"),
        ({"hinges": ("A:60",), "angles_deg": (1.0, 2.0)}, "2 angles for 1 hinges"),
        ({"angles_deg": (0.0, 20.0)}, "angles_deg"),
        ({"structures": (OPEN, OPEN)}, "one structure"),
        ({"motion": "spiral"}, "'spiral'"),
        ({"motion": "path"}, "a path has no hinges"),
        ({"frames": 200}, "200 frames"),
        ({"motion": "circle", "distribution": "cooperative"}, "no ends"),
        ({"hinges": ("A:60", "A:999")}, "no hinge can be at A:999.*1 to 214"),
        ({"hinges": ("A:60", "A:60")}, "two hinges are the same"),
        ({"hinges": ("A:60", "60")}, "CHAIN:RESIDUE"),
        ({"compositions": (Composition("a"), Composition("a"))}, "named"),
        ({"compositions": (Composition("a", -1.0),)}, "share -1"),
        ({"compositions": (Composition("a", 1.0, ("A-B:",)),)}, "names no part"),
        ({"compositions": (Composition("a", 1.0, ("B",)),)}, "leaves out B, which is not there"),
        ({"compositions": (Composition("a", 1.0, ("*",)),)}, "leaves nothing"),
    ],
)
def test_motions_and_mixtures_that_make_no_sense_are_refused(
    change: dict[str, object], message: str
) -> None:
    config = replace(TWO, **change)  # type: ignore[arg-type]

    def load() -> None:
        config.check()
        load_ensemble(config)

    with pytest.raises(InputError, match=message):
        load()


def test_compositions_are_read_from_json(tmp_path: Path) -> None:
    file = tmp_path / "mixture.json"
    states = [{"name": "whole", "share": 3}, {"name": "no lid", "without": ["A:122-159"]}]
    file.write_text(json.dumps({"states": states}))
    assert read_compositions(file) == (
        Composition("whole", 3.0),
        Composition("no lid", 1.0, ("A:122-159",)),
    )
    for bad in ([], [{"share": 1}], [{"name": "a", "with": []}], [{"name": "a", "without": "B"}]):
        file.write_text(json.dumps({"states": bad}))
        with pytest.raises(InputError, match=r"mixture.json.*Write e\.g\."):
            read_compositions(file)
    file.write_text(json.dumps({"states": [{"name": "a", "share": 0}]}))
    with pytest.raises(InputError, match=r"mixture.json: composition 'a' has the share 0"):
        read_compositions(file)


def test_settings_that_are_none_are_refused(tmp_path: Path) -> None:
    for content in ("{}", '{"settings": {"speed": 3}}', '{"settings": {"structures": 3}}'):
        (tmp_path / "simulation.json").write_text(content)
        with pytest.raises(InputError, match="settings of a simulation"):
            read_settings(tmp_path)
