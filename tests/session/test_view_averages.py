"""Averages of particles by view, without a session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoscope.data import InputError, Particles, Volume
from cryoscope.session.reconstruct import reconstruct
from cryoscope.session.view_averages import average_by_view, view_tiles
from tests.session.test_reconstruct import BOX, COUNT, PIXEL_A, particles, with_images

__all__ = ["particles"]  # the fixture


def test_averages_look_like_the_map_of_all(particles: Particles) -> None:
    full = reconstruct(particles).full
    mirror = replace(full, values=np.ascontiguousarray(full.values[::-1]))
    seen: list[tuple[int, int]] = []
    found = average_by_view(
        particles,
        maps={"all": full, "mirror": mirror},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.images.shape == (len(found), BOX, BOX)
    assert found.pixel_size_A == PIXEL_A
    assert found.counts.tolist() == sorted(found.counts.tolist(), reverse=True)
    assert np.array_equal(found.counts, found.used)
    assert seen[-1] == (int(found.used.sum()),) * 2
    assert np.median(found.agreement["all"]) > np.median(found.agreement["mirror"]) + 0.1
    dark = average_by_view(particles, contrast=-1, box_size_px=BOX // 2)
    assert dark.images.shape[1:] == (BOX // 2, BOX // 2)
    assert dark.pixel_size_A == 2 * PIXEL_A
    np.testing.assert_array_equal(dark.counts, found.counts)


def test_a_bad_image_is_left_out_and_tiles_say_what_they_are(particles: Particles) -> None:
    images = particles.images.read(np.arange(COUNT))
    images[::7] = np.nan
    flat = Volume.centred(
        np.zeros((BOX,) * 3, np.float32), PIXEL_A, reconstruct(particles).full.provenance
    )
    found = average_by_view(
        with_images(particles, images), np.arange(0, COUNT, 1), maps={"flat": flat}
    )
    assert np.isfinite(found.images).all()
    assert found.agreement["flat"].tolist() == [0.0] * len(found)
    tiles = view_tiles(found, "flat")
    assert tiles[0].title == f"1:  {found.counts[0]}"
    assert tiles[0].text == "r 0.00"
    assert "azimuth" in tiles[0].tip
    assert tiles[0].average.dtype == np.uint8
    assert view_tiles(found, "")[0].projection is None


def test_refusals(particles: Particles) -> None:
    with pytest.raises(InputError, match="no poses"):
        average_by_view(replace(particles, poses=None))
    with pytest.raises(InputError, match="no viewing direction has"):
        average_by_view(particles, np.arange(4))
