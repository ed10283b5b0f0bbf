"""Runs beside each other: losses, settings that differ, latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.loss_terms import IMAGE_FIT, term
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.changes_button import value_text
from cryoscope.app.widgets.run_curves import RunCurves
from cryoscope.session import actions

HINT = (
    "Put runs beside each other: their losses on the same axes, the settings in which they differ, "
    "and how well their latents agree, particle by particle."
)
PICTURE_TIP = (
    "Latents of {name}, turned onto those of {first}. Each particle has the colour of its place "
    "along PC1 of {first}: where colours are mixed, the runs disagree."
)
ROW_PX = 22
MOST_ROWS = 8


class RunsPanel(QWidget):
    """Which runs are compared, and what comes of it."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._make_buttons()
        self.hint = QLabel(HINT)
        self.hint.setWordWrap(True)
        self.hint.setProperty("role", "muted")
        self.curves = RunCurves()
        self.curves.setMinimumHeight(210)
        self.terms = QComboBox()
        self.terms.setToolTip("Which loss is drawn")
        self.terms.currentIndexChanged.connect(lambda _index: self._draw_curves())
        self.table = QTableWidget()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().setVisible(False)
        self.same = _muted("")
        self.gallery = QWidget()
        self._pictures = QGridLayout(self.gallery)
        self._pictures.setContentsMargins(0, 0, 0, 0)
        self._pictures.setSpacing(theme.SPACING_PX)
        self._headings = [_heading("Losses"), _heading("Settings that differ"), _heading("Latents")]
        self._lay_out()
        bridge.watch("run", lambda _value: self._refresh_buttons())
        bridge.watch("latents", lambda _value: self._refresh_buttons())
        bridge.watch("comparison", self._refresh)

    def _make_buttons(self) -> None:
        self.add = QToolButton()
        self.add.setText("Add run…")
        self.add.setToolTip("Choose a run to compare with the one that is open")
        self.add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choices = QMenu(self.add)
        self.choices.aboutToShow.connect(self._fill_choices)
        self.add.setMenu(self.choices)
        self.again = QPushButton("Read again")
        self.again.setToolTip("Bring runs that go on up to date")
        self.again.clicked.connect(lambda: actions.add_compared_runs(self._session, []))
        self.clear = QPushButton("Clear")
        self.clear.setToolTip("End the comparison; the runs themselves stay")
        self.clear.clicked.connect(lambda: actions.stop_comparing(self._session))

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*(theme.MARGIN_PX,) * 4)
        layout.setSpacing(theme.SPACING_PX)
        row = QHBoxLayout()
        for button in (self.add, self.again, self.clear):
            row.addWidget(button)
        row.addStretch(1)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        losses, settings, latents = self._headings
        terms = QHBoxLayout()
        terms.addWidget(losses)
        terms.addWidget(self.terms, 1)
        layout.addLayout(terms)
        layout.addWidget(self.curves)
        layout.addWidget(settings)
        layout.addWidget(self.same)
        layout.addWidget(self.table)
        layout.addWidget(latents)
        layout.addWidget(self.gallery)
        layout.addStretch(1)

    # Choosing

    def _fill_choices(self) -> None:
        self.choices.clear()
        for folder in actions.sibling_runs(self._session)[::-1]:
            self.choices.addAction(folder.name, lambda path=folder: self._add(path))
        if not self.choices.isEmpty():
            self.choices.addSeparator()
        self.choices.addAction("Another folder…", self._ask)

    def _add(self, folder: Path) -> None:
        actions.add_compared_runs(self._session, [folder])

    def _ask(self) -> None:
        folder = dialogs.ask_folder(self, "Compare with the run in a folder")
        if folder is not None:
            self._add(folder)

    # Showing

    def _refresh_buttons(self) -> None:
        comparison = self._session.comparison
        for button in (self.again, self.clear):
            button.setEnabled(comparison is not None)

    def _refresh(self, comparison: Any) -> None:
        self._refresh_buttons()
        there = comparison is not None
        self.hint.setVisible(not there)
        for widget in (*self._headings, self.terms, self.curves, self.gallery):
            widget.setVisible(there)
        self.table.setVisible(there and bool(comparison.settings))
        self.same.setVisible(there and not comparison.settings)
        if there:
            self._list_terms(comparison.runs)
            self._draw_curves()
            self._fill_table(comparison)
            self._fill_gallery(comparison.runs)

    def _list_terms(self, runs: tuple[Any, ...]) -> None:
        keys = list(dict.fromkeys(key for one in runs for key in one.run.history.terms))
        keys.sort(key=lambda key: (key != IMAGE_FIT, key != "total"))
        if [self.terms.itemData(i) for i in range(self.terms.count())] == keys:
            return
        chosen = self.terms.currentData()
        self.terms.blockSignals(True)
        self.terms.clear()
        for key in keys:
            self.terms.addItem(term(key).alone, key)
        self.terms.setCurrentIndex(max(0, keys.index(chosen) if chosen in keys else 0))
        self.terms.blockSignals(False)

    def _draw_curves(self) -> None:
        comparison, key = self._session.comparison, self.terms.currentData()
        if comparison is not None and key is not None:
            self.curves.show_runs(comparison.runs, key)

    def _fill_table(self, comparison: Any) -> None:
        names = [one.name for one in comparison.runs]
        self.table.setColumnCount(1 + len(names))
        self.table.setHorizontalHeaderLabels(["Setting", *names])
        self.table.setRowCount(len(comparison.settings))
        for row, setting in enumerate(comparison.settings):
            texts = [value_text(value, setting.unit) for value in setting.values]
            for column, text in enumerate([setting.label, *texts]):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{setting.path}\n{text}")
                self.table.setItem(row, column, item)
            self.table.setRowHeight(row, ROW_PX)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        rows = min(len(comparison.settings), MOST_ROWS)
        self.table.setFixedHeight(header.sizeHint().height() + ROW_PX * rows + 4)
        self.same.setText("None: these runs were started with the same settings.")

    def _fill_gallery(self, runs: tuple[Any, ...]) -> None:
        while item := self._pictures.takeAt(0):
            item.widget().deleteLater()
        for number, one in enumerate(runs):
            card = self._card(one, runs[0])
            self._pictures.addWidget(card, number // 2, number % 2, Qt.AlignmentFlag.AlignTop)

    def _card(self, one: Any, first: Any) -> QWidget:
        """Name, picture, agreement, and what can be done with a run."""
        card = QWidget()
        layout = QVBoxLayout(card)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        name = QLabel(one.name)
        name.setToolTip(str(one.run.folder))
        layout.addWidget(name)
        picture = QLabel("no latents yet" if one.picture is None else "")
        picture.setProperty("role", "muted")
        if one.picture is not None:
            picture.setPixmap(_pixmap(one.picture))
            picture.setToolTip(PICTURE_TIP.format(name=one.name, first=first.name))
        layout.addWidget(picture)
        words = _muted(agreement_text(one, first))
        words.setToolTip(AGREEMENT_TIP.format(first=first.name))
        layout.addWidget(words)
        menu_button = QToolButton()
        menu_button.setText("With this run")
        menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu_button.setMenu(self._deeds(one, menu_button))
        layout.addWidget(menu_button)
        return card

    def _deeds(self, one: Any, parent: QWidget) -> QMenu:
        session, folder = self._session, one.run.folder
        menu = QMenu(parent)
        menu.addAction("Open it", lambda: actions.open_files(session, [folder]))
        menu.addAction("Clone its settings", lambda: actions.clone_run(session, folder))
        show = menu.addAction(
            "Show its latents in the plot", lambda: actions.show_compared_latents(session, folder)
        )
        show.setEnabled(one.xy is not None and session.latents is not None)
        menu.addAction("Take it out", lambda: actions.stop_comparing(session, folder))
        return menu


AGREEMENT_TIP = (
    "Neighbours: share of a particle's nearest particles in {first} that are nearest here too, and "
    "what chance would give.\nLinear: share of the variance here that a linear map of the latents "
    "of {first} explains, and the other way round."
)


def agreement_text(one: Any, first: Any) -> str:
    """How the latents of a run agree with those of the first."""
    if one is first:
        return "the others are\ncompared with this one"
    if one.agreement is None:
        return "too few particles\nin common"
    found = one.agreement
    return (
        f"{one.shared:,} in common\n"
        f"neighbours {100 * found.shared_neighbours:.0f} % (chance {100 * found.by_chance:.1f} %)\n"
        f"linear {100 * found.explained:.0f} % / {100 * found.explained_back:.0f} %"
    )


def _pixmap(picture: Any) -> QPixmap:
    pixels = np.ascontiguousarray(picture)
    height, width, _ = pixels.shape
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy()).scaledToWidth(
        136, Qt.TransformationMode.SmoothTransformation
    )


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "muted")
    label.setWordWrap(True)
    return label


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "heading")
    return label
