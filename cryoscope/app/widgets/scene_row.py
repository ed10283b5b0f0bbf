"""How states are drawn in the 3-D view: backbone, surface colours, kept states and their places."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.colour_bar import ColourBar
from cryoscope.app.widgets.kept_list import KeptList
from cryoscope.session import actions, keeping

STYLES = (("tube", "Tube"), ("ribbon", "Ribbon"))
SURFACES = (
    ("plain", "Plain surface", "The colour of the surface says where the map comes from"),
    (
        "displacement",
        "By displacement",
        "How far the nearest residues lie from the reference, in Å",
    ),
    (
        "motion",
        "By RMS motion",
        "How far the nearest residues move over the states of the run, in Å",
    ),
    ("difference", "By difference", "By how many σ the map exceeds that of the chosen kept state"),
)
KEEP_TIP = "Let this state stay in the view, under a name of its own, while you look at others"


class SceneRow(QWidget):
    """Controls of ``session.scene`` and ``session.kept_states``."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.style_choice, self.surface = QComboBox(), QComboBox()
        for key, text in STYLES:
            self.style_choice.addItem(text, key)
        for number, (key, text, tip) in enumerate(SURFACES):
            self.surface.addItem(text, key)
            self.surface.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.style_choice.setToolTip(
            "Draw backbones as tubes, or as ribbons that are wide in helices and strands"
        )
        self.surface.setToolTip("What the surface of the map is coloured by")
        self.style_choice.activated.connect(
            lambda _row: actions.draw_backbone_as(session, self.style_choice.currentData())
        )
        self.surface.activated.connect(lambda _row: self._colour())
        self.keep = QPushButton("Keep this state")
        self.keep.clicked.connect(lambda: actions.keep_state(session))
        self.beside = QToolButton()
        self.beside.setText("Side by side")
        self.beside.setCheckable(True)
        self.beside.clicked.connect(
            lambda on: actions.arrange_states(session, "grid" if on else "overlay")
        )
        self.remove = QToolButton()
        self.remove.setText("Remove")
        self.remove.setToolTip("Keep the chosen state no longer; undo brings it back")
        self.list = KeptList(keeping.COLOURS)
        self.bar = ColourBar(theme.displacement_colours(), "")
        self.bar.setVisible(False)
        self._connect_list()
        self._lay_out()
        for field in ("scene", "kept_states", "shown", "run"):
            bridge.watch(field, lambda _value: self.refresh())

    def _connect_list(self) -> None:
        session = self._session
        self.list.shown.connect(lambda name, on: actions.show_kept(session, name, on))
        self.list.renamed.connect(self._rename)
        self.list.recoloured.connect(lambda name, c: actions.recolour_kept(session, name, c))
        self.list.removed.connect(lambda name: actions.remove_kept(session, name))
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(lambda _row: self._refresh_remove())

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX)
        row.addWidget(self.style_choice)
        row.addWidget(self.surface)
        row.addStretch(1)
        row.addWidget(self.keep)
        row.addWidget(self.beside)
        self.below = QWidget()
        kept = QHBoxLayout(self.below)
        kept.setContentsMargins(0, 0, 0, 0)
        kept.setSpacing(theme.SPACING_PX)
        kept.addWidget(self.list, 1)
        kept.addWidget(self.remove, alignment=Qt.AlignmentFlag.AlignTop)
        kept.addWidget(self.bar, alignment=Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.below)

    def _colour(self) -> None:
        by = self.surface.currentData()
        against = self.list.current_name if by == "difference" else ""
        actions.colour_surface(self._session, by, against)
        self.refresh()  # where it was refused, what is chosen says so

    def _rename(self, name: str, new_name: str) -> None:
        actions.rename_kept(self._session, name, new_name)
        self.list.set_states(self._session.kept_states)

    def _remove(self) -> None:
        if self.list.current_name:
            actions.remove_kept(self._session, self.list.current_name)

    def _refresh_remove(self) -> None:
        self.remove.setEnabled(bool(self.list.current_name))

    def set_surface_scale(self, scale: Any, colours: Any) -> None:
        """What the colours of the surface mean: a ``SurfaceScale`` and its (k, 4) colours."""
        self.bar.set_scale(colours, scale.title, scale.low, scale.high)
        self.bar.setVisible(bool(scale.title))
        self.refresh()

    def refresh(self) -> None:
        """Show how the session is drawn."""
        session = self._session
        scene, kept, shown = session.scene, session.kept_states, session.shown
        self.style_choice.setCurrentIndex(self.style_choice.findData(scene.backbone))
        self.surface.setCurrentIndex(self.surface.findData(scene.surface))
        self.list.set_states(kept)
        self.list.setVisible(bool(kept))
        self.remove.setVisible(bool(kept))
        self.below.setVisible(bool(kept) or bool(self.bar.title))
        self._refresh_remove()
        self.beside.setChecked(scene.layout == "grid")
        self.beside.setEnabled(bool(kept))
        self.beside.setToolTip(
            "The kept states beside the shown one, all turned by one camera"
            if kept
            else f"{KEEP_TIP}; then compare them here"
        )
        self.keep.setEnabled(shown is not None and len(kept) < keeping.MOST_KEPT)
        self.keep.setToolTip(KEEP_TIP)
        atoms = shown is not None and len(shown.coords_A) > 0
        self.style_choice.setVisible(atoms or shown is None)
        has_map = shown is not None and shown.density is not None
        self.surface.setEnabled(has_map)
