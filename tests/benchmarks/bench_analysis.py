"""Times of the pictures and meshes that the window redraws.

Run ``python tests/benchmarks/bench_analysis.py [--json FILE]``. Prints medians in milliseconds and,
where another way of doing the same exists, the ratio to it. Numbers, never assertions on time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from skimage.measure import points_in_poly
from timing import median_ms

from cryoscope.analysis.backbone import tube_mesh
from cryoscope.analysis.isosurface import isosurface
from cryoscope.analysis.lasso import crossings, polygon_mask
from cryoscope.analysis.raster import data_bounds, scatter_rgba
from cryoscope.analysis.reduce import NeighbourIndex, nearest_state, pca_embedding
from cryoscope.data import Provenance, Volume


def brute_force(xy: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd test of every point against every edge."""
    points = xy.astype(np.float64)
    inside = np.zeros(len(xy), dtype=bool)
    for first, second in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        inside ^= crossings(points, first, second)
    return inside


def bench_scatter(figures: dict[str, float], rng: np.random.Generator) -> None:
    """Redraw of the latent scatter, 900 x 700 px."""
    xy = rng.normal(size=(1_000_000, 2)).astype(np.float32)
    bounds, values, selected = data_bounds(xy), xy[:, 0].copy(), xy[:, 1] > 0.5
    for name, count, options in (
        ("density, 1 M", 1_000_000, {}),
        ("density coloured by a value, 1 M", 1_000_000, {"values": values}),
        ("density with a selection, 1 M", 1_000_000, {"selected": selected}),
        ("dots, 10,000", 10_000, {}),
    ):
        part = {key: array[:count] for key, array in options.items()}
        figures[f"{name} [ms]"] = median_ms(
            lambda n=count, kw=part: scatter_rgba(xy[:n], bounds, (700, 900), **kw)
        )


def bench_lasso(figures: dict[str, float], rng: np.random.Generator) -> None:
    """Lasso of a million points against two exact tests of all points."""
    xy = rng.normal(size=(1_000_000, 2)).astype(np.float32)
    for corners in (30, 300):
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        radius = 1 + 0.2 * np.sin(9 * angle)
        polygon = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        ours = median_ms(lambda p=polygon: polygon_mask(xy, p))
        brute = median_ms(lambda p=polygon: brute_force(xy, p), repeats=1)
        skimage = median_ms(lambda p=polygon: points_in_poly(xy, p), repeats=3)
        wrong = int((polygon_mask(xy, polygon) != brute_force(xy, polygon)).sum())
        name = f"lasso, 1 M, {corners} corners"
        figures[f"{name} [ms]"] = ours
        figures[f"{name}: brute force / ours"] = brute / ours
        figures[f"{name}: scikit-image points_in_poly / ours"] = skimage / ours
        figures[f"{name}: points that differ from brute force"] = wrong


def bench_meshes(figures: dict[str, float], rng: np.random.Generator) -> None:
    """Backbone of 10,000 residues, isosurface of a 128^3 map."""
    step = rng.normal(size=(10_000, 3))
    coords = np.cumsum(3.8 * step / np.linalg.norm(step, axis=1)[:, None], axis=0)
    breaks = rng.uniform(size=9_999) < 0.002
    figures["backbone, 10,000 residues [ms]"] = median_ms(
        lambda: tube_mesh(coords, breaks, values=coords[:, 0])
    )
    axis = np.arange(128) - 64.0
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    volume = Volume.centred((30 - radius).astype(np.float32), 1.0, Provenance("file"))
    for stride in (1, 2):
        figures[f"isosurface, 128^3, every {stride} [ms]"] = median_ms(
            lambda s=stride: isosurface(volume, 0.0, step=s), repeats=5
        )


def bench_embedding(figures: dict[str, float], rng: np.random.Generator) -> None:
    """Refresh of the live picture, and the state under the cursor, 300,000 x 8."""
    z = (rng.normal(size=(300_000, 8)) * np.arange(8, 0, -1)).astype(np.float32)
    first = pca_embedding(z)
    figures["PCA refresh, 300,000 x 8 [ms]"] = median_ms(lambda: pca_embedding(z, first))
    index = NeighbourIndex(first.xy)
    figures["neighbour index, 300,000 [ms]"] = median_ms(lambda: NeighbourIndex(first.xy), 3)
    figures["state under the cursor, indexed [ms]"] = median_ms(
        lambda: nearest_state(z, first.xy, (0.5, 0.5), index=index)
    )
    figures["state under the cursor, without index [ms]"] = median_ms(
        lambda: nearest_state(z, first.xy, (0.5, 0.5))
    )


def main() -> None:
    """Print every figure; ``--json FILE`` writes them too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for bench in (bench_scatter, bench_lasso, bench_meshes, bench_embedding):
        bench(figures, np.random.default_rng(0))
    for name, value in figures.items():
        print(f"{name:66s} {value:10.1f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
