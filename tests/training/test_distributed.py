"""Several processes train what one does: losses, latents, ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cryoscope.data import InputError
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.heads import Posterior
from cryoscope.models.whole_batch import (
    Part,
    WholeBatchNorm2d,
    batch_count,
    batch_mean,
    batch_sum,
    whole_batch,
    working_on,
)
from cryoscope.training import trainer as trainer_module
from cryoscope.training.config import TrainConfig, config_to_json
from cryoscope.training.distributed import Team
from cryoscope.training.presets import preset
from cryoscope.training.torchrun import Place, place_from_environment
from cryoscope.training.trainer import train

MEMBER = Path(__file__).with_name("team_member.py")
ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which two processes on a busy machine have surely hung.
TOO_LONG_S = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun would set."""
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": ROOT}
    return {**os.environ, **one, **{name: str(v) for name, v in {**place, **there}.items()}}


def together(config: TrainConfig, run: Path, size: int = 2, **wanted: Any) -> list[tuple[int, str]]:
    """Train by real processes; the exit code and the words of each."""
    job = run.with_suffix(".json")
    job.write_text(json.dumps({"config": config_to_json(config), "run": str(run), **wanted}))
    port = free_port()
    members = [
        subprocess.Popen(
            [sys.executable, str(MEMBER), str(job)],
            env=environment(rank, size, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said = [member.communicate(timeout=TOO_LONG_S)[0] for member in members]
    finally:
        for member in members:
            member.kill()
            member.wait()
    return [(member.returncode, text) for member, text in zip(members, said, strict=True)]


def steps_of(run: Path) -> list[dict[str, Any]]:
    return [event for event in RunFolder.open(run).read_events() if event["kind"] == "step_done"]


def lasting_events(run: Path) -> list[str]:
    """Kinds of the events that do not depend on the clock."""
    return [e["kind"] for e in RunFolder.open(run).read_events() if not e.get("live")]


@pytest.fixture
def team_config(small_config: TrainConfig) -> TrainConfig:
    """157 particles in batches of 52: the last batch of an epoch has one particle for two."""
    return replace(
        small_config,
        device="cpu",
        checkpoint_s=1e6,
        data=replace(small_config.data, held_out=0.02),
        optimiser=replace(small_config.optimiser, batch_size=52, epochs=13),
    )


def table_of_volumes(config: TrainConfig) -> TrainConfig:
    """One free vector per particle, and a neural volume; batches of 32, the last of 29."""
    chosen = preset("cryodrgn-table")
    return replace(
        config,
        preset=chosen.preset,
        model=chosen.model,
        data=replace(config.data, structure=""),
        encoder=chosen.encoder,
        latent=chosen.latent,
        volume=replace(chosen.volume, widths=(32, 32), encoding_count=4),
        loss=chosen.loss,
        optimiser=replace(config.optimiser, batch_size=32, epochs=10),
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["atomic", "volume"])
def test_two_processes_train_what_one_does(
    model: str, team_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = team_config if model == "atomic" else table_of_volumes(team_config)
    monkeypatch.setattr(trainer_module, "REPORT_S", -1.0)
    list(train(config, tmp_path / "one"))
    assert [code for code, _ in together(config, tmp_path / "two")] == [0, 0]
    one, two = steps_of(tmp_path / "one"), steps_of(tmp_path / "two")
    assert [e["step"] for e in one] == [e["step"] for e in two]
    assert len(one) >= 50
    for name in one[0]["losses"]:
        first, second = (np.array([e["losses"][name] for e in steps]) for steps in (one, two))
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4, err_msg=name)
    first, second = (RunFolder.open(tmp_path / name).load_latents().z for name in ("one", "two"))
    # A vector that hardly matters moves by the sign of rounding errors, as Adam has it.
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=5e-3)
    assert lasting_events(tmp_path / "one") == lasting_events(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "when"), [("volume", "after"), ("atomic", "before")])
def test_where_one_runs_out_of_memory_all_take_smaller_parts(
    model: str, when: str, team_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(team_config, optimiser=replace(team_config.optimiser, epochs=5))
    if model == "volume":
        config = table_of_volumes(config)
        config = replace(config, optimiser=replace(config.optimiser, epochs=5))
    assert [code for code, _ in together(config, tmp_path / "plain")] == [0, 0]
    ended = together(config, tmp_path / "short", short=[1, 7, when], words=model == "volume")
    assert [code for code, _ in ended] == [0, 0], ended
    plain, short = steps_of(tmp_path / "plain"), steps_of(tmp_path / "short")
    share = config.optimiser.batch_size // 2
    assert [n for n, step in enumerate(short) if step.get("remark")] == [0]
    assert f"too little memory for {share} images at once" in short[0]["remark"]
    assert "4 parts of" in short[0]["remark"]
    # An atomic model weighs its restraints by figures of the batch, which are then the turn's.
    tolerance = 1e-4 if model == "volume" else 3e-2
    for name in plain[0]["losses"]:
        whole, parts = (np.array([e["losses"][name] for e in one]) for one in (plain, short))
        np.testing.assert_allclose(parts, whole, rtol=tolerance, atol=tolerance, err_msg=name)
    counted = RunFolder.open(tmp_path / "short").load_checkpoint()[0]
    assert all(v == len(plain) for name, v in counted.items() if name.endswith(".steps"))


@pytest.mark.slow
def test_memory_for_not_one_image_ends_all_with_a_cure(
    team_config: TrainConfig, tmp_path: Path
) -> None:
    ended = together(team_config, tmp_path / "run", short=[1, 0, "before"])
    assert [code for code, _ in ended] == [2, 2]
    for _, said in ended:
        assert "the GPU has too little memory for a single image" in said
    assert "process 1 failed" in ended[0][1]


@pytest.mark.slow
def test_a_stop_ends_all_and_all_resume_together(team_config: TrainConfig, tmp_path: Path) -> None:
    assert [code for code, _ in together(team_config, tmp_path / "run", stop_at=7)] == [0, 0]
    run = RunFolder.open(tmp_path / "run")
    assert run.load_checkpoint()[1]["step"] == 7
    assert np.isfinite(run.load_latents().z).all()
    ended = together(team_config, tmp_path / "run", resume=True, stop_at=9)
    assert [code for code, _ in ended] == [0, 0]
    assert run.load_checkpoint()[1]["step"] == 9


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_run_and_leaves_its_checkpoint(
    team_config: TrainConfig, tmp_path: Path, victim: int
) -> None:
    ended = together(team_config, tmp_path / "run", checkpoint_at=5, kill_at=8, victim=victim)
    code, said = ended[1 - victim]
    assert ended[victim][0] == -9
    assert code == 2
    assert "training by 2 processes has ended" in said
    assert "--resume" in said
    run = RunFolder.open(tmp_path / "run")
    assert run.load_checkpoint()[1]["step"] == 5
    config = replace(team_config, optimiser=replace(team_config.optimiser, epochs=2))
    (run.path / "config.json").write_text(json.dumps(config_to_json(config)))
    assert [e.kind for e in train(config, run.path, resume=True)][-1] == "run_finished"


@pytest.mark.slow
def test_divergence_ends_all_processes(team_config: TrainConfig, tmp_path: Path) -> None:
    wild = replace(team_config.optimiser, learning_rate=1e12, warmup_steps=0)
    (first, said), (second, echoed) = together(
        replace(team_config, optimiser=wild), tmp_path / "run"
    )
    assert (first, second) == (2, 2)
    assert "diverged at step" in said
    assert "process 0 failed: training diverged" in echoed


@pytest.mark.slow
def test_the_command_trains_under_torchrun(small_config: TrainConfig, tmp_path: Path) -> None:
    data = small_config.data
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "cryoscope", "train", data.particles]
    command += ["--structure", data.structure, "--out", str(tmp_path / "run"), "--epochs", "1"]
    command += ["--box-px", "32", "--device", "cpu", "--set", f"data.cache_dir={tmp_path}/cache"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TOO_LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("training    complete after 2 steps") == 1
    assert RunFolder.open(tmp_path / "run").load_latents().z.shape == (160, 8)


def test_torchrun_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert place_from_environment() == Place()
    for name, value in zip(names, ("3", "8", "1", "2", "node1", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    assert place_from_environment() == Place(3, 8, 1, 2)
    monkeypatch.setenv("RANK", "8")
    with pytest.raises(InputError, match="process 8 of 8"):
        place_from_environment()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(InputError, match="not a number"):
        place_from_environment()


@pytest.mark.parametrize(("count", "size"), [(52, 2), (7, 3), (1, 2), (128, 8)])
def test_shares_of_a_batch_are_its_particles_once(count: int, size: int) -> None:
    index = np.random.default_rng(0).permutation(1000)[:count]
    shares = [Team(Place(rank, size, rank, size)).share(index) for rank in range(size)]
    if count < size:
        assert all(np.array_equal(share, np.arange(count)) for share in shares)
        return
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class OtherHalf:
    """Stands for the process that has the other half of a batch: adds what that one would say."""

    def __init__(self, *said: torch.Tensor) -> None:
        self.said = list(said)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.said.pop(0)


@pytest.mark.parametrize(("count", "size", "turns"), [(52, 2, 4), (7, 3, 2), (2, 3, 2), (9, 2, 8)])
def test_turns_of_a_batch_are_its_particles_once(count: int, size: int, turns: int) -> None:
    index = np.random.default_rng(0).permutation(1000)[:count]
    teams = [Team(Place(rank, size, rank, size)) for rank in range(size)]
    parts = [team.turns(index, turns) for team in teams]
    assert {len(of_one) for of_one in parts} == {min(turns, teams[0].most_turns(count))}
    seen = np.zeros(count)
    for together_now in zip(*parts, strict=True):
        assert all(len(part.position) > 0 for part in together_now)
        whole = np.unique(np.concatenate([part.position.numpy() for part in together_now]))
        for part in together_now:
            places, length = part.placed
            assert length == len(whole)
            assert np.array_equal(whole[places.numpy()], part.position.numpy())
            seen[part.position.numpy()] += 1 / part.copies
    np.testing.assert_allclose(seen, 1)


def test_figures_of_a_turn_are_those_of_its_particles() -> None:
    batch = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    turn, mine, other = batch[[0, 2, 5]], batch[[0, 5]], batch[[2]]
    theirs = torch.zeros(3, 3)
    theirs[1] = other
    both = OtherHalf(other.sum(0) / 3, theirs)
    part = Part(torch.tensor([0, 5]), 6, 1, both, (torch.tensor([0, 2]), 3))
    with working_on(part):
        torch.testing.assert_close(batch_mean(mine), turn.mean(0))
        torch.testing.assert_close(whole_batch(mine), turn)
        assert batch_count(mine) == 3


def test_figures_of_a_batch_are_those_of_all_its_parts() -> None:
    batch = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    mine, other = batch[:4].clone().requires_grad_(), batch[4:]
    both = OtherHalf(other.sum(0), other.sum(0) / 6, torch.cat([torch.zeros(4, 3), other]))
    with working_on(Part(torch.arange(4), 6, 1, both)):
        torch.testing.assert_close(batch_sum(mine), batch.sum(0))
        mean = batch_mean(mine)
        torch.testing.assert_close(mean, batch.mean(0))
        torch.testing.assert_close(whole_batch(mine), batch)
        assert batch_count(mine) == 6
    mean.square().sum().backward()
    torch.testing.assert_close(mine.grad, (2 * batch.mean(0) / 6).expand(4, 3))


def test_a_part_gets_the_noise_the_whole_batch_would_have_drawn() -> None:
    whole = Posterior(torch.zeros(6, 3), torch.zeros(6, 3))
    noise = whole.sample(torch.Generator().manual_seed(4))
    position = torch.tensor([1, 2, 5])
    with working_on(Part(position, 6)):
        mine = Posterior(torch.zeros(3, 3), torch.zeros(3, 3))
        assert torch.equal(mine.sample(torch.Generator().manual_seed(4)), noise[position])


def test_batch_normalisation_is_that_of_the_whole_batch() -> None:
    images = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    plain, spread = nn.BatchNorm2d(2), WholeBatchNorm2d(2)
    expected = plain(images)
    sums = images[3:].sum((0, 2, 3))
    mean = images.mean((0, 2, 3))[:, None, None]
    squares = (images[3:] - mean).square().sum((0, 2, 3))
    with working_on(Part(torch.arange(3), 5, 1, OtherHalf(sums, squares))):
        found = spread(images[:3])
    torch.testing.assert_close(found, expected[:3])
    torch.testing.assert_close(spread.running_mean, plain.running_mean)
    torch.testing.assert_close(spread.running_var, plain.running_var)
