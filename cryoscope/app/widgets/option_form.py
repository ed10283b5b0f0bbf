"""A form made from a list of described settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from cryoscope.app import theme
from cryoscope.app.widgets.changes_button import value_text

WIDEST = 2_000_000_000
LONGEST_MEANING = 10


class OptionForm(QWidget):
    """One row per field: label, editor with its unit, and the description as tooltip.

    Fields have ``path, label, unit, help, kind, value, minimum, maximum, choices`` (a
    :class:`cryoscope.session.FormField`), and ``default``: what is not so is marked.

    Signals
    -------
    edited (path, value)
        The user gave a setting another value.

    Parameters
    ----------
    headings
        Whether to name the group above its fields (``loss.restraints.0`` -> "Loss restraint 1").
    """

    edited = Signal(str, object)

    def __init__(self, *, headings: bool = False) -> None:
        super().__init__()
        self._headings = headings
        self.editors: dict[str, QWidget] = {}
        self._labels: dict[str, QLabel] = {}
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setVerticalSpacing(3)
        self._layout.setHorizontalSpacing(theme.SPACING_PX * 2)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def set_fields(self, fields: Iterable[Any]) -> None:
        """Show these fields; editors that exist already only change their values."""
        fields = list(fields)
        if [field.path for field in fields] != list(self.editors):
            self._rebuild(fields)
        for field in fields:
            editor = self.editors[field.path]
            if not editor.hasFocus():
                editor.blockSignals(True)
                _set_value(editor, field)
                editor.blockSignals(False)
            changed = field.default is not None and field.default != field.value
            # What differs from the preset stands out.
            theme.set_role(self._labels[field.path], "heading" if changed else "")
            for widget in (editor, self._labels[field.path]):
                widget.setToolTip(_tip(field))

    def _rebuild(self, fields: list[Any]) -> None:
        while self._layout.rowCount():
            self._layout.removeRow(0)
        self.editors.clear()
        self._labels.clear()
        group = ""
        for field in fields:
            if self._headings and (name := group_name(field.path)) != group:
                group = name
                heading = QLabel(name)
                heading.setProperty("role", "heading")
                self._layout.addRow(heading)
            editor = self._editor(field)
            editor.setAccessibleName(field.label)
            label = QLabel(field.label)
            self._labels[field.path] = label
            label.setWordWrap(True)
            label.setBuddy(editor)
            self._layout.addRow(label, editor)
            self.editors[field.path] = editor

    def _editor(self, field: Any) -> QWidget:
        path = field.path

        def emit(value: Any) -> None:
            self.edited.emit(path, value)

        if field.kind == "choice":
            combo = QComboBox()
            combo.addItems([str(choice) for choice in field.choices])
            combo.currentTextChanged.connect(emit)
            return combo
        if field.kind == "switch":
            check = QCheckBox()
            check.toggled.connect(emit)
            return check
        if field.kind in ("integer", "number"):
            return _number_editor(field, emit)
        line = QLineEdit()
        if field.kind == "list":
            line.editingFinished.connect(
                lambda: emit([part.strip() for part in line.text().split(",") if part.strip()])
            )
        else:
            line.editingFinished.connect(lambda: emit(line.text()))
        return line


def _tip(field: Any) -> str:
    """What a setting means, and what the method has for it."""
    if field.default is None or field.default == "":
        return str(field.help)
    return f"{field.help}\nDefault of this method: {value_text(field.default, field.unit)}"


def _number_editor(field: Any, emit: Callable[[Any], None]) -> QWidget:
    spin: QSpinBox | QDoubleSpinBox
    low, high = field.minimum, field.maximum
    if field.kind == "integer":
        spin = QSpinBox()
        spin.setRange(int(-WIDEST if low is None else low), int(WIDEST if high is None else high))
    else:
        spin = FloatBox()
        spin.setRange(
            float(-WIDEST if low is None else low), float(WIDEST if high is None else high)
        )
    if field.multiple_of:
        spin.setSingleStep(field.multiple_of)
    # A value is taken when it has been typed, not at each digit of it.
    spin.setKeyboardTracking(False)
    if field.unit:
        spin.setSuffix(f" {field.unit}")
    if field.minimum == 0 and (meaning := re.search(r"\b0 = ([^;.]+)", field.help)):
        short = len(meaning[1]) <= LONGEST_MEANING
        spin.setSpecialValueText(f"0 = {meaning[1]}" if short else "automatic")
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    spin.wheelEvent = lambda event: event.ignore()  # type: ignore[method-assign]
    spin.valueChanged.connect(emit)
    return spin


def group_name(path: str) -> str:
    """Heading of the group that a setting belongs to."""
    parts = path.split(".")[:-1]
    words = [str(int(part) + 1) if part.isdecimal() else part for part in parts]
    if parts and parts[-1].isdecimal():
        words[-2] = words[-2].removesuffix("s")
    return " ".join(words).capitalize() or "Run"


class FloatBox(QDoubleSpinBox):
    """A spin box that writes numbers of any size without needless digits."""

    def __init__(self) -> None:
        super().__init__()
        self.setDecimals(9)

    def textFromValue(self, value: float) -> str:
        """The shortest text of ``value``."""
        return f"{value:.6g}"


def _set_value(editor: QWidget, field: Any) -> None:
    if isinstance(editor, QComboBox):
        editor.setCurrentText(str(field.value))
    elif isinstance(editor, QCheckBox):
        editor.setChecked(bool(field.value))
    elif isinstance(editor, QSpinBox | QDoubleSpinBox):
        editor.setValue(field.value)
    elif isinstance(editor, QLineEdit):
        several = isinstance(field.value, list | tuple)
        editor.setText(", ".join(map(str, field.value)) if several else str(field.value))
