from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError, Latents, Structure, Volume
from cryoscope.io.mrc import read_volume
from cryoscope.io.selections_file import read_selections
from cryoscope.io.structures import read_models
from cryoscope.session.analyze import AnalyzeSettings, analyze_latents
from cryoscope.session.decoded_maps import in_box
from tests.analysis.structures import trace
from tests.analysis.toy_maps import BOX_PX, VOXEL_A, blob, moving_part, two_groups, volume

SETTINGS = AnalyzeSettings(clusters=2, frames=4, components=2)


class ToyDecoder:
    """Maps whose part follows the first latent; a trace of four atoms, or none."""

    def __init__(self, atoms: bool = True) -> None:
        self.bead_count = 4 if atoms else 0

    @property
    def trace_structure(self) -> Structure:
        assert self.bead_count
        return trace()

    def coords_A(self, z: np.ndarray, chunk: int = 1024) -> np.ndarray:
        coords_A = np.tile(trace().coords_A, (len(z), 1, 1))
        coords_A[:, 0, 0] += z[:, 0]
        return coords_A.astype(np.float32)

    def volumes(self, z: np.ndarray, box_size_px: int = 0) -> Iterator[Volume]:
        yield from moving_part(z / 3)


def latents() -> tuple[Latents, np.ndarray]:
    z, truth = two_groups(60)
    z[7] = np.nan
    uid = np.array([f"{i:06d}@a,b.mrcs" for i in range(len(z))])
    return Latents(z, None, uid, "toy", 3), truth


def test_tables_and_pictures(tmp_path: Path) -> None:
    given, truth = latents()
    found = analyze_latents(given, None, SETTINGS, tmp_path / "a")
    folder = tmp_path / "a"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "particles.csv", "clusters.csv", "selections.json", "summary.json", "pca.png"
    }  # fmt: skip
    table = pd.read_csv(folder / "particles.csv")
    assert table["particle"].tolist() == given.uid.tolist()
    np.testing.assert_allclose(table[["z1", "z2"]], given.z, rtol=1e-5)
    known = table["cluster"] > 0
    assert known.sum() == 119
    assert table["cluster"][7] == -1
    assert adjusted_rand_score(truth[known], table["cluster"][known]) == 1.0
    selections = read_selections(folder / "selections.json", particle_count=120)
    assert [len(one) for one in selections] == found.clusters.sizes.tolist()
    clusters = pd.read_csv(folder / "clusters.csv")
    rows = clusters["centre_row"].to_numpy()
    np.testing.assert_allclose(clusters[["z1", "z2"]], given.z[rows], rtol=1e-5)
    assert clusters["centre_particle"].tolist() == given.uid[rows].tolist()
    with Image.open(folder / "pca.png") as picture:
        assert np.asarray(picture).std() > 5
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cluster_sizes"] == [60, 59]


@pytest.mark.parametrize("atoms", [True, False])
def test_series_of_maps_models_and_movies(atoms: bool, tmp_path: Path) -> None:
    given, _ = latents()
    settings = replace(SETTINGS, anchors=(0, 100), way="ridge")
    folder = tmp_path / "a"
    analyze_latents(given, ToyDecoder(atoms), settings, folder)
    for name in ("pc1", "pc2", "path"):
        files = {path.name for path in (folder / name).iterdir()}
        maps = {f"state-{i:02d}.mrc" for i in range(1, 5)}
        models = {"states.pdb"} if atoms else set()
        assert files == maps | models | {"states.csv", "series.cxc", "movie.gif"}
    states = pd.read_csv(folder / "pc1" / "states.csv")
    assert states["particles"].sum() == 119
    assert set(states["nearest_particle"]) <= set(given.uid)
    # The part moves with the first latent, from one end to the other.
    places = [
        read_volume(folder / "pc1" / f"state-{i:02d}.mrc").values[8, :, 10].argmax() for i in (1, 4)
    ]
    assert abs(int(places[1]) - int(places[0])) >= 3
    with Image.open(folder / "pc1" / "movie.gif") as movie:
        assert movie.n_frames == 6
    script = (folder / "pc1" / "series.cxc").read_text()
    assert ("states.pdb coordset true" in script) == atoms
    clusters = {path.name for path in (folder / "clusters").iterdir()}
    assert clusters >= {"cluster-01.mrc", "cluster-02.mrc", "clusters.cxc", "movie.gif"}
    if atoms:
        models = read_models(folder / "pc1" / "states.pdb")
        np.testing.assert_allclose(
            models.coords_A[:, 0, 0], trace().coords_A[0, 0] + states["z1"], atol=2e-3
        )


@pytest.mark.parametrize("method", ["gmm", "hdbscan", "agglomerative"])
def test_other_clusterings(method: str, tmp_path: Path) -> None:
    given, truth = latents()
    settings = replace(SETTINGS, method=method, clusters=2)
    found = analyze_latents(given, None, settings, tmp_path / "a")
    held = found.clusters.labels >= 0
    assert adjusted_rand_score(truth[held], found.clusters.labels[held]) == 1.0
    assert found.figures["particles_in_no_cluster"] == 119 - int(held.sum())


def test_a_umap_picture(tmp_path: Path) -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed (extra: umap)")
    given, _ = latents()
    analyze_latents(given, None, replace(SETTINGS, umap=True), tmp_path / "a")
    table = pd.read_csv(tmp_path / "a" / "particles.csv")
    assert np.isfinite(table["UMAP1"]).sum() == 119
    assert (tmp_path / "a" / "umap.png").is_file()


@pytest.mark.parametrize("way", ["graph", "direct", "ridge"])
def test_paths_between_particles(way: str, tmp_path: Path) -> None:
    given, _ = latents()
    settings = replace(SETTINGS, anchors=(3, 80), way=way, components=0)
    analyze_latents(given, ToyDecoder(), settings, tmp_path / "a")
    states = pd.read_csv(tmp_path / "a" / "path" / "states.csv")[["z1", "z2"]].to_numpy()
    if way != "ridge":
        np.testing.assert_allclose(states[[0, -1]], given.z[[3, 80]], rtol=1e-5)
    assert not (tmp_path / "a" / "pc1").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "means"}, "no clustering"),
        ({"way": "winding"}, "no way"),
        ({"frames": 1}, "2 frames"),
        ({"components": -1}, "below 0"),
        ({"clusters": 500}, "500 clusters cannot be made of 119"),
        ({"anchors": (7, 3)}, "particle 7 has no latent"),
        ({"anchors": (1, 3000)}, "no particle 3000"),
        ({"anchors": (1,), "way": "direct"}, "two particles"),
    ],
)
def test_bad_settings_leave_nothing(change: dict[str, object], words: str, tmp_path: Path) -> None:
    given, _ = latents()
    with pytest.raises(InputError, match=words):
        analyze_latents(given, None, replace(SETTINGS, **change), tmp_path / "a")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_no_latents_and_a_used_folder(tmp_path: Path) -> None:
    given, _ = latents()
    with pytest.raises(InputError, match="no latents of two particles"):
        analyze_latents(replace(given, z=given.z * np.nan), None, SETTINGS, tmp_path / "a")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        analyze_latents(given, None, SETTINGS, tmp_path / "used")


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    given, _ = latents()
    asked = {"stop": False}

    def progress(stage: str, done: int, total: int) -> None:
        asked["stop"] |= stage == "maps of pc1" and done == 2

    with pytest.raises(Stopped):
        analyze_latents(
            given, ToyDecoder(), SETTINGS, tmp_path / "a", progress=progress,
            should_stop=lambda: asked["stop"],
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_same_field_of_view_in_fewer_samples() -> None:
    axis = np.arange(32) - 16
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    fine = np.exp(-0.5 * (grid[0] ** 2 + (grid[1] - 4) ** 2 + grid[2] ** 2) / 3.2**2)
    small = in_box(
        Volume.centred(fine.astype(np.float32), VOXEL_A / 2, volume(fine).provenance), 16
    )
    assert small.voxel_size_A == VOXEL_A
    assert small.values.shape == (16, 16, 16)
    np.testing.assert_allclose(small.values, blob((0, 2, 0)), atol=1e-3)
    assert small.origin_A == (-8 * VOXEL_A,) * 3
    whole = volume(blob((0, 0, 0)))
    assert in_box(whole, 0) is whole
    assert in_box(whole, 2 * BOX_PX) is whole
    with pytest.raises(InputError, match="even number"):
        in_box(whole, 9)
