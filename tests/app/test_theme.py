"""Colours: read in both themes and in every colour vision, switched live."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gestures import Until, pause, train
from numpy.typing import NDArray
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QWidget

from cryoscope.app import theme
from cryoscope.app.commands import commands_of
from cryoscope.app.panels.selections import COLOURS
from cryoscope.app.residue_colours import CHAIN_COLOURS
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.app.widgets.tool_icons import tool_icon

APP = Path(theme.__file__).parent
# Severe colour blindness in linear RGB (Machado, Oliveira, Fernandes 2009, table 1).
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.fixture(autouse=True)
def dark() -> Iterator[None]:
    theme.use("dark")
    yield
    theme.use("dark")


@pytest.mark.parametrize("palette", theme.PALETTES.values(), ids=lambda one: one.name)
def test_text_is_read_on_what_is_behind_it(palette: theme.Palette) -> None:
    for ground in (palette.background, palette.plot_background):
        for name in ("text", "muted", "accent", "error"):
            assert theme.contrast(getattr(palette, name), ground) >= theme.TEXT_CONTRAST, name
        for name in ("axis", "density", "disabled"):
            assert theme.contrast(getattr(palette, name), ground) >= theme.LINE_CONTRAST, name
    for ground in ("title_background", "button", "button_hover", "selected", "progress"):
        assert theme.contrast(palette.text, getattr(palette, ground)) >= theme.TEXT_CONTRAST
    assert theme.contrast(palette.text, palette.bar_chosen) >= theme.TEXT_CONTRAST
    for ground in (theme.PRIMARY, theme.PRIMARY_HOVER):
        assert theme.contrast(theme.ON_PRIMARY, ground) >= theme.TEXT_CONTRAST
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("name", theme.PALETTES)
def test_lines_of_data_are_seen_in_both_themes(name: str) -> None:
    theme.use(name)
    ground = theme.PLOT_BACKGROUND
    drawn = [theme.term_style(term, 0)[0] for term in (*theme.TERM_STYLES, "unknown")]
    drawn += [theme.ink(colour) for _, colour in COLOURS]
    assert all(theme.contrast(colour, ground) >= theme.LINE_CONTRAST for colour in drawn)
    assert theme.ink("#777777") == "#777777", "what is seen already keeps its colour"


def seen_lab(srgb: NDArray[np.floating], blindness: str) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of (n, 3) sRGB in 0..1 as seen with a kind of colour vision."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(BLINDNESS[blindness]).T, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.array(to_xyz).T / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_sequential_colours_rise_in_lightness_in_every_colour_vision(blindness: str) -> None:
    from cryoscope.analysis.raster import lookup_table

    tables = {
        "displacement": theme.displacement_colours()[:, :3].astype(np.float64),
        "views": theme.view_colours()[:, :3] / 255,
        "sea": lookup_table("sea") / 255,
        "ember": lookup_table("ember") / 255,
    }
    for name, table in tables.items():
        lightness = seen_lab(table, blindness)[:, 0]
        assert lightness[-1] - lightness[0] > 40, name
        assert np.diff(lightness[::8]).min() > -0.3, name


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_categories_are_told_apart_in_every_colour_vision(blindness: str) -> None:
    for colours in ([colour for _, colour in COLOURS], list(CHAIN_COLOURS[:6])):
        lab = seen_lab(np.array([theme.rgb(colour) for colour in colours]), blindness)
        nearest = min(float(np.linalg.norm(a - b)) for a, b in combinations(lab, 2))
        assert nearest > 9.0  # several just noticeable differences


def test_no_colour_is_looked_up_when_a_module_is_read() -> None:
    """It would stay that of the theme of that moment."""
    fields = {name.upper() for name in theme.Palette.__dataclass_fields__} | {"STYLE"}
    frozen = []
    for path in APP.rglob("*.py"):
        for node in looked_up_at_import(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if named and node.value.id == "theme" and node.attr in fields:
                frozen.append(f"{path.name}:{node.lineno} theme.{node.attr}")
    assert frozen == []


def looked_up_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that is evaluated when a module is read: no bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for default in (*child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield default
                yield from looked_up_at_import(default)
        else:
            yield child
            yield from looked_up_at_import(child)


def middle(canvas: QWidget, at: QPoint) -> str:
    return str(canvas.grab().toImage().pixelColor(at).name())


def ground(plot: Any) -> str:
    """The commonest colour of a plot: lines and grid cover little of it."""
    image, rect = plot.grab().toImage(), plot.plot_rect().toAlignedRect()
    across, down = range(rect.left(), rect.right(), 5), range(rect.top(), rect.bottom(), 5)
    seen = Counter(image.pixelColor(x, y).name() for x in across for y in down)
    return str(seen.most_common(1)[0][0])


@pytest.mark.gl
def test_the_theme_is_switched_live_and_follows_napari(
    window: Any, session: Any, until: Until
) -> None:
    train(window, session, until)
    canvas, loss = window.latent.canvas, window.training.loss
    until(lambda: not loss.empty_text)
    pause(window, session, until)
    corner = canvas.plot_rect().topLeft().toPoint() + QPoint(3, 3)
    lasso = window.latent.tool_row.tools[Tool.LASSO]
    before = lasso.icon().pixmap(18, 18).toImage()
    map_colour = window.viewer.layers["density (decoded)"].colormap.colors[0].tolist()
    window.viewer.theme = "light"  # as napari's own preferences do
    assert theme.current() is theme.LIGHT
    QApplication.processEvents()
    assert window.project.parentWidget() is not None
    holders = [dock.widget() for dock in window.docks.values()]
    assert all(holder.styleSheet() == theme.STYLE for holder in holders)
    assert ground(loss) == theme.LIGHT.plot_background
    assert theme.luminance(middle(canvas, corner)) < 0.03, "particles shine on black"
    assert lasso.icon().pixmap(18, 18).toImage() != before
    assert lasso.icon().pixmap(18, 18).toImage() == tool_icon("lasso").pixmap(18, 18).toImage()
    light = window.viewer.layers["density (decoded)"].colormap.colors[0].tolist()
    assert light != map_colour
    window.viewer.theme = "dark"
    assert theme.current() is theme.DARK
    assert ground(loss) == theme.DARK.plot_background


@pytest.mark.gl
def test_the_menu_chooses_a_theme(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari.settings import get_settings

    settings = get_settings()
    monkeypatch.setattr(type(settings), "save", lambda *_args, **_more: None)
    try:
        light = next(one for one in commands_of(window) if one.name == "Theme › Light")
        light.run()
        assert (window.appearance.chosen, settings.appearance.theme) == ("light", "light")
        assert theme.current() is theme.LIGHT
    finally:
        window.appearance.choose("dark")
    assert theme.current() is theme.DARK
