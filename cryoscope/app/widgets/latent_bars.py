"""The two rows above the latent plot: tools, and what the plot shows."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from cryoscope.app import theme
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.app.widgets.tool_icons import SIDE_PX, tool_icon

KEYS = "Shift adds, Ctrl or Alt takes away, both keep what is in common"
TOOLS = (
    (Tool.EXPLORE, "E", "Explore: press or drag, the 3-D view shows the state under the pointer"),
    (Tool.PAN, "P", "Pan: drag to move the plot (the right button always does)"),
    (Tool.LASSO, "L", f"Lasso: draw around particles; {KEYS}"),
    (Tool.POLYGON, "G", f"Polygon: click its corners, then the first one or Enter; {KEYS}"),
    (Tool.RECTANGLE, "R", f"Rectangle: drag from corner to corner; {KEYS}"),
    (Tool.BRUSH, "B", f"Brush: paint over particles; {KEYS}"),
    (Tool.NEAREST, "N", f"Nearest: click, and the particles nearest to it are selected; {KEYS}"),
)
MODES = (
    ("new", "What is drawn makes a new selection"),
    ("add", "What is drawn is added to the active selection (Shift)"),
    ("subtract", "What is drawn is taken from the active selection (Ctrl or Alt)"),
    ("intersect", "The active selection keeps what it has in common with what is drawn"),
)
VIEWS = (
    ("pc", "PCA", "PC", "Principal components of the latents"),
    ("umap", "UMAP", "", "UMAP: neighbours mean something, distances do not; takes a while"),
    ("dims", "Dimensions", "z", "The latent dimensions as they are"),
    ("volume", "Vol. PCA", "PC", "Components of the decoded maps, once Landscape has made them"),
)
NO_LATENTS = "There are no latents yet: train, or open a run"
CLUSTERS_AT_MOST = 100
VIEW_PX, AXIS_PX = 94, 58


class ToolRow(QWidget):
    """Tools, how they combine with the active selection, and a button that shows everything.

    Signals
    -------
    tool_chosen (tool), mode_chosen (mode), fit_chosen ()
    """

    tool_chosen = Signal(object)
    mode_chosen = Signal(str)
    fit_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tips: dict[QToolButton, str] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        group, modes = QButtonGroup(self), QButtonGroup(self)
        self.tools: dict[Tool, QToolButton] = {}
        for tool, key, tip in TOOLS:
            self.tools[tool] = button = self._button(str(tool), f"{tip} [{key}]", group)
            button.setShortcut(QKeySequence(key))
            button.clicked.connect(lambda _checked, tool=tool: self.tool_chosen.emit(tool))
            row.addWidget(button)
            if tool is Tool.PAN:
                row.addSpacing(theme.SPACING_PX)
        row.addSpacing(theme.SPACING_PX)
        self.modes: dict[str, QToolButton] = {}
        for mode, tip in MODES:
            self.modes[mode] = button = self._button(mode, tip, modes)
            button.clicked.connect(lambda _checked, mode=mode: self.mode_chosen.emit(mode))
            row.addWidget(button)
        row.addStretch(1)
        self.fit = self._button("fit", "Zoom out to all particles [F]", None)
        self.fit.setShortcut(QKeySequence("F"))
        self.fit.clicked.connect(lambda _checked: self.fit_chosen.emit())
        row.addWidget(self.fit)
        self.tools[Tool.EXPLORE].setChecked(True)
        self.modes["new"].setChecked(True)

    def set_ready(self, ready: bool) -> None:
        """Whether there are particles to use the tools on."""
        for button, tip in self._tips.items():
            button.setEnabled(ready)
            button.setToolTip(tip if ready else NO_LATENTS)

    def _button(self, icon: str, tip: str, group: QButtonGroup | None) -> QToolButton:
        button = QToolButton()
        button.setIcon(tool_icon(icon))
        button.setProperty("drawn_icon", icon)
        button.setIconSize(QSize(SIDE_PX, SIDE_PX))
        button.setAccessibleName(tip.partition(":")[0])
        button.setStyleSheet("QToolButton { padding: 3px 4px; }")
        if group is not None:
            button.setCheckable(True)
            group.addButton(button)
        self._tips[button] = tip
        return button


class ViewRow(QWidget):
    """Which picture of the latents, its axes, and what colours it.

    Signals
    -------
    view_chosen (kind, x, y), colour_chosen (name), clusters_chosen (number)
    """

    view_chosen = Signal(str, int, int)
    colour_chosen = Signal(str)
    clusters_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: tuple[Any, ...] = ()
        self.view, self.x, self.y, self.colour = (_combo() for _ in range(4))
        for kind, text, _, tip in VIEWS:
            self.view.addItem(text, kind)
            self.view.setItemData(self.view.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.view.setToolTip("Which picture of the latents the plot shows")
        self.x.setToolTip("Along the horizontal axis")
        self.y.setToolTip("Along the vertical axis")
        self.colour.setToolTip("What the particles are coloured by")
        self.colour.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.clusters = QSpinBox()
        self.clusters.setRange(2, CLUSTERS_AT_MOST)
        self.clusters.setValue(6)
        self.clusters.setKeyboardTracking(False)
        self.clusters.setSuffix(" clusters")
        self.clusters.setToolTip("Number of clusters (k-means of the latents)")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for combo, width in ((self.view, VIEW_PX), (self.x, AXIS_PX), (self.y, AXIS_PX)):
            combo.setFixedWidth(width)
            combo.view().setMinimumWidth(combo.view().sizeHintForColumn(0) + 24)
        label = QLabel("Colour")
        label.setProperty("role", "muted")
        for widget in (self.view, self.x, self.y, label):
            row.addWidget(widget)
        row.addWidget(self.colour, 1)
        # Placed by the panel, in the line below: there is no room for it in this one.
        self.clusters.hide()
        self.view.activated.connect(lambda _index: self._choose(first=True))
        self.x.activated.connect(lambda _index: self._choose())
        self.y.activated.connect(lambda _index: self._choose())
        self.colour.activated.connect(
            lambda index: self.colour_chosen.emit(self.colour.itemData(index))
        )
        self.clusters.valueChanged.connect(self.clusters_chosen)

    def show_view(self, view: Any, axes: int, volume_axes: int) -> None:
        """Show a :class:`LatentView` with ``axes`` to choose from."""
        if any(combo.view().isVisible() for combo in (self.view, self.x, self.y)):
            return
        with QSignalBlocker(self.view):
            self.view.setCurrentIndex(self.view.findData(view.kind))
        _enable(self.view, self.view.findData("volume"), volume_axes > 0, VIEWS[3][3])
        letter = next(row[2] for row in VIEWS if row[0] == view.kind)
        for combo, number in ((self.x, view.x), (self.y, view.y)):
            with QSignalBlocker(combo):
                if combo.count() != axes or not combo.itemText(0).startswith(letter):
                    combo.clear()
                    for i in range(axes):
                        combo.addItem(f"{letter}{i + 1}", i + 1)
                combo.setCurrentIndex(combo.findData(number))
            combo.setVisible(axes > 1)

    def show_choices(self, choices: tuple[Any, ...], chosen: str) -> None:
        """Offer covariates; ``chosen`` is the one shown."""
        if self.colour.view().isVisible():  # someone is choosing
            return
        with QSignalBlocker(self.colour):
            if choices != self._choices:
                self._choices = choices
                self.colour.clear()
                for place, choice in enumerate(choices):
                    self.colour.addItem(choice.label, choice.name)
                    why = f"Not now: {choice.why_not}" if choice.why_not else choice.label
                    _enable(self.colour, place, not choice.why_not, why)
                self.colour.view().setMinimumWidth(self.colour.view().sizeHintForColumn(0) + 24)
            self.colour.setCurrentIndex(self.colour.findData(chosen))
        self.clusters.setVisible(chosen == "cluster")

    def set_ready(self, ready: bool) -> None:
        """Whether there are latents."""
        for widget in (self.view, self.x, self.y, self.colour, self.clusters):
            widget.setEnabled(ready)

    def _choose(self, first: bool = False) -> None:
        kind = self.view.currentData()
        x, y = (1, 2) if first else (self.x.currentData() or 1, self.y.currentData() or 2)
        self.view_chosen.emit(kind, x, y)


def _combo() -> QComboBox:
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContentsOnFirstShow)
    combo.setMinimumContentsLength(3)
    combo.setStyleSheet("QComboBox { padding: 2px 4px; }")
    return combo


def _enable(combo: QComboBox, place: int, enabled: bool, tip: str) -> None:
    item = combo.model().item(place)
    item.setEnabled(enabled)
    item.setToolTip(tip)
