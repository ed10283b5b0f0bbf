"""The picture of the latents, as the scatter plot shows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoscope.session.state import Session

Bounds = tuple[float, float, float, float]
UNIT_BOUNDS: Bounds = (-1.0, 1.0, -1.0, 1.0)


def scatter_picture(session: Session, bounds: Bounds, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the embedding by density or covariate, the active selection brighter than the rest.

    Parameters
    ----------
    bounds
        (xmin, xmax, ymin, ymax) of the picture's edges.
    shape
        (height, width) in pixels.

    Returns
    -------
    (height, width, 4) uint8 RGBA, row 0 at ymax; transparent where there is no particle.
    """
    from cryoscope.analysis.raster import scatter_rgba

    embedding, selections, active, shown = session.snapshot(
        "embedding", "selections", "active_selection", "colouring"
    )
    if embedding is None:
        return np.zeros((*shape, 4), dtype=np.uint8)
    masks = [selection.mask for selection in selections if selection.name == active]
    selected = masks[0] if masks and len(masks[0]) == len(embedding.xy) else None
    if shown is None or len(shown.values) != len(embedding.xy):
        return scatter_rgba(embedding.xy, bounds, shape, selected=selected)
    if shown.name == "selection":  # all selections at once: none of them is dimmed
        selected = None
    return scatter_rgba(
        embedding.xy,
        bounds,
        shape,
        values=shown.values,
        value_range=shown.colour_range,
        kind=shown.kind,
        selected=selected,
        lut=shown.table,
    )


def density_table() -> NDArray[np.uint8]:
    """(256, 3) colours from few to many particles in a pixel."""
    from cryoscope.analysis.raster import lookup_table

    return lookup_table()


def scatter_bounds(session: Session, previous: Bounds | None = None) -> Bounds:
    """(xmin, xmax, ymin, ymax) that hold the embedding.

    Given the ``previous`` bounds of the same run they only grow, and only when they must: a live
    picture does not jump.
    """
    from cryoscope.analysis.raster import data_bounds, expand_bounds

    embedding = session.embedding
    if embedding is None:
        return UNIT_BOUNDS if previous is None else previous
    bounds = data_bounds(embedding.xy, 0.05)
    return bounds if previous is None else expand_bounds(previous, bounds)
