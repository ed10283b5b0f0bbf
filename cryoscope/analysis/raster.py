"""A picture of particles in the plane of an embedding: density shading for many, dots for few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Bounds = tuple[float, float, float, float]
Kind = Literal["continuous", "cyclic", "discrete"]
_Stamp = list[tuple[int, int, float]]

# With fewer points than this in view they are drawn as separate dots.
DOTS_BELOW = 50_000
_CHUNK = 1 << 16
# Colour of a pixel with one particle, as an index into the table; separate dots are brighter.
_DARKEST, _DARKEST_DOT = 12, 84
# The brightest colour stands for at least this many particles in a pixel.
_FEWEST_AT_TOP = 8.0
# Unselected particles: grey levels from one particle to the densest pixel, and opacity.
_GREY = (105, 165)
_DIMMED_ALPHA = 0.6

# Knots of the tables in OKLCH (lightness, chroma, hue in degrees): lightness rises evenly, so that
# they read the same in grey and to colour-blind eyes (blue -> yellow, violet -> orange -> cream).
_KNOTS = {
    "sea": (
        (0.36, 0.50, 0.65, 0.80, 0.94),
        (0.12, 0.13, 0.11, 0.13, 0.15),
        (285, 262, 215, 150, 105),
    ),
    # Both ends are one colour: for angles that come round.
    "turn": (
        (0.46, 0.64, 0.93, 0.66, 0.46),
        (0.15, 0.13, 0.03, 0.14, 0.15),
        (310, 250, 150, 50, -50),
    ),
    "ember": (
        (0.38, 0.52, 0.66, 0.80, 0.95),
        (0.14, 0.17, 0.17, 0.13, 0.06),
        (300, 345, 395, 425, 455),
    ),
}


@lru_cache(maxsize=4)
def lookup_table(name: str = "sea") -> NDArray[np.uint8]:
    """A (256, 3) table of colours: ``"sea"``, ``"ember"``, or ``"turn"`` for angles.

    The lightness of the first two rises evenly; that of the third rises and falls again.

    Interpolated in OKLCH, converted through OKLab to sRGB (B. Ottosson, 2020).

    Raises
    ------
    ValueError
        For another name.
    """
    if name not in _KNOTS:
        raise ValueError(f"there is no colour table {name!r}: {', '.join(_KNOTS)}")
    at, knots = np.linspace(0, 1, 256), np.linspace(0, 1, 5)
    lightness, chroma, hue_deg = (np.interp(at, knots, values) for values in _KNOTS[name])
    a, b = chroma * np.cos(np.deg2rad(hue_deg)), chroma * np.sin(np.deg2rad(hue_deg))
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_linear @ lms**3, 0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table = np.round(srgb.T * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


def data_bounds(xy: NDArray[np.floating], margin: float = 0.05) -> Bounds:
    """Bounds (xmin, xmax, ymin, ymax) of the finite points, widened by ``margin`` of the extent.

    Without points, or where they do not spread, the bounds are still wider than nothing.
    """
    bounds: list[float] = []
    for column in np.asarray(xy).T:
        low, high = _finite_range(column)
        extent = high - low
        pad = margin * extent if extent > 1e-6 * max(abs(low), abs(high), 1e-30) else 1.0
        bounds += [low - pad, high + pad]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def _finite_range(column: NDArray[np.floating]) -> tuple[float, float]:
    """Lowest and highest finite value; zeros without any."""
    if len(column) == 0:
        return 0.0, 0.0
    low, high = float(column.min()), float(column.max())
    if not np.isfinite(low + high):
        column = column[np.isfinite(column)]
        if len(column) == 0:
            return 0.0, 0.0
        low, high = float(column.min()), float(column.max())
    return low, high


def expand_bounds(old: Bounds, new: Bounds, *, headroom: float = 0.1) -> Bounds:
    """``old`` grown where ``new`` leaves it, with headroom so that it does not grow every time.

    ``headroom`` is a part of the new extent. Bounds never shrink: a live view must not jump.
    """
    grown = list(old)
    for low, high in ((0, 1), (2, 3)):
        room = headroom * (new[high] - new[low])
        if new[low] < old[low]:
            grown[low] = new[low] - room
        if new[high] > old[high]:
            grown[high] = new[high] + room
    return grown[0], grown[1], grown[2], grown[3]


@dataclass(frozen=True)
class _InView:
    """Points in view: pixel of each (row-major) and which point it is (None = all)."""

    pixel: NDArray[np.int64]
    point: NDArray[np.int64] | None

    def pick(self, per_point: NDArray[Any]) -> NDArray[Any]:
        """The entries of a per-point array that are in view."""
        return per_point if self.point is None else per_point[self.point]


def scatter_rgba(
    xy: NDArray[np.floating],
    bounds: Bounds,
    shape: tuple[int, int],
    *,
    values: NDArray[np.floating] | None = None,
    value_range: tuple[float, float] | None = None,
    kind: Kind = "continuous",
    selected: NDArray[np.bool_] | None = None,
    lut: NDArray[np.uint8] | str = "sea",
    point_size_px: float | None = None,
) -> NDArray[np.uint8]:
    """Picture of the points within bounds, on a transparent background.

    More than 50,000 points in view are shaded by the logarithm of their number per pixel; fewer
    are drawn as round dots whose overlaps are shaded likewise.

    Parameters
    ----------
    xy
        (N, 2); NaN is not drawn.
    bounds
        (xmin, xmax, ymin, ymax) of the picture's edges.
    shape
        (height, width) in pixels.
    values
        (N,) colour each pixel by the mean of the values in it, instead of by density. Particles
        without one (NaN) are drawn grey.
    value_range
        Values at the two ends of the colour table; default: the range of the values.
    kind
        What the values are: ``"continuous"``; ``"cyclic"``, whose mean is that of directions and
        whose range is one turn; or ``"discrete"``, small whole numbers that pick a row of ``lut``,
        where the commonest in a pixel gives its colour.
    selected
        (N,) mask; where any are selected, the others are dimmed to grey.
    lut
        (256, 3) colour table, or the name of one.
    point_size_px
        Diameter of a dot; default: smaller the more points there are. Draws dots whatever their
        number when given.

    Returns
    -------
    (height, width, 4) uint8, not premultiplied; row 0 is at ymax.
    """
    height, width = shape
    view = _in_view(xy, bounds, height, width)
    count = len(view.pixel)
    if count == 0:
        return np.zeros((height, width, 4), dtype=np.uint8)
    stamp = None
    if point_size_px is not None or count < DOTS_BELOW:
        stamp = _stamp(_dot_size_px(count) if point_size_px is None else point_size_px)
    density = _deposit(view.pixel, None, shape, stamp)
    table = lookup_table(lut) if isinstance(lut, str) else np.asarray(lut, dtype=np.uint8)
    filled = np.flatnonzero(density > 0.02)
    weight = density[filled]
    shade = _density_shade(weight)
    if values is None:
        darkest = _DARKEST if stamp is None else _DARKEST_DOT
        index = (darkest + shade * (255 - darkest)).astype(np.uint8)
        colour = table[index]
    else:
        shown = view.pick(np.asarray(values))
        ends = value_range if value_range is not None else _finite_range(np.asarray(values))
        colour = _value_colours(view.pixel, shown, ends, kind, table, (shape, stamp))[filled]
    opacity = np.minimum(weight, 1.0) * (1.0 if stamp is not None else 0.6 + 0.4 * shade)
    rgba = np.empty((len(filled), 4), dtype=np.float32)
    rgba[:, :3] = colour
    rgba[:, 3] = opacity * 255
    if selected is not None and selected.any():
        chosen = view.pixel[view.pick(selected).astype(bool)]
        part = _deposit(chosen, None, shape, stamp)[filled] / weight
        _dim(rgba, np.sqrt(np.clip(part, 0.0, 1.0)), shade)
    picture = np.zeros((height * width, 4), dtype=np.uint8)
    picture[filled] = (rgba + 0.5).astype(np.uint8)
    return picture.reshape(height, width, 4)


def _in_view(xy: NDArray[np.floating], bounds: Bounds, height: int, width: int) -> _InView:
    """Pixels of the points within bounds, in pieces that stay in the processor's cache."""
    xmin, xmax, ymin, ymax = bounds
    if not (xmax > xmin and ymax > ymin):
        raise ValueError("bounds must rise from xmin to xmax and from ymin to ymax")
    kind = xy.dtype.type if xy.dtype in (np.float32, np.float64) else np.float64
    x0, y0 = kind(xmin), kind(ymax)
    x_scale, y_scale = kind(width / (xmax - xmin)), kind(height / (ymax - ymin))
    pixels, points, whole = [], [], True
    for begin in range(0, len(xy), _CHUNK):
        part = xy[begin : begin + _CHUNK]
        column, row = (part[:, 0] - x0) * x_scale, (y0 - part[:, 1]) * y_scale
        good = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        if not good.all():
            whole = False
            column, row = column[good], row[good]
        pixels.append(row.astype(np.int64) * width + column.astype(np.int64))
        points.append((begin, good))
    if not pixels:
        return _InView(np.zeros(0, dtype=np.int64), None)
    pixel = np.concatenate(pixels)
    if whole:
        return _InView(pixel, None)
    return _InView(pixel, np.concatenate([begin + np.flatnonzero(good) for begin, good in points]))


def _dot_size_px(count: int) -> float:
    """Diameter of dots: 8 px for a hundred, 3 px for fifty thousand."""
    return float(np.clip(8.0 - 5.0 * np.log(max(count, 1) / 100) / np.log(500), 3.0, 8.0))


def _stamp(size_px: float) -> _Stamp:
    """Row offset, column offset and coverage of the pixels of a soft-edged disc."""
    radius = max(size_px, 1.0) / 2
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    cover = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    return [
        (int(offsets[i]), int(offsets[j]), float(cover[i, j])) for i, j in np.argwhere(cover > 0.05)
    ]


def _deposit(
    pixel: NDArray[np.int64],
    weights: NDArray[np.floating] | None,
    shape: tuple[int, int],
    stamp: _Stamp | None,
) -> NDArray[Any]:
    """(height * width,) sum of the points' weights (1 each without) in every pixel.

    With a stamp each point covers the stamp's pixels. It is applied to occupied pixels, not to
    points, so that the cost is bounded by the size of the picture.
    """
    height, width = shape
    single: NDArray[Any] = np.bincount(pixel, weights=weights, minlength=height * width)
    if stamp is None:
        return single
    reach = max(abs(dy) for dy, _, _ in stamp)
    occupied = np.flatnonzero(single)
    # Padding keeps dots at one edge from reappearing at the other.
    wide, high = width + 2 * reach, height + 2 * reach
    place = (occupied // width + reach) * wide + occupied % width + reach
    offset = np.array([dy * wide + dx for dy, dx, _ in stamp])
    cover = np.array([part for _, _, part in stamp])
    covered = (place[:, None] + offset).ravel()
    amount = (single[occupied][:, None] * cover).ravel()
    padded = np.bincount(covered, weights=amount, minlength=high * wide).reshape(high, wide)
    return padded[reach : reach + height, reach : reach + width].ravel()


def _density_shade(weight: NDArray[np.floating]) -> NDArray[np.float32]:
    """0 .. 1 by the logarithm of the number of points; a high percentile is the upper end."""
    top = max(float(np.percentile(weight[:: max(1, len(weight) // 20_000)], 99.8)), _FEWEST_AT_TOP)
    shade = np.log(np.maximum(weight, 1.0, dtype=np.float32)) / np.float32(np.log(top))
    return np.minimum(shade, np.float32(1.0))


def _value_colours(
    pixel: NDArray[np.int64],
    values: NDArray[np.floating],
    ends: tuple[float, float],
    kind: Kind,
    table: NDArray[np.uint8],
    drawing: tuple[tuple[int, int], _Stamp | None],
) -> NDArray[np.uint8]:
    """(height * width, 3) colours by the values of the points in every pixel."""
    known = np.isfinite(values)
    if not known.all():
        pixel, values = pixel[known], values[known]
    if kind == "discrete":
        index, weight = _commonest(pixel, values, len(table), drawing)
    else:
        low, extent = ends[0], ends[1] - ends[0] if ends[1] > ends[0] else 1.0
        weight = _deposit(pixel, None, *drawing)
        if kind == "cyclic":
            turn = (values - low) * (2 * np.pi / extent)
            up, along = (_deposit(pixel, part(turn), *drawing) for part in (np.sin, np.cos))
            place = (np.arctan2(up, along) / (2 * np.pi)) % 1.0
        else:
            place = (_deposit(pixel, values, *drawing) / np.maximum(weight, 1e-12) - low) / extent
        index = (np.clip(place, 0.0, 1.0) * (len(table) - 1)).astype(np.int64)
    colours = table[index]
    colours[weight <= 0] = _GREY[0]
    return colours


def _commonest(
    pixel: NDArray[np.int64],
    values: NDArray[np.floating],
    categories: int,
    drawing: tuple[tuple[int, int], _Stamp | None],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The category with most points in every pixel, and their number."""
    category = np.clip(values, 0, categories - 1).astype(np.int64)
    if drawing[1] is None:  # many points, each in one pixel: all categories at once
        bins = drawing[0][0] * drawing[0][1] * categories
        amounts = np.bincount(pixel * categories + category, minlength=bins)
        by_pixel = amounts.reshape(-1, categories)
        return by_pixel.argmax(axis=1), by_pixel.max(axis=1).astype(np.float64)
    most = np.zeros(drawing[0][0] * drawing[0][1])
    index = np.zeros(len(most), dtype=np.int64)
    for one in np.flatnonzero(np.bincount(category, minlength=categories)):
        amount = _deposit(pixel[category == one], None, *drawing)
        better = amount > most
        most[better], index[better] = amount[better], one
    return index, most


def _dim(rgba: NDArray[np.float32], part: NDArray[np.floating], shade: NDArray[np.float32]) -> None:
    """Fade pixels to grey, in place, as far as their points are not selected."""
    grey = _GREY[0] + shade * (_GREY[1] - _GREY[0])
    keep = part.astype(np.float32)[:, None]
    rgba[:, :3] = keep * rgba[:, :3] + (1 - keep) * grey[:, None]
    rgba[:, 3:] *= keep + (1 - keep) * _DIMMED_ALPHA
