"""Two-dimensional averages of a selection by viewing direction, beside projections of maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Particles, Volume

if TYPE_CHECKING:
    from torch import Tensor

    from cryoscope.analysis.view_groups import ViewGroup
    from cryoscope.physics.view_averages import ViewAverager

#: Box of the averages at most, and the particles of a group that are averaged at most.
BOX_PX, MOST_PER_VIEW = 96, 1500
_BATCH = 128
#: Percentiles of an image that become black and white.
_BLACK, _WHITE = 0.5, 99.8
Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ViewAverages:
    """Averages of images by view, fullest view first, and what maps look like from there.

    Attributes
    ----------
    images
        (V, n, n) averages, protein bright.
    counts, used
        (V,) particles in each view, and how many of them were averaged.
    azimuth_deg, elevation_deg
        (V,) the direction of the view, as in the map of views.
    pixel_size_A
        Of the images.
    projections
        Name of a map -> (V, n, n) its projections, with the filter that the average has.
    agreement
        Name of a map -> (V,) correlation of its projections with the averages.
    """

    images: Images = field(repr=False)
    counts: NDArray[np.int64]
    used: NDArray[np.int64]
    azimuth_deg: NDArray[np.float64]
    elevation_deg: NDArray[np.float64]
    pixel_size_A: float
    projections: Mapping[str, Images] = field(default_factory=dict, repr=False)
    agreement: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)


def average_by_view(
    particles: Particles,
    rows: NDArray[np.integer] | None = None,
    *,
    maps: Mapping[str, Volume] | None = None,
    contrast: int = 1,
    box_size_px: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ViewAverages:
    """Average the images of particles that are seen from about the same direction.

    The fullest views are taken (see `cryoscope.analysis.view_groups`); their images are moved and
    turned by their poses, and averaged with a Wiener filter for their CTF.

    Parameters
    ----------
    rows
        Which particles; None: all.
    maps
        Maps, protein positive, over the field of view of the images, that are projected too.
    contrast
        +1 where protein is bright in the images, -1 where it is dark.
    box_size_px
        Even side of the averages; 0: that of the images, or `BOX_PX` if that is less.
    progress
        Called with how many images of how many are averaged.

    Raises
    ------
    InputError
        Without poses, or where no direction has enough particles.
    """
    from cryoscope.analysis.view_groups import FEWEST, group_views

    if particles.poses is None:
        raise InputError("the particles have no poses", cure="Give particles of a refinement.")
    chosen = np.arange(len(particles)) if rows is None else np.asarray(rows, dtype=np.int64)
    groups = group_views(np.asarray(particles.poses.rotation)[chosen])
    if not groups:
        raise InputError(
            f"no viewing direction has {FEWEST} particles", cure="Choose more particles."
        )
    box_px = box_size_px or min(BOX_PX, particles.box_size_px)
    used = [_some(group) for group in groups]
    total = sum(map(len, used))
    averagers, done = [], 0
    for group, places in zip(groups, used, strict=True):

        def said(count: int, before: int = done) -> None:
            if progress is not None:
                progress(before + count, total)

        averagers.append(_averaged(particles, chosen, group, places, box_px, said))
        done += len(places)
    images = [one.average() * contrast for one in averagers]
    views = [group.rotation for group in groups]
    projections, agreements = {}, {}
    for name, volume in (maps or {}).items():
        projections[name], agreements[name] = _projected(volume, views, averagers, images)
    return ViewAverages(
        np.stack([one.numpy() for one in images]),
        np.array([len(group) for group in groups], dtype=np.int64),
        np.array([len(places) for places in used], dtype=np.int64),
        np.array([group.azimuth_deg for group in groups]),
        np.array([group.elevation_deg for group in groups]),
        averagers[0].pixel_size_A,
        projections,
        agreements,
    )


def grey_levels(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image in 256 greys, protein white."""
    low, high = np.percentile(image, [_BLACK, _WHITE])
    share = (image - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(255 * share, 0, 255), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class ViewTile:
    """One view, ready to be drawn: (n, n) greys of the average and of a map, and the words."""

    title: str
    average: NDArray[np.uint8] = field(repr=False)
    projection: NDArray[np.uint8] | None = field(repr=False)
    text: str
    tip: str


def view_tiles(found: ViewAverages, compared: str) -> tuple[ViewTile, ...]:
    """The averages, each beside what the map named ``compared`` looks like ("" for none)."""
    maps, alike = found.projections.get(compared), found.agreement.get(compared)
    tiles = []
    for view, image in enumerate(found.images):
        projection = None if maps is None else grey_levels(maps[view])
        r = "" if alike is None else f"r {alike[view]:.2f}"
        counted = f"{found.counts[view]:,} particles"
        if found.used[view] < found.counts[view]:
            counted += f", {found.used[view]:,} of them averaged"
        azimuth_deg, elevation_deg = found.azimuth_deg[view], found.elevation_deg[view]
        tip = f"View {view + 1}: {counted}\n"
        tip += f"seen from azimuth {azimuth_deg:.0f}°, elevation {elevation_deg:.0f}°"
        if alike is not None:
            tip += f"\ncorrelation with the {compared} map: {alike[view]:.3f}"
        title = f"{view + 1}:  {found.counts[view]:,}"
        tiles.append(ViewTile(title, grey_levels(image), projection, r, tip))
    return tuple(tiles)


def _averaged(
    particles: Particles,
    chosen: NDArray[np.int64],
    group: ViewGroup,
    places: NDArray[np.int64],
    box_px: int,
    said: Callable[[int], None],
) -> ViewAverager:
    """One view's images, added up."""
    import torch

    from cryoscope.io.image_preparation import background_mask
    from cryoscope.physics.ctf import ctf_table
    from cryoscope.physics.view_averages import ViewAverager

    assert particles.poses is not None
    full_px = particles.box_size_px
    corners = np.flatnonzero(background_mask(full_px, 1.0, full_px / 2))
    made = ViewAverager(box_px, particles.pixel_size_A * full_px / box_px)
    for first in range(0, len(places), _BATCH):
        here = places[first : first + _BATCH]
        rows = chosen[group.rows[here]]
        images = particles.images.read(rows)
        level = images.reshape(len(rows), -1)[:, corners].mean(axis=1)
        images = images - level[:, None, None]
        good = np.isfinite(images).all(axis=(1, 2))
        rows, turn = rows[good], group.turn_rad[here][good]
        made.add(
            torch.as_tensor(images[good]),
            torch.as_tensor(turn),
            torch.as_tensor(np.asarray(particles.poses.shift_A)[rows]),
            ctf_table(particles.ctf.take(rows), particles.optics),
        )
        said(first + len(here))
    return made


def _projected(
    volume: Volume,
    views: Sequence[NDArray[np.float64]],
    averagers: Sequence[ViewAverager],
    images: Sequence[Tensor],
) -> tuple[Images, NDArray[np.float64]]:
    """A map from every view, as the averages would show it, and how well it agrees with them."""
    import torch

    from cryoscope.physics.view_averages import agreement, project_volume
    from cryoscope.training.consensus import crop_map

    first, side_px = averagers[0], volume.values.shape[0]
    # Sampled no finer than the averages, or its finest detail would fold back into them.
    coarse = crop_map(volume.values, min(side_px, first.box_size_px))
    projected = project_volume(
        torch.as_tensor(coarse),
        volume.width_A / len(coarse),
        torch.as_tensor(np.stack(views)),
        first.box_size_px,
        first.pixel_size_A,
    )
    seen = [one.as_seen(flat) for one, flat in zip(averagers, projected, strict=True)]
    alike = [agreement(one, two) for one, two in zip(seen, images, strict=True)]
    return np.stack([one.numpy() for one in seen]), np.array(alike)


def _some(group: ViewGroup) -> NDArray[np.int64]:
    """Places in a group, at most so many, always the same ones."""
    if len(group) <= MOST_PER_VIEW:
        return np.arange(len(group))
    drawn = np.random.default_rng(11).choice(len(group), MOST_PER_VIEW, replace=False)
    return np.sort(drawn).astype(np.int64)
