"""Pictures of particles in a plane: density, named places, axes with their units."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cryoscope.analysis.landscape_map import DensityGrid
from cryoscope.analysis.raster import Bounds, data_bounds, lookup_table, scatter_rgba
from cryoscope.io.atomic import write_bytes_atomic

_WIDTH_PX, _HEIGHT_PX = 900, 720
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 84, 30, 50, 66
_GROUND, _PANEL = (24, 27, 32), (14, 16, 20)
_INK, _FAINT = (226, 229, 234), (120, 126, 136)
# Free energies above this many units are drawn alike.
_MOST_ENERGY = 7.0

#: A place to be named in a picture: x, y, its name, and its colour as #rrggbb.
Place = tuple[float, float, str, str]


def write_scatter(
    path: Path,
    xy: NDArray[np.floating],
    axis_labels: tuple[str, str],
    *,
    title: str,
    places: Sequence[Place] = (),
    path_xy: NDArray[np.floating] | None = None,
) -> None:
    """Write (N, 2) particles as a PNG shaded by density, with named places and a path on it."""
    bounds = data_bounds(xy)
    canvas = _Canvas(bounds, axis_labels, title)
    shape = (canvas.panel_size_px[1], canvas.panel_size_px[0])
    canvas.paste(Image.fromarray(scatter_rgba(xy, bounds, shape)))
    if path_xy is not None:
        canvas.line(path_xy)
    canvas.finish(path, places)


def write_free_energy(
    path: Path,
    grid: DensityGrid,
    axis_labels: tuple[str, str],
    *,
    title: str,
    places: Sequence[Place] = (),
) -> None:
    """Write -log(density) as a PNG: deep is bright; contours one unit apart."""
    canvas = _Canvas(grid.bounds, axis_labels, title)
    canvas.paste(Image.fromarray(free_energy_rgba(grid, canvas.panel_size_px)))
    canvas.finish(path, places)


def free_energy_rgba(grid: DensityGrid, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w, 4) picture of -log(density) in ``size_px`` (w, h): deep is bright, lines one apart.

    Clear where it is seven units or more above the deepest place.
    """
    energy = np.minimum(grid.free_energy(), _MOST_ENERGY)
    smooth = Image.fromarray(energy[::-1].astype(np.float32)).resize(
        size_px, Image.Resampling.BILINEAR
    )
    values = np.asarray(smooth)
    colour = lookup_table("ember")[((1 - values / _MOST_ENERGY) * 255).astype(np.uint8)]
    step = np.floor(values)
    edge = np.zeros(values.shape, dtype=bool)
    edge[1:] |= step[1:] != step[:-1]
    edge[:, 1:] |= step[:, 1:] != step[:, :-1]
    rgba = np.dstack([colour, np.full(values.shape, 255, np.uint8)])
    rgba[edge, :3] = rgba[edge, :3] // 2
    rgba[values >= _MOST_ENERGY, 3] = 0
    return rgba


class _Canvas:
    """A panel with axes; everything inside is in the coordinates of the data."""

    def __init__(self, bounds: Bounds, axis_labels: tuple[str, str], title: str) -> None:
        self._bounds = bounds
        self.panel_size_px = (
            _WIDTH_PX - _LEFT_PX - _RIGHT_PX,
            _HEIGHT_PX - _TOP_PX - _BOTTOM_PX,
        )
        self._image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), _GROUND)
        self._draw = ImageDraw.Draw(self._image)
        self._font, self._small = ImageFont.load_default(16), ImageFont.load_default(13)
        right, below = _WIDTH_PX - _RIGHT_PX, _HEIGHT_PX - _BOTTOM_PX
        self._draw.rectangle((_LEFT_PX, _TOP_PX, right, below), _PANEL)
        self._draw.text((_LEFT_PX, 16), title, _INK, self._font)
        middle = (_LEFT_PX + right) / 2
        self._draw.text((middle, _HEIGHT_PX - 18), axis_labels[0], _INK, self._font, anchor="mm")
        self._write_upwards(axis_labels[1])
        self._ticks()

    def place_px(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data is drawn."""
        xmin, xmax, ymin, ymax = self._bounds
        width, height = self.panel_size_px
        return (
            _LEFT_PX + (x - xmin) / (xmax - xmin) * width,
            _TOP_PX + (ymax - y) / (ymax - ymin) * height,
        )

    def paste(self, picture: Image.Image) -> None:
        """Lay an RGBA picture of the panel's size over the panel."""
        self._image.paste(picture, (_LEFT_PX, _TOP_PX), picture)

    def line(self, points_xy: NDArray[np.floating]) -> None:
        """Draw a path and its states."""
        points = [self.place_px(float(x), float(y)) for x, y in points_xy]
        self._draw.line(points, _INK, 2)
        for x, y in points:
            self._draw.ellipse((x - 3, y - 3, x + 3, y + 3), _INK)

    def finish(self, path: Path, places: Sequence[Place]) -> None:
        """Name the places and write the picture."""
        for x, y, name, colour in places:
            px, py = self.place_px(x, y)
            self._draw.ellipse((px - 5, py - 5, px + 5, py + 5), colour, _PANEL, 1)
            self._draw.text(
                (px + 8, py), name, _INK, self._small, anchor="lm", stroke_width=2,
                stroke_fill=_PANEL,
            )  # fmt: skip
        buffer = io.BytesIO()
        self._image.save(buffer, format="PNG")
        write_bytes_atomic(path, buffer.getvalue())

    def _ticks(self) -> None:
        xmin, xmax, ymin, ymax = self._bounds
        for value in _round_values(xmin, xmax):
            x, y = self.place_px(value, ymin)
            self._draw.line((x, y, x, y + 5), _FAINT)
            self._draw.text((x, y + 14), f"{value:.4g}", _FAINT, self._small, anchor="mm")
        for value in _round_values(ymin, ymax):
            x, y = self.place_px(xmin, value)
            self._draw.line((x - 5, y, x, y), _FAINT)
            self._draw.text((x - 9, y), f"{value:.4g}", _FAINT, self._small, anchor="rm")

    def _write_upwards(self, text: str) -> None:
        length = int(self._draw.textlength(text, self._font)) + 4
        label = Image.new("RGB", (length, 22), _GROUND)
        ImageDraw.Draw(label).text((2, 2), text, _INK, self._font)
        turned = label.rotate(90, expand=True)
        middle = _TOP_PX + self.panel_size_px[1] // 2
        self._image.paste(turned, (8, max(0, middle - length // 2)))


def _round_values(low: float, high: float) -> list[float]:
    """About five round numbers between two ends."""
    rough = (high - low) / 5
    unit = 10.0 ** np.floor(np.log10(rough))
    step = float(unit * min((1, 2, 5, 10), key=lambda m: abs(m * unit - rough)))
    return [k * step for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
