"""Cases, figures and the table of the volume bench, and how it runs another program."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import InputError
from cryoscope.session import bench_volume
from cryoscope.session.bench_atomic_settings import with_options
from cryoscope.session.bench_picture import write_picture
from cryoscope.session.bench_runs import BenchStopped
from cryoscope.session.bench_sets import SimulatedSet
from cryoscope.session.bench_volume import VolumeOutcome
from cryoscope.session.bench_volume_cases import (
    CASES,
    DATA_SETS,
    SCALES,
    SPEED,
    chosen_cases,
    peer_of,
)
from cryoscope.session.bench_volume_data import (
    backprojection,
    frame_maps,
    make_set,
    mean_map,
    sampled_particles,
    settings_of,
)
from cryoscope.session.bench_volume_figures import (
    LABELS,
    SHUFFLED,
    latent_figures,
    latent_floors,
    map_figures,
    map_floors,
)
from cryoscope.session.bench_volume_peer import Peer
from cryoscope.session.bench_volume_report import MARKS, figures_json, markdown, rows_of
from cryoscope.simulation.ensemble import load_ensemble
from cryoscope.simulation.simulate import simulate
from cryoscope.training.presets import preset

#: Stands in for cryoDRGN: writes what it writes where it is told to.
FAKE = """#!{python}
import sys, pickle
from pathlib import Path
import mrcfile, numpy as np
command, given = sys.argv[1], sys.argv[2:]
if command == "train_vae":
    out, epochs = Path(given[given.index("-o") + 1]), int(given[given.index("-n") + 1])
    if "--lr" in given and float(given[given.index("--lr") + 1]) > 1:
        print("Traceback: diverged")
        sys.exit(1)
    (out / "given.txt").write_text(" ".join(given))
    lines = ["(INFO) cryoDRGN 4.3.1"]
    for epoch in range(1, epochs + 1):
        lines.append(f"(INFO) # =====> Epoch: {{epoch}} Average gen loss = 0.9, KLD = 0.4, "
                     f"total loss = 0.9; Finished in 0:01:0{{epoch}}.500000")
    (out / "run.log").write_text("\\n".join(lines))
    z = np.arange({particles}, dtype=np.float32)[:, None]
    with open(out / f"z.{{epochs}}.pkl", "wb") as file:
        pickle.dump(z, file)
        pickle.dump(z * 0, file)
    (out / f"weights.{{epochs}}.pkl").write_bytes(b"weights")
elif command == "eval_vol":
    out, z = Path(given[given.index("-o") + 1]), np.loadtxt(given[given.index("--zfile") + 1])
    for number, value in enumerate(np.atleast_1d(z), 1):
        with mrcfile.new(out / f"vol_{{number:03d}}.mrc", overwrite=True) as file:
            file.set_data(np.full((8, 8, 8), value, dtype=np.float32))
            file.voxel_size = float(given[given.index("--Apix") + 1])
elif command == "sleep":
    import time
    time.sleep(60)
else:
    Path(given[given.index("-o") + 1]).write_bytes(b"parsed")
"""


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cryodrgn").write_text(FAKE.format(python=sys.executable, particles=12))
    (folder / "cryodrgn").chmod(0o755 | stat.S_IEXEC)
    return Peer(folder / "python", threads=1)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """A small set of four compositions at high SNR."""
    case = next(case for case in CASES if case.name == "compositional")
    settings = replace(settings_of(case, "smoke"), particles=300, snr=5.0)
    folder = tmp_path_factory.mktemp("mixture")
    simulate(settings, folder)
    return SimulatedSet(settings, folder)


def test_every_case_fits_its_data_preset_and_figures() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    for case in CASES:
        assert case.data in DATA_SETS
        assert {goal.figure for goal in case.goals} <= set(LABELS)
        assert {goal.case for goal in case.goals} <= {"", peer_of(case).name}
        with_options(preset(case.preset), case.options)
        for scale in SCALES:
            settings_of(case, scale).check()
    assert set(SPEED) == set(SCALES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_set_fits_its_box_and_has_what_is_measured(case: object) -> None:
    settings = settings_of(case, "smoke")  # type: ignore[arg-type]
    ensemble = load_ensemble(settings)
    states, names = ensemble.states(settings)
    count = {"states": len(names)}.get(case.measure, 0)  # type: ignore[attr-defined]
    assert count == {"discrete-10": 10, "compositional": 4}.get(case.name, 0)  # type: ignore[attr-defined]
    assert len(states) == len(ensemble)


def test_cases_are_chosen_with_those_of_the_peer() -> None:
    assert [c.name for c in chosen_cases("circle,speed", "cpu", with_peer=False)] == [
        "circle",
        "speed",
    ]
    both = chosen_cases("uniform-1d", "cpu", with_peer=True)
    assert [c.name for c in both] == ["uniform-1d", "uniform-1d/cryodrgn"]
    assert not any(goal.sense for goal in both[1].goals)
    assert len(chosen_cases("circle", "cpu", with_peer=True)) == 1
    assert len(chosen_cases("circle", "full", with_peer=True)) == 2
    with pytest.raises(InputError, match="no case 'uniform'"):
        chosen_cases("uniform", "cpu", with_peer=False)


def test_states_are_found_in_latents_that_have_them_and_not_in_others(
    mixture: SimulatedSet,
) -> None:
    case = next(case for case in CASES if case.name == "compositional")
    rng = np.random.default_rng(0)
    z = np.eye(4)[mixture.truth.state] + 0.05 * rng.normal(size=(300, 4))
    assert latent_figures(case, z, mixture)["ari"] == pytest.approx(1.0)
    assert abs(latent_floors(case, z, mixture)["ari"][SHUFFLED]) < 0.1


def test_resolution_is_measured_beside_homogeneous_maps_and_nyquist(mixture: SimulatedSet) -> None:
    pixel_A = mixture.settings.pixel_size_A
    rows = sampled_particles(mixture, 8)
    frame = mixture.truth.frame_of_particle
    maps = frame_maps(mixture, frame.tolist())
    truth = [maps[int(f)] for f in frame[rows]]
    homogeneous = {"mean": mean_map(mixture, maps), "data": backprojection(mixture)}
    floors = map_floors(homogeneous, truth, pixel_A)
    resolution = floors["resolution_A"]
    assert resolution["oracle"] == pytest.approx(2 * pixel_A)
    assert floors["fsc_mean"]["oracle"] == pytest.approx(1.0)
    assert floors["fsc_mean"]["mean"] > floors["fsc_mean"]["data"]
    # the images' poses, shifts, CTF and contrast bring the data's map onto the true ones
    assert resolution["data"] < 20.0
    assert resolution["mean"] <= resolution["data"]
    flipped = [np.ascontiguousarray(one[::-1]) for one in truth]
    assert map_figures(flipped, truth, pixel_A)["resolution_A"] > 2 * resolution["data"]


def test_the_peer_trains_as_we_do_and_its_files_are_read(peer: Peer, tmp_path: Path) -> None:
    config = with_options(
        preset("cryodrgn"),
        {"encoder.widths": [64] * 3, "volume.widths": [32] * 4, "optimiser.epochs": 3,
         "latent.dim": 2, "loss.kl_weight": 0.5},
    )  # fmt: skip
    made = SimulatedSet(settings_of(CASES[0], "smoke"), tmp_path / "set")
    seen: list[tuple[str, int, int]] = []
    run = peer.trained("a/cryodrgn", config, made, tmp_path, lambda *told: seen.append(told),
                       lambda: False)  # fmt: skip
    given = (run.folder / "given.txt").read_text()
    for words in ("--zdim 2", "-n 3", "-b 16", "--enc-layers 2 --enc-dim 64", "--beta 0.5",
                  "--dec-layers 3 --dec-dim 32", "--lr 0.0001", "--no-amp"):  # fmt: skip
        assert words in given
    speed = run.speed(12)
    assert speed["images_per_s"] == pytest.approx(12 / 62.5)
    assert speed["version"] == "4.3.1"
    assert run.latents().shape == (12, 1)
    maps = list(run.volumes(np.array([[1.0], [5.0]]), 2.0, lambda: False))
    assert [m.mean() for m in maps] == [1.0, 5.0]
    # the same again is not trained again; other settings are, beside it
    (run.folder / "given.txt").unlink()
    again = peer.trained("a/cryodrgn", config, made, tmp_path, lambda *told: None, lambda: False)
    assert again.folder == run.folder
    assert not (run.folder / "given.txt").exists()
    other = with_options(config, {"optimiser.epochs": 2})
    assert peer.trained("a/cryodrgn", other, made, tmp_path, lambda *told: None,
                        lambda: False).folder != run.folder  # fmt: skip


def test_a_peer_that_fails_or_is_not_there_says_so(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cryodrgn beside"):
        Peer(tmp_path / "python", 1)
    made = SimulatedSet(settings_of(CASES[0], "smoke"), tmp_path / "set")
    options = {"encoder.widths": [8] * 3, "volume.widths": [8] * 3, "optimiser.learning_rate": 2.0}
    config = preset("cryodrgn")
    fast = replace(config.optimiser, learning_rate=2.0, final_learning_rate=0.0)
    quiet = (lambda *told: None, lambda: False)
    with pytest.raises(InputError, match="train_vae failed: Traceback: diverged"):
        peer.trained("b", replace(config, optimiser=fast), made, tmp_path, *quiet)
    uneven = with_options(
        config, {"volume.widths": [8, 16], "encoder.widths": options["encoder.widths"]}
    )
    with pytest.raises(InputError, match=r"volume.widths is \[8, 16\]"):
        peer.trained("c", uneven, made, tmp_path, *quiet)


def test_stopping_ends_the_other_program(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(BenchStopped):
        peer.run(["sleep"], tmp_path, should_stop=lambda: True)


def outcomes() -> dict[str, VolumeOutcome]:
    ours, theirs = chosen_cases("uniform-1d", "cpu", with_peer=True)
    floors = {"resolution_A": {"mean of the true maps": 12.0, "oracle": 4.8},
              "spearman": {SHUFFLED: 0.01}}  # fmt: skip
    speed = {"images_per_s": 300.0, "epochs": 12, "seconds": 200.0}
    return {
        ours.name: VolumeOutcome(ours, {"resolution_A": 6.0, "spearman": 0.97}, floors, speed),
        theirs.name: VolumeOutcome(
            theirs, {"resolution_A": 6.5, "spearman": 0.99}, floors, speed | {"version": "4.3.1"}
        ),
    }


def test_the_table_compares_with_the_peer_and_with_trivial_predictors(tmp_path: Path) -> None:
    rows = rows_of(outcomes())
    assert [row.reached for row in rows] == [True, False, None, None, None, None]
    assert rows[0].must_reach == "<= 6.5 (uniform-1d/cryodrgn)"
    text = markdown(outcomes(), "cpu", {"cores": 2})
    line = next(line for line in text.splitlines() if line.startswith("| uniform-1d |"))
    for cell in ("6", "12", "4.8", "300", "yes"):
        assert f"| {cell} |" in line
    assert "cryoDRGN 4.3.1" in text
    assert "5,000 images of 48 px, 2.4 A per pixel, N x SNR 500" in text
    values = json.loads(json.dumps(figures_json(outcomes(), "cpu", {})))
    assert values["bench"] == "volume"
    write_picture(rows, tmp_path / "table.png", MARKS)


def test_the_bench_trains_measures_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(SCALES["smoke"], particles=24, epochs=1, width=8, layers=1, sampled=2)
    monkeypatch.setitem(SCALES, "smoke", small)
    chosen = chosen_cases("compositional", "smoke", with_peer=False)
    first, again = (
        bench_volume.run(chosen, "smoke", tmp_path, device="cpu")["compositional"] for _ in range(2)
    )
    assert first.problem == ""
    assert first.figures.keys() == {"images_per_s", "ari", "resolution_A", "fsc_mean"}
    assert again.figures == first.figures
    assert any(text.startswith("latent.dim") or "volume.widths" in text for text in first.overrides)
    assert make_set(chosen[0], "smoke", tmp_path, lambda *told: None, lambda: False).folder == (
        tmp_path / "data" / "mixture"
    )
