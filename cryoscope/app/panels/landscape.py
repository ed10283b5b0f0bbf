"""The landscape of a run: its states, how many particles each holds, and how they are spread."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.energy_plot import EnergyPlot
from cryoscope.app.widgets.progress_bar import ProgressBar
from cryoscope.app.widgets.state_table import StateTable
from cryoscope.app.widgets.variance_plot import VariancePlot
from cryoscope.session import actions

HINT = (
    "Which states are in a run, and how many particles are in each? Volumes are decoded all over "
    "the latent space and grouped by how alike they are; then every particle is placed among them."
)
COST = (
    "{count:,} volumes of {box}³ are decoded, often in some minutes; the time left is shown "
    "meanwhile. Cancel when you like: what is decoded is kept."
)
TABLE_TIP = "Click a state to see its mean volume in the 3-D view; arrow keys go through them."
ENERGY_TITLE = "Where the particles are"
ENERGY_TIP = (
    "-log of the density of particles in the plane of the first two components of the volumes:\n"
    "bright is many particles, a line is one unit. Numbers are the states: press one to see it.\n"
    "It is a free energy in kT only for particles in equilibrium that were all picked alike;\n"
    "and the density depends on the network too. Compare well-separated states by their counts."
)
ENERGY_CAPTION = "Bright: many particles; a line is one unit of -log. Press a state's number."
VARIANCE_TITLE = "Differences between the volumes"
VARIANCE_CAPTION = "Share of each principal component (PC) of the volumes"
VARIANCE_TIP = (
    "Share of the variance of the volumes, inside the mask, along each of their components.\n"
    "One tall bar: one motion, or one part that comes and goes. Many alike: noise, or many motions."
)
LOW_R2, USUAL_BOX_PX = 0.5, 64
MASKS = (
    ("Automatic", "", "Wherever any of the volumes is dense, and a little around it"),
    ("Whole box", "box", "No mask: differences in the solvent count too"),
)
MASK_FILE = "File…"
MASK_FILE_TIP = "A map (.mrc) that is 1 where differences count, made from a map of this run"


class LandscapePanel(QWidget):
    """Choose how many volumes are sketched, press Analyse, look at the states."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session, self._folder, self._filled_for = session, None, (None, 0)
        self._make_form()
        self._make_results()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*(theme.MARGIN_PX,) * 4)
        layout.setSpacing(theme.SPACING_PX)
        self.hint, self.cost = _wrapped("muted", HINT), _wrapped("muted")
        self.verdict, self.caution = _wrapped("heading"), _wrapped("caution")
        for widget in (self.hint, self.form, self.cost, self.start, self.work):
            layout.addWidget(widget)
        for widget in (self.verdict, self.caution, self.results):
            layout.addWidget(widget)
        layout.addStretch(1)
        for field in ("run", "latents", "landscape"):
            bridge.watch(field, lambda _value: self._refresh())
        bridge.watch("landscape", self._show)
        bridge.watch("jobs", self._refresh_work)
        bridge.watch("shown", lambda _value: self._refresh_shown())

    def _make_form(self) -> None:
        self.form = QWidget()
        rows = QFormLayout(self.form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.sketch = _number(10, 5000, 50, "Volumes that are decoded, spread over all particles")
        self.sketch.setValue(actions.suggested_sketch(self._session))
        self.states = _number(1, 100, 1, "Groups of volumes that are alike")
        self.states.setValue(10)
        self.box = _number(16, 128, 16, "Box of these volumes, over the whole field of view")
        self.box.setSuffix(" px")
        self.box.setValue(USUAL_BOX_PX)
        self.mask = QComboBox()
        self.mask.wheelEvent = _not_by_wheel  # type: ignore[method-assign]
        self.mask.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for text, word, tip in (*MASKS, (MASK_FILE, None, MASK_FILE_TIP)):
            self.mask.addItem(text, word)
            self.mask.setItemData(self.mask.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.mask.setToolTip("Where volumes are compared")
        self.mask.activated.connect(self._choose_mask)
        for text, editor in (
            ("Sketched volumes", self.sketch),
            ("States", self.states),
            ("Volume box", self.box),
            ("Mask", self.mask),
        ):
            label = QLabel(text)
            label.setBuddy(editor)
            label.setToolTip(editor.toolTip())
            editor.setAccessibleName(text)
            rows.addRow(label, editor)
        self.sketch.valueChanged.connect(lambda _value: self._refresh_cost())
        self.box.valueChanged.connect(lambda _value: self._refresh_cost())
        self.start = QPushButton("Analyse")
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(self.analyse)
        self.work = QWidget()
        self.stage, self.bar, self.cancel = _wrapped("muted"), ProgressBar(), QToolButton()
        self.cancel.setText("Cancel")
        self.cancel.setToolTip("Stop; what is decoded is kept, and Analyse goes on from there")
        self.cancel.clicked.connect(
            lambda: actions.cancel_job(self._session, actions.LANDSCAPE_JOB)
        )
        grid = QGridLayout(self.work)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.bar, 0, 0)
        grid.addWidget(self.cancel, 0, 1)
        grid.addWidget(self.stage, 1, 0, 1, 2)
        self.work.hide()

    def _make_results(self) -> None:
        session = self._session
        self.table, self.energy, self.variance = StateTable(), EnergyPlot(), VariancePlot()
        self.table.setToolTip(TABLE_TIP)
        self.energy.setToolTip(ENERGY_TIP)
        self.variance.setToolTip(VARIANCE_TIP)
        for widget in (self.table, self.energy):
            chosen = widget.show_wanted if widget is self.table else widget.state_chosen
            chosen.connect(lambda number: actions.show_landscape_state(session, number))
        self.table.select_wanted.connect(
            lambda number: actions.select_landscape_states(session, [number])
        )
        self.select_all = _button(
            "Select all states", "Make a selection of the particles of every state"
        )
        self.select_all.clicked.connect(lambda: actions.select_landscape_states(session))
        self.colour = _button("Colour by state", "Colour all particles of the plot by their state")
        self.colour.clicked.connect(self._colour_by_state)
        self.axes = _button(
            "Volume PC axes", "Lay the particles of the plot out by the components of the volumes"
        )
        self.axes.clicked.connect(self._show_axes)
        self.open_folder = _button(
            "Open folder", "Maps, tables, pictures and a ChimeraX script, in the run folder"
        )
        self.open_folder.clicked.connect(self._open_folder)
        self.note = _wrapped("muted")
        self.results = QWidget()
        layout = QVBoxLayout(self.results)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.table)
        grid = QGridLayout()
        grid.setSpacing(theme.SPACING_PX)
        buttons = (self.select_all, self.colour, self.axes, self.open_folder)
        for place, button in enumerate(buttons):
            grid.addWidget(button, place // 2, place % 2)
        layout.addLayout(grid)
        for title, caption, plot in (
            (ENERGY_TITLE, ENERGY_CAPTION, self.energy),
            (VARIANCE_TITLE, VARIANCE_CAPTION, self.variance),
        ):
            heading, words = _wrapped("heading", title), _wrapped("muted", caption)
            for widget in (heading, words, plot):
                widget.setToolTip(plot.toolTip())
                layout.addWidget(widget)
        layout.addWidget(self.note)

    # Intentions

    def analyse(self) -> None:
        """Make the landscape with what is chosen."""
        if self.start.isEnabled():
            mask = self.mask.currentData()
            actions.make_landscape(
                self._session,
                sketch=self.sketch.value(),
                states=self.states.value(),
                box_size_px=self.box.value() // 2 * 2,
                **({"mask": mask} if mask else {}),
            )

    def _choose_mask(self, place: int) -> None:
        if self.mask.itemData(place) is None:
            run = self._session.run
            folder = "" if run is None else str(run.folder)
            path = dialogs.ask_map(self, "Mask for the volumes", folder)
            self._set_mask("" if path is None else str(path))

    def _set_mask(self, mask: str) -> None:
        """Show a mask among the choices: a file is one more of them."""
        while self.mask.count() > len(MASKS) + 1:
            self.mask.removeItem(len(MASKS))
        if mask not in (word for _, word, _ in MASKS):
            self.mask.insertItem(len(MASKS), mask.replace("\\", "/").rpartition("/")[2], mask)
            self.mask.setItemData(len(MASKS), mask, Qt.ItemDataRole.ToolTipRole)
        self.mask.setCurrentIndex(self.mask.findData(mask))

    def _colour_by_state(self) -> None:
        actions.activate_selection(self._session, "")  # all others would be grey
        actions.colour_by(self._session, "landscape_state")

    def _show_axes(self) -> None:
        two = self._session.landscape.scores.shape[1] > 1
        actions.view_latents(self._session, "volume", 1, 2 if two else 1)

    def _open_folder(self) -> None:
        found = self._session.landscape
        if found is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(found.folder)))

    # Showing the session

    def _refresh(self) -> None:
        session = self._session
        run, latents = session.run, session.latents
        found, why = session.landscape, actions.why_no_landscape(session)
        of = (None if run is None else run.folder, 0 if latents is None else len(latents))
        if of != self._filled_for and latents is not None:
            self._filled_for = of
            self.sketch.setValue(actions.suggested_sketch(session))
            self.box.setMaximum(actions.largest_volume_px(session))
            self.box.setValue(USUAL_BOX_PX)
            self._set_mask("")
        self.start.setEnabled(not why)
        self.start.setToolTip(why or "Decode the volumes, group them, and place all particles")
        self.form.setEnabled(not why)
        self.hint.setVisible(found is None)
        self._refresh_cost()
        self._refresh_caution()

    def _refresh_cost(self) -> None:
        why = actions.why_no_landscape(self._session)
        count = 2 * self.sketch.value()
        theme.set_role(self.cost, "attention" if why else "muted")
        self.cost.setText(why or COST.format(count=count, box=self.box.value()))
        self.cost.setVisible(bool(why) or self._session.landscape is None)
        self.start.setText("Analyse" if self._session.landscape is None else "Analyse again")

    def _refresh_work(self, jobs: tuple[Any, ...]) -> None:
        mine = [job for job in jobs if job.name == actions.LANDSCAPE_JOB]
        self.work.setVisible(bool(mine))
        self.start.setVisible(not mine)
        self.form.setEnabled(not mine and not actions.why_no_landscape(self._session))
        if mine:
            job = mine[0]
            share = f"{100 * job.done // job.total} %" if job.total else ""
            self.bar.show_progress(job.done, job.total, share)
            self.stage.setText(job.text)

    def _refresh_caution(self) -> None:
        found, latents = self._session.landscape, self._session.latents
        said = []
        if found is not None and latents is not None and 0 <= found.epoch < latents.epoch:
            said.append(
                f"This is of epoch {found.epoch}, and the run is at epoch {latents.epoch} by now: "
                "press Analyse again for the newest."
            )
        if found is not None and not found.r2 >= LOW_R2:
            said.append(
                "Which volume belongs to a particle is not well foretold (see below): read the "
                "plot of densities with care, or sketch more volumes."
            )
        self.caution.setText("\n".join(said))
        self.caution.setVisible(bool(said))

    def _show(self, found: Any | None) -> None:
        self.results.setVisible(found is not None)
        self.verdict.setVisible(found is not None)
        if found is None:
            return
        settings = found.settings
        self._filled_for = (found.folder.parent, len(found.particle_state))
        self.sketch.setValue(settings.sketch)
        self.states.setValue(settings.states)
        self.box.setMaximum(max(found.box_size_px, actions.largest_volume_px(self._session)))
        self.box.setValue(found.box_size_px)
        self._set_mask(settings.mask)
        count = sum(one.particles for one in found.states)
        epoch = f" of epoch {found.epoch}" if found.epoch >= 0 else ""
        self.verdict.setText(
            f"{count:,} particles in {len(found.states)} states, by {found.maps:,} volumes{epoch}"
        )
        self.table.set_states(found.states)
        shares = [f"{100 * share:.0f} %" for share in (*found.variance_fraction, 0.0)[:2]]
        self.energy.x_label, self.energy.y_label = (
            f"volume PC{number} ({share})" for number, share in enumerate(shares, start=1)
        )
        marks = [(one.number, one.colour, one.xy) for one in found.states]
        self.energy.show_picture(found.picture, found.bounds, marks)
        self.variance.set_shares(found.variance_fraction)
        self.note.setText(
            f"Volumes in {found.box_size_px}³ at {found.voxel_size_A:.3g} Å, compared in "
            f"{found.mask_share:.0%} of the box. Particles without a volume of their own are "
            f"placed by the {found.placed_by}: R² {found.r2:.2f} on volumes kept apart for the "
            "test (1: exactly, 0: not at all)."
        )
        self._refresh_shown()

    def _refresh_shown(self) -> None:
        number = actions.shown_landscape_state(self._session)
        self.table.set_chosen(number)
        self.energy.set_chosen(number)


def _not_by_wheel(event: QWheelEvent) -> None:
    """The wheel scrolls the panel: a setting under the pointer must not change unseen."""
    event.ignore()


def _number(low: int, high: int, step: int, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setSingleStep(step)
    spin.setKeyboardTracking(False)
    spin.setToolTip(tip)
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    spin.wheelEvent = _not_by_wheel  # type: ignore[method-assign]
    return spin


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _wrapped(role: str, text: str = "") -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label
