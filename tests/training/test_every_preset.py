"""Every preset trains, comes back from its checkpoint and decodes, on a small moving helix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.session.forms import with_option
from cryoscope.training.config import TrainConfig, config_from_json, config_to_json
from cryoscope.training.decoding import load_decoder
from cryoscope.training.events import RunFinished, StepDone
from cryoscope.training.presets import DEFAULT_PRESET, preset, preset_names, preset_summary
from cryoscope.training.trainer import train
from cryoscope.training.volume_presets import VOLUME_PRESETS

#: What makes a preset small enough for a test without taking a piece out of it.
SMALLER: dict[str, dict[str, object]] = {
    "nashed": {"latent.dim": 4, "deformer.modes": 4, "encoder.channels": [4, 4]},
    "prins": {"encoder.channels": [4, 4, 4, 4, 8]},
    # the helix has no side chains
    "cryofold-homo": {"loss.restraints.1.weight": 0.0},
    "cryofold-het": {"loss.restraints.1.weight": 0.0},
    **{key: {"volume.widths": [32, 32], "volume.encoding_count": 4} for key in VOLUME_PRESETS},
}


def small(name: str, data: TrainConfig) -> TrainConfig:
    chosen = preset(name)
    window = chosen.data.window_radius
    config = replace(chosen, data=replace(data.data, window_radius=window), threads=1)
    if chosen.model == "volume":
        config = replace(config, data=replace(config.data, structure=""))
        if chosen.encoder.kind != "none":
            config = with_option(config, "encoder.widths", [64, 64])
    config = with_option(config, "optimiser.batch_size", 32)
    config = with_option(config, "optimiser.epochs", 2)
    for path, value in SMALLER.get(name, {}).items():
        config = with_option(config, path, value)
    return config


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_plain_json_and_says_what_it_does(name: str) -> None:
    config = preset(name)
    assert config.preset == name
    assert config_from_json(config_to_json(config)) == config
    assert len(preset_summary(name)) > 40


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains_and_decodes(
    name: str, small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    config = small(name, small_config)
    atomic = config.model == "atomic"
    if config.latent.kind == "given":
        list(train(small(DEFAULT_PRESET, small_config), tmp_path / "atomic"))
        config = with_option(config, "data.latents_of", str(tmp_path / "atomic"))
    events = list(train(config, tmp_path / "run"))
    assert isinstance(events[-1], RunFinished)
    assert events[-1].reason == "completed"
    losses = [event.losses for event in events if isinstance(event, StepDone)]
    assert all(np.isfinite(list(terms.values())).all() for terms in losses)
    expected = {restraint.pairs for restraint in config.loss.restraints if restraint.weight > 0}
    assert expected <= set(losses[-1])
    latents = RunFolder.open(tmp_path / "run").load_latents()
    assert latents.z.shape == (160, config.latent.dim)
    assert np.isfinite(latents.z).all()
    if config.pose.shift:
        assert latents.shift_A is not None
        assert latents.shift_A.shape == (160, 2)
    decoder = load_decoder(tmp_path / "run")
    assert np.isfinite(decoder.volume(latents.z[0]).values).all()
    assert decoder.volume(latents.z[0], 16).values.shape == (16, 16, 16)
    assert decoder.has_atoms == (atomic or config.latent.kind == "given")
    if not decoder.has_atoms:
        assert decoder.coords_A(latents.z[:3]).shape == (3, 0, 3)
        with pytest.raises(InputError, match="maps alone"):
            decoder.atoms_A(latents.z[:3])
        return
    assert decoder.coords_A(latents.z[:3]).shape == (3, 40, 3)
    assert decoder.atoms_A(latents.z[:3]).shape == (3, len(decoder.atom_structure), 3)


def test_the_density_stage_shares_the_latents_of_its_atomic_run(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    list(train(small(DEFAULT_PRESET, small_config), tmp_path / "atomic"))
    config = small("density-stage", small_config)
    config = with_option(config, "data.latents_of", str(tmp_path / "atomic"))
    list(train(config, tmp_path / "maps"))
    atomic, maps = (RunFolder.open(tmp_path / name).load_latents() for name in ("atomic", "maps"))
    assert np.array_equal(atomic.z, maps.z)
    of_atoms, of_maps = (load_decoder(tmp_path / name) for name in ("atomic", "maps"))
    assert np.array_equal(of_atoms.coords_A(maps.z[:5]), of_maps.coords_A(maps.z[:5]))
    with pytest.raises(InputError, match="no run gives the latents"):
        list(train(small("density-stage", small_config), tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_the_shift_head_finds_shifts_that_are_not_given(
    small_config: TrainConfig, small_set: Path, tmp_path: Path
) -> None:
    from cryoscope.simulation.truth import read_truth
    from tests.training.conftest import simulated_set

    moved = simulated_set(tmp_path / "moved", known_shifts=False, shift_px=1.5, snr=1.0)
    config = replace(
        small_config,
        data=replace(
            small_config.data,
            particles=str(moved / "particles.star"),
            structure=str(moved / "reference.pdb"),
        ),
    )
    options = {"pose.shift": True, "optimiser.epochs": 40, "encoder.windows_A": [4.0, 12.0]}
    for path, value in options.items():
        config = with_option(config, path, value)
    list(train(config, tmp_path / "run"))
    found_A = RunFolder.open(tmp_path / "run").load_latents().shift_A
    true_A = read_truth(moved / "truth.npz").shift_A
    assert found_A is not None
    error_A = np.sqrt(np.mean((found_A - true_A) ** 2))
    nothing_A = np.sqrt(np.mean(true_A**2))
    assert error_A < 0.85 * nothing_A  # the other sign would be above it
