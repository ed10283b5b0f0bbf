"""Preset, options, start, pause, stop, progress and losses of a run."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import theme
from cryoscope.app.loss_terms import IMAGE_FIT, term
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.changes_button import ChangesButton
from cryoscope.app.widgets.epoch_bar import EpochBar
from cryoscope.app.widgets.loss_plot import LossPlot
from cryoscope.app.widgets.option_form import OptionForm
from cryoscope.app.widgets.progress_bar import ProgressBar
from cryoscope.session import RunStatus, actions

ALL_TERMS = "all losses (logarithmic)"
ALL_TERMS_TIP = "Every term that training makes small; “− best” counts from its lowest value"
STATUS_TEXT = {
    RunStatus.IDLE: "Ready",
    RunStatus.PREPARING: "Preparing",
    RunStatus.RUNNING: "Training",
    RunStatus.PAUSED: "Paused: press Resume to go on",
    RunStatus.STOPPING: "Saving a checkpoint…",
    RunStatus.FINISHED: "Finished",
    RunStatus.STOPPED: "Stopped",
    RunStatus.FAILED: "Failed",
}
RESUMABLE = (RunStatus.PAUSED, RunStatus.STOPPED, RunStatus.FAILED)
CLONE_TIP = "Take the settings of the run that is open; change some, and start a new run with them"
NO_LOSSES = "No losses: the run failed before its first steps."
VIEWING_TIP = (
    "Viewing: what part of the trainer's time goes to decoding what is looked at and to refreshing "
    "the latents"
)
ROLES = {RunStatus.FAILED: "problem", RunStatus.PAUSED: "attention"}


class TrainingPanel(QWidget):
    """What a run does, and the buttons that make it do so."""

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._make_settings_row()
        self._make_preset()
        self._make_buttons()
        self._make_progress()
        self.loss = LossPlot()
        self.loss.setMinimumHeight(150)
        self.terms = QComboBox()
        self.terms.currentIndexChanged.connect(self._show_term)
        self._list_terms((IMAGE_FIT,))
        self.terms_caption = _muted("Show")
        self.epochs = EpochBar()
        self.epochs.chosen.connect(lambda epoch: actions.show_epoch(session, epoch))
        self._lay_out()
        self._folder: object = None
        self.settings.setChecked(True)
        bridge.watch("config", lambda _value: self._refresh_form())
        bridge.watch("config_base", lambda _value: self._refresh_form())
        bridge.watch("epoch_shown", lambda _value: self._refresh_epochs())
        bridge.watch("run", self._refresh_run)
        bridge.watch("particles", lambda _value: self._refresh_run(session.run))
        bridge.watch("structure", lambda _value: self._refresh_run(session.run))
        bridge.watch("jobs", self._refresh_jobs)

    # Making the parts

    def _make_settings_row(self) -> None:
        self.settings = QToolButton()
        self.settings.setCheckable(True)
        self.settings.setToolTip("Method and settings of the next run")
        self.settings.toggled.connect(self._show_settings)
        self.clone = QToolButton()
        self.clone.setText("Clone run")
        self.clone.setToolTip(CLONE_TIP)
        self.clone.clicked.connect(self._clone)
        self.changes = ChangesButton()
        self.changes.put_back.connect(self._set_option)

    def _make_preset(self) -> None:
        self.preset = QComboBox()
        self.preset.addItems(actions.preset_names())
        self.preset.activated.connect(
            lambda _index: actions.choose_preset(self._session, self.preset.currentText())
        )
        self.everyday, self.advanced = OptionForm(), OptionForm(headings=True)
        for form in (self.everyday, self.advanced):
            form.edited.connect(self._set_option)
        self.advanced_area = QScrollArea()
        self.advanced_area.setWidget(self.advanced)
        self.advanced_area.setWidgetResizable(True)
        self.advanced_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.advanced_area.setVisible(False)
        self.more = QToolButton()
        self.more.setCheckable(True)
        self.more.setToolTip("Settings of the networks, the restraints and the optimiser")
        self.more.toggled.connect(self._show_advanced)
        self.more.setText("Advanced settings ▸")
        self.form = QWidget()
        form = QVBoxLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(theme.SPACING_PX)
        form.addLayout(_row(_muted("Method"), self.preset))
        for widget in (self.everyday, self.more, self.advanced_area):
            form.addWidget(widget)

    def _make_buttons(self) -> None:
        self.start = QPushButton("Start training")
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(lambda: actions.start_training(self._session))
        self.pause = QPushButton("Pause")
        self.pause.clicked.connect(self._pause_or_resume)
        self.stop = QPushButton("Stop")
        self.stop.clicked.connect(lambda: actions.stop_training(self._session))

    def _make_progress(self) -> None:
        self.status = QLabel()
        self.status.setProperty("role", "heading")
        self.status.setWordWrap(True)
        self.bar = ProgressBar()
        self.numbers = QLabel()
        self.numbers.setProperty("role", "muted")
        self.numbers.setWordWrap(True)
        self.numbers.setToolTip(VIEWING_TIP)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.MARGIN_PX
        )
        layout.setSpacing(theme.SPACING_PX)
        head = _row(self.settings, self.clone, self.changes)
        head.addStretch(1)
        layout.addLayout(head)
        layout.addWidget(self.form, 2)
        layout.addLayout(_row(self.start, self.pause, self.stop, stretch=0))
        layout.addWidget(self.status)
        layout.addWidget(self.bar)
        layout.addWidget(self.numbers)
        layout.addWidget(self.loss, 3)
        layout.addLayout(_row(self.terms_caption, self.terms))
        layout.addWidget(self.epochs)
        layout.addStretch(0)

    # Intentions

    def _pause_or_resume(self) -> None:
        run = self._session.run
        if run is not None and run.status in RESUMABLE:
            actions.resume_training(self._session)
        else:
            actions.pause_training(self._session)

    def _clone(self) -> None:
        actions.clone_run(self._session)
        self.settings.setChecked(True)

    def _set_option(self, path: str, value: Any) -> None:
        actions.set_option(self._session, path, value)
        # A refused value is put back; an accepted one is written as the configuration has it.
        self._refresh_form()

    def _show_advanced(self, shown: bool) -> None:
        self.more.setText("Advanced settings ▾" if shown else "Advanced settings ▸")
        self.advanced_area.setVisible(shown)
        if shown:
            self.settings.setChecked(True)
        # Both do not fit a small screen: settings are read before a run, losses during it.
        self._show_results()

    def _show_settings(self, shown: bool) -> None:
        self.settings.setText("Settings ▾" if shown else "Settings ▸")
        self.form.setVisible(shown)
        self._show_results()

    def _show_results(self) -> None:
        shown = not (self.settings.isChecked() and self.more.isChecked())
        for widget in (self.loss, self.terms, self.terms_caption, self.epochs):
            widget.setVisible(shown)

    # Showing the session

    def _refresh_form(self) -> None:
        config = self._session.config
        fields = actions.form_fields(config)
        self.everyday.set_fields([field for field in fields if not field.advanced])
        self.advanced.set_fields([field for field in fields if field.advanced])
        self.preset.setCurrentText(config.preset)
        self.preset.setToolTip(actions.preset_summary(config.preset))
        base = self._session.config_base
        since = f"the method {config.preset}" if base is None else base.name
        self.changes.show_changes(actions.setting_changes(self._session), since)

    def _refresh_epochs(self) -> None:
        run = self._session.run
        known = () if run is None else tuple(epoch for epoch, _ in run.epochs)
        self.epochs.show_epochs(known, self._session.epoch_shown)

    def _refresh_run(self, run: Any) -> None:
        status = RunStatus.IDLE if run is None else run.status
        active = status.active
        folder = None if run is None else run.folder
        if folder != self._folder:  # settings are read before a run, losses during and after it
            self._folder = folder
            self.settings.setChecked(run is None)
        self._refresh_buttons(status)
        self._refresh_epochs()
        elsewhere = f" by another program ({run.attached})" if run and run.attached else ""
        self.status.setText(STATUS_TEXT[status] + (elsewhere if active else ""))
        theme.set_role(self.status, ROLES.get(status, "heading"))
        self._refresh_bar(run, status)
        self._refresh_loss(run)

    def _refresh_buttons(self, status: RunStatus) -> None:
        reason = self._why_not_start(status)
        self.start.setEnabled(not reason)
        self.start.setToolTip(reason or "Train a new run on the particles that are open")
        running = status is RunStatus.RUNNING
        run = self._session.run
        # A run that failed before it had begun left nothing to go on with.
        resumable = run is not None and status in RESUMABLE and bool(run.run_id)
        self.pause.setText("Resume" if resumable else "Pause")
        self.pause.setEnabled(running or resumable)
        self.pause.setToolTip(_pause_tip(status) if running or resumable else "Nothing is training")
        stoppable = status in (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.PAUSED)
        self.stop.setEnabled(stoppable)
        self.stop.setToolTip(
            "Save a checkpoint and end the run" if stoppable else "Nothing is training"
        )
        busy = run is not None and run.trains_here
        for form in (self.everyday, self.advanced):
            form.setEnabled(not busy)
        self.preset.setEnabled(not busy)
        self.changes.setEnabled(not busy)
        self.clone.setEnabled(run is not None and not busy)

    def _why_not_start(self, status: RunStatus) -> str:
        run = self._session.run
        if run is not None and run.trains_here:
            return "A run is training; stop it first"
        return actions.why_not_train(self._session)

    def _refresh_jobs(self, jobs: tuple[Any, ...]) -> None:
        if self._session.run is None:
            self._show_first_steps(jobs)

    def _show_first_steps(self, jobs: tuple[Any, ...]) -> None:
        """Without a run: what is being made ready, or else what is missing."""
        self.bar.setVisible(bool(jobs))
        self.numbers.setVisible(False)
        if jobs:
            job = jobs[0]
            self.status.setText(f"{job.text}…")
            text = f"{job.done:,} of {job.total:,}" if job.total else ""
            self.bar.show_progress(job.done, job.total, text)
        else:
            self.status.setText(self._why_not_start(RunStatus.IDLE) or "Ready to train")

    def _refresh_bar(self, run: Any, status: RunStatus) -> None:
        if run is None:
            self._show_first_steps(self._session.jobs)
            return
        begun = run.step > 0 or status is not RunStatus.FAILED
        self.bar.setVisible(begun)
        self.numbers.setVisible(begun)
        if status is RunStatus.PREPARING:
            self.status.setText(f"Preparing: {run.stage_text}" if run.stage_text else "Preparing")
            text = f"{run.done:,} of {run.total:,}" if run.total else ""
            self.bar.show_progress(run.done, run.total, text)
            self.numbers.setText("\n")
            return
        # a run limited by time does not know how many steps there will be
        total = run.total_steps or (run.step if status is RunStatus.FINISHED else 0)
        text = f"step {run.step:,} of {total:,}" if total else f"step {run.step:,}"
        self.bar.show_progress(run.step, total, text)
        if run.message and not status.active:
            failed = "Failed: " if status is RunStatus.FAILED else ""
            self.status.setText(failed + run.message)
        speed = ""
        if status is RunStatus.RUNNING:
            left = duration_text(run.seconds_left)
            speed = f"{run.images_per_s:,.0f} images/s" + (f" · {left}" if left else "")
            speed += f" · viewing {100 * run.viewing_share:.0f} %"
        motion = f" · mean motion {run.motion_A:.1f} Å" if run.reference is not None else ""
        self.numbers.setText(f"epoch {run.epoch}{motion}\n{speed}")

    def _refresh_loss(self, run: Any) -> None:
        has_losses = run is not None and len(run.history.step) > 1
        if has_losses:
            self.loss.set_history(run.history.step, run.history.terms)
            self._list_terms(self.loss.term_names)
        else:
            self.loss.clear()
            if run is not None and run.status is RunStatus.FAILED:
                self.loss.empty_text = NO_LOSSES
        self.terms.setEnabled(has_losses)

    def _list_terms(self, keys: tuple[str, ...]) -> None:
        """Offer the image fit first, then all terms together, then each of the others."""
        others = [key for key in keys if key != IMAGE_FIT]
        wanted = [*(key for key in keys if key == IMAGE_FIT), None, *others]
        if [self.terms.itemData(i) for i in range(self.terms.count())] == wanted:
            return
        chosen = self.terms.currentData() if self.terms.count() else wanted[0]
        self.terms.blockSignals(True)
        self.terms.clear()
        for key in wanted:
            self.terms.addItem(ALL_TERMS if key is None else term(key).alone, key)
            tip = ALL_TERMS_TIP if key is None else term(key).help
            self.terms.setItemData(self.terms.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.terms.setCurrentIndex(wanted.index(chosen) if chosen in wanted else 0)
        self.terms.blockSignals(False)
        self._show_term()

    def _show_term(self) -> None:
        key = self.terms.currentData()
        tip = ALL_TERMS_TIP if key is None else term(key).help
        self.terms.setToolTip(tip)
        self.loss.setToolTip(tip)
        self.loss.show_only(key)


def duration_text(seconds: float) -> str:
    """How long it still takes, in the unit one would say it in; empty while unknown."""
    if not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min left"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min left"


def _pause_tip(status: RunStatus) -> str:
    if status is RunStatus.RUNNING:
        return "Hold training; states can still be looked at"
    if status is RunStatus.PAUSED:
        return "Go on where training was paused"
    return "Train this run on from its last checkpoint, with the settings it was started with"


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "muted")
    return label


def _row(*widgets: QWidget, stretch: int = 1) -> QHBoxLayout:
    layout = QHBoxLayout()
    layout.setSpacing(theme.SPACING_PX)
    for widget in widgets:
        wide = isinstance(widget, QComboBox) or not stretch
        if isinstance(widget, QComboBox):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout.addWidget(widget, 1 if wide else 0)
    return layout
