"""Colours, spacing and fonts of the window, in one place.

Text and backgrounds follow napari's dark theme. Categorical colours are those of Okabe and Ito
(Color Universal Design, 2008), which stay apart in every common kind of colour vision; the
sequential colours rise in lightness all the way, so that they read in grey too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BACKGROUND = "#262930"
PLOT_BACKGROUND = "#16181d"
GRID = "#2b2f37"
AXIS = "#8d96a0"
TEXT = "#f0f1f2"
MUTED = "#b3bac2"
ACCENT = "#ffb000"
CURSOR = "#ffffff"
PROGRESS = "#0b6fb8"
ERROR = "#ff8f80"
DENSITY = "#8fc4ff"
# The colour of a map says where it comes from: the model, the data, a file.
MAP_COLOURS = {"decoded": DENSITY, "reconstructed": "#ffc46b", "file": "#c9ced6"}

MARGIN_PX = 8
SPACING_PX = 6
SMALL_FONT_PT = 8.0
LEFT_WIDTH_PX = 304
RIGHT_WIDTH_PX = 400
RIGHT_SHARE = 0.32
VIEW_LABEL_AT_PX = (14, 12)
WINDOW_SIZE_PX = (1440, 900)
SMALLEST_WINDOW_PX = (1180, 720)

# One colour and one dash pattern per loss term: never told apart by colour alone.
TERM_STYLES: dict[str, tuple[str, tuple[float, ...]]] = {
    "total": ("#ffffff", ()),
    "data": ("#56b4e9", ()),
    "kl": ("#e69f00", (6, 3)),
    "bonds": ("#009e73", (2, 2)),
    "elastic": ("#f0e442", (8, 3, 2, 3)),
    "clash": ("#cc79a7", (4, 2)),
}
_OTHER_TERMS = (("#d55e00", (3, 3)), ("#0072b2", (7, 2)), ("#999999", (1, 2)))

_DISPLACEMENT_ANCHORS = ("#5566c8", "#a45fc4", "#e8698a", "#ffa45c", "#ffe873")


def term_style(name: str, position: int) -> tuple[str, tuple[float, ...]]:
    """Colour and dash pattern of the loss term ``name``, the ``position``-th unknown one."""
    return TERM_STYLES.get(name, _OTHER_TERMS[position % len(_OTHER_TERMS)])


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of ``#rrggbb``."""
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def displacement_colours(count: int = 256) -> NDArray[np.float32]:
    """(count, 4) RGBA in 0..1 from still (blue) to moving far (yellow)."""
    anchors = np.array([rgb(colour) for colour in _DISPLACEMENT_ANCHORS])
    where = np.linspace(0, len(anchors) - 1, count)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.stack([*channels, np.ones(count)], axis=1).astype(np.float32)


def view_colours() -> NDArray[np.uint8]:
    """(256, 4) RGBA bytes from the ground of a plot to nearly white, through blue."""
    colours = (PLOT_BACKGROUND, "#1d5c96", "#6db3f2", "#f2f8ff")
    anchors = np.array([rgb(colour) for colour in colours])
    where = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.round(255 * np.stack([*channels, np.ones(256)], axis=1)).astype(np.uint8)


def set_role(widget: Any, role: str) -> None:
    """Give a widget another ``role`` of the style sheet, and draw it so."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


STYLE = f"""
QLabel[role="title"] {{ font-weight: bold; padding: 3px 8px; background: #363a42; color: {TEXT}; }}
QLabel[role="heading"] {{ font-weight: bold; color: {TEXT}; }}
QLabel[role="view"] {{ color: {TEXT}; background: #000000; padding: 3px 6px; font-size: 11pt; }}
QLabel[role="muted"] {{ color: {MUTED}; }}
QLabel[role="problem"] {{ color: {ERROR}; }}
QLabel[role="attention"] {{ font-weight: bold; color: {ACCENT}; }}
QLabel[role="caution"] {{ color: {ACCENT}; }}
QLabel[role="drop"] {{ border: 1px dashed {AXIS}; border-radius: 4px; padding: 10px;
                       color: {TEXT}; }}
QPushButton {{ padding: 5px 9px; min-height: 16px; }}
QPushButton:disabled {{ color: #7d848c; background: #2f333a; }}
QPushButton[role="primary"] {{ background: #0b6fb8; color: white; font-weight: bold; }}
QPushButton[role="primary"]:hover {{ background: #1681d0; }}
QPushButton[role="primary"]:disabled {{ background: #2f333a; color: #7d848c; }}
QToolButton {{ padding: 4px 8px; border-radius: 2px; background: #414851; color: {TEXT}; }}
QToolButton:hover {{ background: #5a626c; }}
QToolButton:checked {{ background: #0b6fb8; color: white; }}
QToolButton:disabled {{ color: #7d848c; background: #2f333a; }}
QTableWidget {{ background: {PLOT_BACKGROUND}; border: none; gridline-color: {GRID}; }}
QTableWidget::item {{ padding: 1px 4px; }}
QTableWidget::item:selected {{ background: #364a60; color: {TEXT}; }}
QScrollArea {{ border: none; }}
"""
