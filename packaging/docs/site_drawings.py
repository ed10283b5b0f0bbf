"""Draws the conventions with the functions that convert, so that a drawing cannot be wrong alone.

``python packaging/docs/site_drawings.py`` writes resources/docs/drawings/*.svg.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from cryoscope.conventions import (
    centred_coordinates_A,
    rotation_from_relion_deg,
    shift_from_relion_origin_A,
)

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "resources" / "docs" / "drawings"
DARK, SOFT, BLUE, ORANGE, PALE = "#1d2026", "#7b8291", "#2f4fb0", "#d9822b", "#e8ebf3"
Point = tuple[float, float]


class Sheet:
    """A drawing whose y axis points upwards, as in the text."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.parts: list[str] = []

    def line(
        self, a: Point, b: Point, colour: str = DARK, *, arrow: bool = False, dashed: bool = False
    ) -> None:
        """A line, or an arrow from ``a`` to ``b``."""
        marks = ' stroke-dasharray="4 4"' if dashed else ""
        (x, y), (u, v) = self._at(a), self._at(b)
        self.parts.append(
            f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="{colour}" stroke-width="2"'
            f'{marks} fill="none"/>'
        )
        if arrow:
            angle = math.atan2(v - y, u - x)
            corners = " ".join(
                f"{u - 11 * math.cos(angle + d):.1f},{v - 11 * math.sin(angle + d):.1f}"
                for d in (-0.42, 0.42)
            )
            self.parts.append(f'<polygon points="{u:.1f},{v:.1f} {corners}" fill="{colour}"/>')

    def text(self, at: Point, words: str, colour: str = DARK, anchor: str = "middle") -> None:
        """Words at a point."""
        x, y = self._at(at)
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def box(self, corner: Point, width: float, height: float, fill: str = "none") -> None:
        """A rectangle by its lower left corner."""
        x, y = self._at((corner[0], corner[1] + height))
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{fill}" stroke="{SOFT}"/>'
        )

    def dot(self, at: Point, radius: float, colour: str, *, hollow: bool = False) -> None:
        """A disc or a ring."""
        x, y = self._at(at)
        paint = f'fill="none" stroke="{colour}" stroke-width="2"' if hollow else f'fill="{colour}"'
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {paint}/>')

    def svg(self) -> str:
        """The drawing as a file."""
        inner = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="sans-serif" '
            f'font-size="14">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{inner}\n</svg>\n'
        )

    def _at(self, point: Point) -> Point:
        return point[0], self.height - point[1]


def axes() -> str:
    """The frame of map and image, and the samples of a box of eight."""
    sheet = Sheet(700, 260)
    o = (100.0, 115.0)
    for end, words, at in (  # right-handed: z comes towards the reader
        ((215.0, 115.0), "x", (228.0, 111.0)),
        ((100.0, 225.0), "y", (100.0, 234.0)),
        ((48.0, 63.0), "z, the beam", (98.0, 52.0)),
    ):
        sheet.line(o, end, BLUE, arrow=True)
        sheet.text(at, words, BLUE)
    sheet.dot(o, 4, ORANGE)
    sheet.text((20, 20), "image = sum of the map over z", anchor="start")
    n, side, left, low = 8, 44, 290.0, 110.0
    for i, position in enumerate(centred_coordinates_A(n, 1.5)):
        sheet.box((left + i * side, low), side, side, PALE if position else "#f6dcbf")
        middle = left + (i + 0.5) * side
        sheet.text((middle, low + 17), str(i))
        sheet.text((middle, low - 22), f"{position:g}".replace("-", "−"), SOFT)
        if position == 0:
            sheet.text((middle, low + side + 14), "origin", ORANGE)
    sheet.text((left + n * side / 2, low + side + 50), "samples of a box of 8, counted from 0")
    sheet.text((left + n * side / 2, low - 50), "their positions in Å at 1.5 Å/px", SOFT)
    return sheet.svg()


def rotation() -> str:
    """One molecule in the frame of the map and in that of the image."""
    angle_deg = 60.0
    turn = rotation_from_relion_deg([[angle_deg, 0.0, 0.0]])[0]
    shape = np.array([[0, 0, 0], [90, 0, 0], [90, 35, 0]], dtype=float)
    sheet = Sheet(700, 300)
    for left, corners, names in (
        (160.0, shape, ("map", "x", "y")),
        (555.0, shape @ turn.T, ("image", "x of the image", "y of the image")),
    ):
        o = (left, 150.0)
        sheet.line((left - 110, 150), (left + 125, 150), SOFT, arrow=True)
        sheet.line((left, 40), (left, 265), SOFT, arrow=True)
        sheet.text((left + 75, 130) if names[0] == "image" else (left + 118, 130), names[1], SOFT)
        sheet.text((left + 8, 268), names[2], SOFT, "start")
        sheet.text((left - 60, 20), names[0])
        placed = [(o[0] + float(x), o[1] + float(y)) for x, y, _ in corners]
        sheet.line(placed[0], placed[1], BLUE)
        sheet.line(placed[1], placed[2], BLUE)
        sheet.dot(placed[0], 6, BLUE)
        sheet.dot(placed[2], 9, ORANGE)
    seen_deg = math.degrees(math.atan2(*(turn @ [1.0, 0.0, 0.0])[[1, 0]]))
    sheet.text((362, 225), "x_image = R x_map")
    sheet.line((312, 210), (412, 210), DARK, arrow=True)
    sheet.text((362, 185), f"rot = {angle_deg:g}°, tilt = psi = 0")
    sheet.text((640, 45), f"arm at {seen_deg:.0f}°".replace("-", "−"), BLUE)
    return sheet.svg()


def shift() -> str:
    """Where a particle lies in its image, from RELION's origin."""
    origin_A = np.array([-12.0, -6.0])
    place_A = shift_from_relion_origin_A(origin_A)
    sheet, scale = Sheet(700, 300), 6.0
    centre = (160.0, 150.0)
    sheet.box((40, 30), 240, 240, "#fafbfd")
    sheet.line((40, 150), (280, 150), SOFT, dashed=True)
    sheet.line((160, 30), (160, 270), SOFT, dashed=True)
    at = (centre[0] + scale * float(place_A[0]), centre[1] + scale * float(place_A[1]))
    sheet.dot(at, 30, BLUE, hollow=True)
    sheet.line(centre, at, ORANGE, arrow=True)
    sheet.dot(centre, 4, DARK)
    lines = (
        ("rlnOriginXAngst = −12, rlnOriginYAngst = −6", DARK),
        (f"shift = (+{place_A[0]:g}, +{place_A[1]:g}) Å: the arrow", ORANGE),
        ("the particle (ring) lies at +shift", BLUE),
        ("RELION moves the image by its origin", SOFT),
        ("Cryoscope moves the model by +shift", DARK),
    )
    for row, (words, colour) in enumerate(lines):
        sheet.text((315, 230 - 38 * row), words, colour, "start")
    return sheet.svg()


DRAWINGS: dict[str, Callable[[], str]] = {"axes": axes, "rotation": rotation, "shift": shift}


def main() -> None:
    """Write all drawings."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        (OUT / f"{name}.svg").write_text(draw(), "utf-8")
        print(OUT / f"{name}.svg")


if __name__ == "__main__":
    main()
