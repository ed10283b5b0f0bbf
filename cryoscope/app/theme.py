"""Colours, spacing and fonts of the window, in one place.

Text and backgrounds follow napari's dark and light themes; :func:`use` chooses which, and every
colour is then looked up anew: ``theme.TEXT`` is the text colour of now. Paint with what is looked
up while painting, and a switch needs no more than a repaint. Categorical colours are those of
Okabe and Ito (Color Universal Design, 2008), which stay apart in every common kind of colour
vision; the sequential colours rise in lightness all the way, so that they read in grey too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Palette:
    """The colours of a theme, as ``#rrggbb``.

    Text (``text``, ``muted``, ``accent``, ``error``) reads on ``background`` and on
    ``plot_background`` with a contrast of at least 4.5 (WCAG 2.2, AA).
    """

    name: str
    background: str
    plot_background: str
    title_background: str
    grid: str
    axis: str
    text: str
    muted: str
    accent: str
    error: str
    cursor: str
    progress: str
    density: str
    map_colours: dict[str, str]
    button: str
    button_hover: str
    disabled: str
    disabled_background: str
    selected: str
    bar_chosen: str
    view_ramp: tuple[str, str, str]


DARK = Palette(
    name="dark",
    background="#23242b",
    plot_background="#16181d",
    title_background="#363a42",
    grid="#2b2f37",
    axis="#8d96a0",
    text="#f0f1f2",
    muted="#b3bac2",
    accent="#ffb000",
    error="#ff8f80",
    cursor="#ffffff",
    progress="#0b6fb8",
    density="#8fc4ff",
    # The colour of a map says where it comes from: the model, the data, a file.
    map_colours={"decoded": "#8fc4ff", "reconstructed": "#ffc46b", "file": "#c9ced6"},
    button="#414851",
    button_hover="#5a626c",
    disabled="#8b929a",
    disabled_background="#2f333a",
    selected="#364a60",
    bar_chosen="#4a515b",
    view_ramp=("#1d5c96", "#6db3f2", "#f2f8ff"),
)
LIGHT = Palette(
    name="light",
    background="#ebe7e6",
    plot_background="#fcfbfa",
    title_background="#d6d2d0",
    grid="#e3e0de",
    axis="#6b7178",
    text="#1e1e21",
    muted="#4d5258",
    accent="#8a4b00",
    error="#b3261e",
    cursor="#1e1e21",
    progress="#8cc3ee",
    density="#2f6fb5",
    map_colours={"decoded": "#4a8fd6", "reconstructed": "#d18a1f", "file": "#838b95"},
    button="#cfcbc8",
    button_hover="#bbb7b4",
    disabled="#77797c",
    disabled_background="#dedad8",
    selected="#bcd6f0",
    bar_chosen="#c9c6c3",
    view_ramp=("#9cc9f0", "#2f7fc4", "#0a2f57"),
)
PALETTES = {"dark": DARK, "light": LIGHT}
#: Text and lines of a button that stands out, in both themes.
PRIMARY, PRIMARY_HOVER, ON_PRIMARY = "#0b6fb8", "#1a78bd", "#ffffff"
#: Least contrast of text, and of lines and marks, with what is behind them (WCAG 2.2).
TEXT_CONTRAST, LINE_CONTRAST = 4.5, 3.0

# Looked up in the palette of now by ``__getattr__`` below.
BACKGROUND: str
PLOT_BACKGROUND: str
GRID: str
AXIS: str
TEXT: str
MUTED: str
ACCENT: str
CURSOR: str
PROGRESS: str
ERROR: str
DENSITY: str
BAR_CHOSEN: str
DISABLED: str
MAP_COLOURS: dict[str, str]
STYLE: str

_now = [DARK]

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


def __getattr__(name: str) -> Any:
    """A colour of the theme of now, in capitals; ``STYLE`` is its style sheet."""
    palette = _now[-1]
    if name == "STYLE":
        return style_sheet(palette)
    field = name.lower()
    if name.isupper() and field in palette.__dataclass_fields__:
        return getattr(palette, field)
    raise AttributeError(f"the theme has no {name}")


def current() -> Palette:
    """The palette of now."""
    return _now[-1]


def use(name: str) -> bool:
    """Take the ``dark`` or the ``light`` colours from now on; whether that changes anything."""
    palette = PALETTES[name]
    changed = _now[0] is not palette
    _now[0] = palette
    return changed


@contextmanager
def dark_ground() -> Iterator[None]:
    """Look colours up in the dark theme: for what is painted on a picture of particles.

    Such a picture goes from black to bright in both themes.
    """
    _now.append(DARK)
    try:
        yield
    finally:
        _now.pop()


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=256)
def readable(colour: str, ground: str, least: float) -> str:
    """``colour``, made darker or lighter until its contrast with ``ground`` is ``least``."""
    end = 0.0 if luminance(ground) > 0.18 else 1.0
    for step in range(21):
        mixed = [c + (end - c) * step / 20 for c in rgb(colour)]
        shown = "#" + "".join(f"{round(255 * c):02x}" for c in mixed)
        if contrast(shown, ground) >= least:
            return shown
    return shown


def ink(colour: str) -> str:
    """``colour`` as it is drawn on a plot: its hue, seen well on the ground of now."""
    return readable(colour, current().plot_background, LINE_CONTRAST)


def term_style(name: str, position: int) -> tuple[str, tuple[float, ...]]:
    """Colour and dash pattern of the loss term ``name``, the ``position``-th unknown one."""
    colour, dashes = TERM_STYLES.get(name, _OTHER_TERMS[position % len(_OTHER_TERMS)])
    return current().text if name == "total" else ink(colour), dashes


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of ``#rrggbb``."""
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def displacement_colours(count: int = 256) -> NDArray[np.float32]:
    """(count, 4) RGBA in 0..1 from still (blue) to moving far (yellow)."""
    return _ramp(_DISPLACEMENT_ANCHORS, count).astype(np.float32)


def view_colours() -> NDArray[np.uint8]:
    """(256, 4) RGBA bytes from the ground of a plot through blue to its opposite."""
    palette = current()
    return np.round(255 * _ramp((palette.plot_background, *palette.view_ramp), 256)).astype(
        np.uint8
    )


def _ramp(colours: tuple[str, ...], count: int) -> NDArray[np.float64]:
    anchors = np.array([rgb(colour) for colour in colours])
    where = np.linspace(0, len(anchors) - 1, count)
    channels = [np.interp(where, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.stack([*channels, np.ones(count)], axis=1)


def set_role(widget: Any, role: str) -> None:
    """Give a widget another ``role`` of the style sheet, and draw it so."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


@lru_cache(maxsize=4)
def _style_sheet(name: str) -> str:
    p = PALETTES[name]
    view_background = "#000000" if name == "dark" else "#ffffff"
    return f"""
QLabel[role="title"] {{ font-weight: bold; padding: 3px 8px; background: {p.title_background};
                        color: {p.text}; }}
QLabel[role="heading"] {{ font-weight: bold; color: {p.text}; }}
QLabel[role="view"] {{ color: {p.text}; background: {view_background}; padding: 3px 6px;
                       font-size: 11pt; }}
QLabel[role="muted"] {{ color: {p.muted}; }}
QLabel[role="problem"] {{ color: {p.error}; }}
QLabel[role="attention"] {{ font-weight: bold; color: {p.accent}; }}
QLabel[role="caution"] {{ color: {p.accent}; }}
QLabel[role="drop"] {{ border: 1px dashed {p.axis}; border-radius: 4px; padding: 10px;
                       color: {p.text}; }}
QPushButton {{ padding: 5px 9px; min-height: 16px; }}
QPushButton:disabled {{ color: {p.disabled}; background: {p.disabled_background}; }}
QPushButton[role="primary"] {{ background: {PRIMARY}; color: {ON_PRIMARY}; font-weight: bold; }}
QPushButton[role="primary"]:hover {{ background: {PRIMARY_HOVER}; }}
QPushButton[role="primary"]:disabled {{ background: {p.disabled_background};
                                       color: {p.disabled}; }}
QToolButton {{ padding: 4px 8px; border-radius: 2px; background: {p.button}; color: {p.text}; }}
QToolButton:hover {{ background: {p.button_hover}; }}
QToolButton:checked {{ background: {PRIMARY}; color: {ON_PRIMARY}; }}
QToolButton:disabled {{ color: {p.disabled}; background: {p.disabled_background}; }}
QTableView {{ background: {p.plot_background}; color: {p.text}; border: none;
                gridline-color: {p.grid}; }}
QTableView::item {{ padding: 1px 4px; }}
QTableView::item:selected {{ background: {p.selected}; color: {p.text}; }}
QTreeWidget {{ background: {p.plot_background}; color: {p.text}; border: none; }}
QTreeWidget::item {{ padding: 3px 4px; }}
QTreeWidget::item:selected {{ background: {p.selected}; color: {p.text}; }}
QScrollArea {{ border: none; }}
"""


def style_sheet(palette: Palette) -> str:
    """The style sheet of our widgets in the colours of a palette."""
    return _style_sheet(palette.name)
