"""A picture of the bench: every figure as a bar, with its goal and its floors on the same line."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cryoscope.io.atomic import write_bytes_atomic
from cryoscope.session.bench_goals import Row
from cryoscope.session.bench_report import number

_ROW_PX, _NAMES_PX, _BARS_PX, _TEXT_PX = 30, 470, 560, 150
_INK, _FAINT, _GROUND = (30, 34, 40), (150, 155, 162), (255, 255, 255)
_BAR = {True: (58, 140, 92), False: (196, 84, 62), None: (110, 130, 160)}
_COLOURS = ((120, 120, 120), (176, 124, 30), (124, 84, 160), (40, 110, 190))


def write_picture(rows: Sequence[Row], path: Path, marks: Mapping[str, str]) -> None:
    """Write the table as a PNG: bars for what was measured, ticks for goals, dots for floors.

    Parameters
    ----------
    rows
        Those without a measurement are left out.
    path
        The picture.
    marks
        Label by how a floor's name begins, at most four.
    """
    shown = [row for row in rows if row.measured is not None]
    size = (_NAMES_PX + _BARS_PX + _TEXT_PX, _ROW_PX * (len(shown) + 3))
    image = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    _legend(draw, font, marks)
    for place, row in enumerate(shown):
        _draw_row(draw, font, row, _ROW_PX * (place + 2), marks)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_bytes_atomic(path, buffer.getvalue())


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _legend(draw: ImageDraw.ImageDraw, font: _Font, marks: Mapping[str, str]) -> None:
    draw.text((12, 8), "bar: measured (green: reached)   black tick: must reach", _INK, font)
    x = _NAMES_PX
    for label, colour in zip(marks.values(), _COLOURS, strict=False):
        _dot(draw, x, 16, colour)
        draw.text((x + 10, 8), label, _INK, font)
        x += 34 + int(draw.textlength(label, font))


def _draw_row(
    draw: ImageDraw.ImageDraw, font: _Font, row: Row, y: int, marks: Mapping[str, str]
) -> None:
    assert row.measured is not None
    draw.text((12, y + 6), f"{row.case.name}: {row.label}", _INK, font)
    values = [row.measured, *row.floors.values(), *([] if row.bound is None else [row.bound])]
    longest = max([value for value in values if math.isfinite(value)] + [1e-9])

    def along(value: float) -> float:
        # A correlation or an agreement may be negative: no bar reaches to the left of zero.
        return _NAMES_PX + _BARS_PX * max(value, 0.0) / longest

    if math.isfinite(row.measured):
        draw.rectangle((_NAMES_PX, y + 8, along(row.measured), y + 22), _BAR[row.reached])
    for name, colour in zip(marks, _COLOURS, strict=False):
        for floor, value in row.floors.items():
            if floor.startswith(name) and math.isfinite(value):
                _dot(draw, along(value), y + 15, colour)
    if row.bound is not None and math.isfinite(row.bound):
        x = along(row.bound)
        draw.line((x, y + 3, x, y + 27), _INK, 3)
    text = f"{number(row.measured)} {row.unit}"
    draw.text((_NAMES_PX + _BARS_PX + 14, y + 6), text, _INK, font)
    draw.line((12, y + _ROW_PX, _NAMES_PX + _BARS_PX + _TEXT_PX - 12, y + _ROW_PX), _FAINT, 1)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, colour: tuple[int, int, int]) -> None:
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), colour, _GROUND, 1)
