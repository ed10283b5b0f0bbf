"""The figures of a check, one by one: rows, half-sets, curves, what latents follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoscope.data import InputError, Particles, Poses, Provenance, Selection, Volume
from cryoscope.session.check_measures import (
    latent_associations,
    map_to_map,
    named_curve,
    selected_rows,
    some_of,
    views_of,
)
from tests.session.conftest import particles as star_particles
from tests.session.fake_worker import PARTICLES, fake_latents


@pytest.fixture
def particles(tmp_path: Path) -> Particles:
    """Three hundred of them, seen from everywhere, at many defoci."""
    made = star_particles(tmp_path)
    rng = np.random.default_rng(0)
    rotation = Rotation.random(PARTICLES, random_state=0).as_matrix()
    defocus_A = rng.uniform(8_000, 20_000, PARTICLES)
    ctf = replace(made.ctf, defocus_u_A=defocus_A, defocus_v_A=defocus_A)
    return replace(made, poses=Poses(rotation, np.zeros((PARTICLES, 2))), ctf=ctf)


def chosen(*rows: int, count: int = PARTICLES) -> Selection:
    mask = np.zeros(count, dtype=bool)
    mask[list(rows)] = True
    return Selection("some", mask)


def test_a_selection_means_particles_not_rows(particles: Particles) -> None:
    latents = fake_latents("r", 1, 0)
    assert selected_rows(particles, chosen(7, 3), latents).tolist() == [3, 7]
    assert selected_rows(particles, chosen(7, 3), None).tolist() == [3, 7]
    turned = replace(latents, uid=latents.uid[::-1], z=latents.z[::-1])
    assert selected_rows(particles, chosen(0, 7), turned).tolist() == [
        PARTICLES - 8, PARTICLES - 1,
    ]  # fmt: skip
    with pytest.raises(InputError, match="'some' is empty"):
        selected_rows(particles, chosen(), latents)
    strangers = replace(latents, uid=np.char.add("other-", latents.uid))
    with pytest.raises(InputError, match="2 selected particles are not in the file"):
        selected_rows(particles, chosen(1, 2), strangers)
    with pytest.raises(InputError, match="other particles"):
        selected_rows(particles, chosen(1, count=10), None)


def test_some_are_drawn_from_both_halves_alike() -> None:
    rows = np.arange(100, 1_100)
    half_set = np.ones(2_000, dtype=np.int8)
    half_set[100:900] = 2  # 800 of them, and 200 of the other half
    few = some_of(rows, half_set, 100)
    assert len(few) == 100
    assert (half_set[few] == 2).sum() == 80
    assert np.all(np.diff(few) > 0)
    assert set(few) <= set(rows)
    assert some_of(rows, half_set, 1_000) is rows
    half_set[:] = 1
    assert len(some_of(rows, half_set, 10)) == 10  # no second half: none are made up


def test_views_need_poses(particles: Particles) -> None:
    found = views_of(particles, np.arange(50))
    assert found.coverage < found.coverage_everyone  # fifty cannot see all that 300 do
    with pytest.raises(InputError, match="no poses"):
        views_of(replace(particles, poses=None), np.arange(50))


def test_latents_that_follow_the_defocus_say_so(particles: Particles) -> None:
    latents = fake_latents("r", 1, 0)
    defocus = (particles.ctf.defocus_u_A - 14_000) / 1_000
    z = np.stack([defocus, np.random.default_rng(1).normal(size=PARTICLES)], axis=1)
    latents = replace(latents, z=z.astype(np.float32))
    found = {(one.axis, one.covariate): one for one in latent_associations(particles, latents)}
    assert {covariate for _, covariate in found} == {
        "viewing direction", "angle in the image", "defocus",
    }  # fmt: skip
    assert found["PC1", "defocus"].follows
    assert not found["PC2", "defocus"].follows
    assert not found["PC1", "viewing direction"].follows
    # in another order, the names decide
    order = np.random.default_rng(2).permutation(PARTICLES)
    turned = replace(latents, z=latents.z[order], uid=latents.uid[order])
    again = {(one.axis, one.covariate): one for one in latent_associations(particles, turned)}
    assert again["PC1", "defocus"].strength == pytest.approx(
        found["PC1", "defocus"].strength, rel=1e-3
    )
    strangers = replace(latents, uid=np.char.add("other-", latents.uid))
    assert latent_associations(particles, strangers) == ()
    assert latent_associations(particles, None) == ()
    assert latent_associations(replace(particles, poses=None), latents) == ()


def volume(values: np.ndarray, voxel_A: float) -> Volume:
    return Volume.centred(values.astype(np.float32), voxel_A, Provenance("file"))


def test_the_decoded_map_is_compared_in_the_coarser_box() -> None:
    grid = np.indices((24,) * 3) - 12
    blob = np.exp(-(grid**2).sum(0) / 18)
    ours = volume(blob, 2.0)
    found: Any = SimpleNamespace(full=ours, mask=volume(np.ones((24,) * 3), 2.0))
    notes: list[str] = []
    coarse = np.exp(-((np.indices((12,) * 3) - 6) ** 2).sum(0) / 4.5)
    same = map_to_map(found, volume(coarse, 4.0), notes)
    assert same is not None
    assert len(same.correlation) == 7
    assert same.correlation[1:4].min() > 0.98
    assert same.limited
    rng = np.random.default_rng(0)
    noise = map_to_map(found, volume(rng.normal(size=(24,) * 3), 2.0), notes)
    assert noise is not None
    assert noise.resolution_A > same.resolution_A
    assert notes == []
    assert map_to_map(found, volume(blob, 2.5), notes) is None
    assert notes == ["The decoded map covers another field of view: it was not compared."]
    assert map_to_map(found, None, notes) is None
    assert len(notes) == 1


def test_a_curve_that_ends_before_it_falls_is_limited_by_the_sampling() -> None:
    frequency = np.linspace(0, 0.25, 9)
    assert named_curve(frequency, np.ones(9), 4.0, 0.143).limited
    assert not named_curve(frequency, np.ones(9), 5.0, 0.143).limited
