"""Helices and strands are found from CA atoms, and drawn as ribbons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.backbone import ring_places, tube_mesh
from cryoscope.analysis.ribbon import ribbon_mesh
from cryoscope.analysis.secondary_structure import COIL, HELIX, STRAND, secondary_structure


def helix_A(count: int) -> NDArray[np.float64]:
    turn = np.deg2rad(100) * np.arange(count)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)], axis=1)


def strand_A(count: int) -> NDArray[np.float64]:
    along = np.arange(count)
    return np.stack([0.9 * (-1.0) ** along, np.zeros(count), 3.3 * along], axis=1)


def joined(count: int) -> bool:
    return np.zeros(count - 1, dtype=bool)


def test_ideal_helix_and_strand() -> None:
    assert (secondary_structure(helix_A(20), joined(20))[1:-1] == HELIX).all()
    assert (secondary_structure(strand_A(12), joined(12))[1:-1] == STRAND).all()
    mirrored = helix_A(20) * [-1, 1, 1]
    assert (secondary_structure(mirrored, joined(20)) == HELIX).sum() <= 20


def test_a_random_chain_is_coil_and_a_break_parts() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(200, 3))
    chain = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1)[:, None], axis=0)
    assert (secondary_structure(chain, joined(200)) == COIL).mean() > 0.9
    both = np.concatenate([helix_A(12), strand_A(8) + 40])
    breaks = joined(20)
    breaks[11] = True
    found = secondary_structure(both, breaks)
    assert (found[1:11] == HELIX).all()
    assert (found[13:19] == STRAND).all()
    assert (secondary_structure(np.zeros((3, 3)), joined(3)) == COIL).all()


def test_a_ribbon_has_the_tube_s_topology_and_its_own_widths() -> None:
    both = np.concatenate([helix_A(12), strand_A(8) + 40])
    breaks = joined(20)
    breaks[11] = True
    kinds = secondary_structure(both, breaks)
    values = np.arange(20.0)
    tube = tube_mesh(both, breaks, values=values)
    ribbon = ribbon_mesh(both, breaks, kinds, values=values)
    assert ribbon.faces is tube.faces
    assert np.array_equal(ribbon.values, tube.values)
    assert np.isfinite(ribbon.vertices_A).all()
    bead, _ = ring_places(breaks, 6)
    rings = len(bead) - 4
    around = ribbon.vertices_A[: rings * 8].reshape(rings, 8, 3)
    width_A = np.linalg.norm(around[:, 0] - around[:, 4], axis=1)
    thick_A = np.linalg.norm(around[:, 2] - around[:, 6], axis=1)
    in_helix = bead[:rings] == 5
    assert np.allclose(width_A[in_helix], 3.8, atol=0.01)
    assert np.allclose(thick_A[in_helix], 0.68, atol=0.01)
    # The wide side of a helix lies along its axis, that of a strand across the zigzag.
    side = around[:, 0] - around[:, 4]
    assert (abs(side[in_helix, 2]) > 0.8 * width_A[in_helix]).all()
    in_strand = bead[:rings] == 15
    assert (abs(side[in_strand, 1]) > 0.9 * width_A[in_strand]).all()
