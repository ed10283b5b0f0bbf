"""A selection checked against its own images: map, FSC, chance, and the model's map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.average_strip import AverageStrip
from cryoscope.app.widgets.fsc_plot import FSCLine, FSCPlot
from cryoscope.app.widgets.progress_bar import ProgressBar
from cryoscope.app.widgets.view_map import ViewMapPlot
from cryoscope.session import actions
from cryoscope.session.view_averages import view_tiles

HINT = (
    "Averages the selected images themselves, without the model: what you see then is in the data."
)
NOTHING_TEXT = "Choose a selection and press Reconstruct."
AVERAGES_TITLE = "2-D averages of the fullest views (number: particles)"
AVERAGES_TIP = (
    "Left: the images that are seen from about one direction, moved and turned by their poses and\n"
    "averaged (Wiener filter for the CTF). Right: the map seen from there, with the same filter.\n"
    "r is their correlation. Do not believe a detail of the decoded map that no average shows.\n"
    "The numbers are those in the map of views. Files: view-averages.mrcs, views.png, views.csv."
)
COMPARED = {
    "decoded": "Beside the decoded map",
    "reconstructed": "Beside the reconstructed map",
}
STAGES = {
    "Preview": "Preview",
    "Reconstructing": "Half-maps and FSC",
    "Averages by view": "2-D averages",
}
VIEWS = ("Views of the selection", "Views of all particles")


class CheckingPanel(QWidget):
    """Choose a selection, press Reconstruct, read what it says."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._folder: Path | None = None
        self._filling = False
        self._make_choice()
        self._make_answer()
        self._make_buttons()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(*(theme.MARGIN_PX,) * 4)
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.hint)
        layout.addLayout(self._choice_row())
        layout.addWidget(self.work)
        layout.addWidget(self.verdict)
        layout.addWidget(self.plot, 3)
        layout.addLayout(self._buttons_grid())
        layout.addWidget(self.warnings)
        layout.addWidget(self.which)
        layout.addWidget(self.views, 2)
        layout.addWidget(self.coverage)
        layout.addWidget(self.averages_title)
        layout.addWidget(self.compared)
        layout.addWidget(self.averages)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        for field in ("selections", "active_selection", "particles", "run"):
            bridge.watch(field, lambda _value: self._refresh_choice())
        bridge.watch("jobs", self._refresh_work)
        bridge.watch("check", self._show)

    def _make_choice(self) -> None:
        self.hint = _wrapped("muted")
        self.hint.setText(HINT)
        self.choice = QComboBox()
        self.choice.setAccessibleName("Selection to reconstruct")
        self.choice.setToolTip("Selection whose particles are reconstructed")
        self.choice.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.choice.currentTextChanged.connect(self._chosen)
        self.start = QPushButton("Reconstruct")
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(self.reconstruct)
        self.place = QToolButton()
        self.place.setText("…")
        self.place.setAccessibleName("Folder for the files")
        self.place.clicked.connect(self._ask_folder)
        self.work = QWidget()
        self.bar, self.cancel = ProgressBar(), QToolButton()
        self.cancel.setText("Cancel")
        self.cancel.setToolTip("Stop the reconstruction; nothing half-written stays")
        self.cancel.clicked.connect(self._cancel)
        row = QHBoxLayout(self.work)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self.work.hide()

    def _make_answer(self) -> None:
        self.verdict = _wrapped("heading")
        self.warnings = _wrapped("caution")
        self.warnings.setToolTip(
            "Correlation of an axis of the latents with how particles were seen, over all "
            "particles,\nand what one in a hundred random orders exceeds. Where an axis follows "
            "the viewing direction\nor the defocus, differences along it may not be differences "
            "between molecules."
        )
        self.coverage = _wrapped("muted")
        self.plot, self.views = FSCPlot(), ViewMapPlot()
        self.plot.setToolTip(
            "Correlation of two half-maps from disjoint halves of the particles, in a mask and "
            "corrected for it.\nThe random control is as many particles drawn from all, in the "
            "same mask.\nBoth halves share the poses of your refinement: read the difference to "
            "the control,\nnot the number alone. With the decoded map, 0.5 is the limit."
        )
        self.views.setToolTip(
            "Directions from which the particles are seen, in bins of equal area.\n"
            "Brighter: more particles; the brightest have three times the mean or more."
        )
        self.averages_title = _wrapped("heading")
        self.averages_title.setText(AVERAGES_TITLE)
        self.averages, self.compared = AverageStrip(), QComboBox()
        self.averages_title.setToolTip(AVERAGES_TIP)
        self.compared.setToolTip(AVERAGES_TIP)
        self.compared.setAccessibleName("Map that the averages are compared with")
        self.compared.currentIndexChanged.connect(lambda _place: self._show_averages())
        self.which = QComboBox()
        self.which.addItems(VIEWS)
        self.which.setToolTip("Whose viewing directions are shown, and the 2-D averages by view")
        self.which.currentIndexChanged.connect(lambda _place: self._show_views())

    def _make_buttons(self) -> None:
        self.show_map = QPushButton("Show reconstructed")
        self.show_map.setToolTip("The map of the selected images, in the 3-D view")
        self.show_map.clicked.connect(lambda: actions.show_checked(self._session, "reconstructed"))
        self.show_decoded = QPushButton("Show decoded")
        self.show_decoded.setToolTip("What the model decodes at the centre of the selection")
        self.show_decoded.clicked.connect(lambda: actions.show_checked(self._session, "decoded"))
        self.open_folder = QPushButton("Open folder of the files")
        self.open_folder.setToolTip("Half-maps, map (.mrc), FSC (.csv) and a report, on the disk")
        self.open_folder.clicked.connect(self._open_folder)

    def _choice_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX)
        row.addWidget(self.choice, 1)
        row.addWidget(self.place)
        row.addWidget(self.start)
        return row

    def _buttons_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(theme.SPACING_PX)
        grid.addWidget(self.show_map, 0, 0)
        grid.addWidget(self.show_decoded, 0, 1)
        grid.addWidget(self.open_folder, 1, 0, 1, 2)
        return grid

    def reconstruct(self) -> None:
        """Reconstruct the chosen selection."""
        if self.start.isEnabled():
            actions.reconstruct_selection(self._session, self.choice.currentText(), self._folder)

    def _chosen(self, name: str) -> None:
        if not self._filling and name and name != self._session.active_selection:
            actions.activate_selection(self._session, name)

    def _ask_folder(self) -> None:
        run = self._session.run
        folder = dialogs.ask_folder(
            self, "Folder for the maps of the selection", "" if run is None else str(run.folder)
        )
        if folder is not None:
            self._folder = folder
            self._refresh_choice()

    def _refresh_choice(self) -> None:
        session = self._session
        names = [selection.name for selection in session.selections]
        self._filling = True
        if names != [self.choice.itemText(i) for i in range(self.choice.count())]:
            self.choice.clear()
            self.choice.addItems(names)
        if session.active_selection in names:
            self.choice.setCurrentText(session.active_selection)
        self._filling = False
        particles, why = session.particles, ""
        if not names:
            why = "Select particles in the latent space first"
        elif particles is None:
            why = "Open the particle file of this run first"
        elif not particles.has_poses:
            why = "These particles have no poses"
        elif particles.missing_images:
            why = "The images of these particles are missing: put their stacks back"
        self.start.setEnabled(not why)
        self.choice.setEnabled(bool(names))
        self.choice.setToolTip(why or "The selection to reconstruct")
        self.start.setToolTip(why or "Reconstruct it from its images, with half-maps and FSC")
        where = "in the run folder" if self._folder is None else f"in {self._folder}"
        self.place.setToolTip(f"Files are written {where}. Click to choose another folder.")
        if session.check is None:
            self.verdict.setText(f"{why}." if why else NOTHING_TEXT)

    def _refresh_work(self, jobs: tuple[Any, ...]) -> None:
        mine = [job for job in jobs if job.name == actions.CHECK_JOB]
        self.work.setVisible(bool(mine))
        if mine:
            self.bar.show_progress(mine[0].done, mine[0].total, _work_text(mine[0]))
            self.bar.setToolTip(mine[0].text)
        check = self._session.check
        if not mine and check is not None and check.stage == "preview":
            self.verdict.setText(f"{check.selection}: {check.verdict} It was stopped there.")

    def _cancel(self) -> None:
        actions.cancel_job(self._session, actions.CHECK_JOB)

    def _show(self, check: Any | None) -> None:
        self.plot.set_lines([] if check is None else _lines(check))
        self.hint.setVisible(check is None)
        for widget in (self.which, self.views, self.coverage, self.show_map, self.show_decoded):
            widget.setVisible(check is not None)
        self.open_folder.setVisible(check is not None and check.folder is not None)
        self._show_views()
        self._fill_compared()
        if check is None:
            self.warnings.hide()
            self._refresh_choice()
            return
        self.verdict.setText(f"{check.selection}: {check.verdict}")
        said = "\n".join([*check.warnings, *check.notes])
        self.warnings.setText(said)
        self.warnings.setVisible(bool(said))
        self.show_decoded.setEnabled(check.decoded is not None)
        self.coverage.setText(
            f"Views cover Fourier space to {check.views.coverage:.2f} "
            f"(all particles {check.views.coverage_everyone:.2f}; 1 is even, 0.8 side views only)"
        )
        self.open_folder.setToolTip(str(check.folder))

    def _show_views(self) -> None:
        check = self._session.check
        if check is None:
            self.views.set_counts(None)
            return
        everyone = self.which.currentIndex() == 1
        self.views.set_counts(check.views.everyone if everyone else check.views.selected)

    def _fill_compared(self) -> None:
        """What the averages can be compared with: the decoded map, if there is one, first."""
        check = self._session.check
        averages = None if check is None else check.averages
        chosen = self.compared.currentData()
        self.compared.blockSignals(True)
        self.compared.clear()
        for name in () if averages is None else averages.projections:
            self.compared.addItem(COMPARED[name], name)
        self.compared.setCurrentIndex(max(self.compared.findData(chosen), 0))
        self.compared.blockSignals(False)
        for widget in (self.averages_title, self.compared, self.averages):
            widget.setVisible(averages is not None)
        self._show_averages()

    def _show_averages(self) -> None:
        check = self._session.check
        averages = None if check is None else check.averages
        if averages is None:
            self.averages.set_tiles(())
            self.views.set_marks(())
            return
        self.averages.set_tiles(view_tiles(averages, self.compared.currentData() or ""))
        where = zip(averages.azimuth_deg, averages.elevation_deg, strict=True)
        self.views.set_marks([(x, y, str(n)) for n, (x, y) in enumerate(where, start=1)])

    def _open_folder(self) -> None:
        check = self._session.check
        if check is not None and check.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(check.folder)))


def _work_text(job: Any) -> str:
    if not job.total:
        return str(job.text)
    stage = STAGES.get(job.text.partition(":")[0], "Handing over images")
    return f"{stage} {100 * job.done // job.total} %"


def _lines(check: Any) -> list[FSCLine]:
    """The curves of a check in their styles."""
    named = (
        ("selection", check.fsc, theme.ACCENT, ()),
        ("as many at random", check.control, theme.AXIS, ()),
        ("decoded map", check.decoded_fsc, theme.DENSITY, (5.0, 3.0)),
    )
    return [
        FSCLine(
            name, curve.frequency_per_A, curve.correlation, curve.threshold, curve.resolution_A,
            curve.text,             colour, dashes,
        )
        for name, curve, colour, dashes in named
        if curve is not None
    ]  # fmt: skip


def _wrapped(role: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setProperty("role", role)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
