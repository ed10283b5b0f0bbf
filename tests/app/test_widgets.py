from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QComboBox, QLineEdit, QSpinBox

from cryoscope.app import theme
from cryoscope.app.panels.selections import file_word
from cryoscope.app.panels.training import duration_text
from cryoscope.app.widgets.colour_bar import ColourBar
from cryoscope.app.widgets.loss_plot import LossPlot, running_mean
from cryoscope.app.widgets.option_form import FloatBox, OptionForm, group_name
from cryoscope.app.widgets.ticks import log_ticks, nice_ticks
from cryoscope.session import actions
from cryoscope.training.presets import DEFAULT_PRESET, preset


@pytest.mark.parametrize(
    ("low", "high"), [(-2.6, 8.7), (0, 1e-3), (0, 54_321), (1e5, 1.000_2e5), (-1e-7, 1e-7)]
)
def test_ticks_are_inside_even_and_apart(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 5)
    places = [place for place, _ in ticks]
    assert 3 <= len(ticks) <= 12
    assert all(low - 1e-9 <= place <= high + 1e-9 * abs(high) for place in places)
    assert len({text for _, text in ticks}) == len(ticks), "no two ticks read the same"
    np.testing.assert_allclose(np.diff(places), places[1] - places[0])


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (1.0, 0.0), (math.nan, 1.0), (0, math.inf)])
def test_an_axis_without_extent_has_no_ticks(low: float, high: float) -> None:
    assert nice_ticks(low, high) == []


def test_logarithmic_ticks() -> None:
    assert [text for _, text in log_ticks(-2.2, 3.5)][:2] == ["0.01", "0.1"]
    assert log_ticks(1.0, 1.0) == []


def test_losses_on_a_logarithmic_axis_leave_out_what_is_not_positive(qtbot: Any) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(300, 220)
    step = np.arange(5)
    plot.set_history(step, {"total": [10, 8, 6, 5, 4], "clash": [0, 0, np.nan, 0.1, 0.01]})
    assert plot.bounds[2] == pytest.approx(-2, abs=0.3)
    plot.grab()
    plot.show_only("total")
    assert not plot.log_y
    assert plot.bounds[2] < 4
    assert plot.bounds[3] > 10


def test_a_loss_below_zero_is_drawn_above_its_lowest(qtbot: Any) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(300, 220)
    plot.set_history(np.arange(4), {"data": [-120, -150, -160, -170], "kl": [1, 2, 3, 4]})
    np.testing.assert_allclose(plot._drawn("data"), [50, 20, 10, 0])
    assert plot._label("data") == "image misfit − best"
    assert plot._label("kl") == "KL"
    plot.show_only("data")
    np.testing.assert_allclose(plot._drawn("data"), [120, 150, 160, 170])
    assert plot.y_label == "image fit (nats)"
    plot.grab()
    plot.clear()
    assert plot.empty_text
    assert plot.term_names == ()


def test_a_running_mean_keeps_the_ends_and_leaves_out_what_is_unknown() -> None:
    values = np.array([0.0, 1.0, np.nan, 3.0, 4.0])
    np.testing.assert_allclose(running_mean(values, 1), [0.0, 0.5, 2.0, 3.5, 4.0])
    np.testing.assert_allclose(running_mean(np.arange(9.0), 3), np.arange(9.0))
    assert np.isnan(running_mean(np.full(3, np.nan), 2)).all()


def test_a_name_becomes_a_word_of_a_file_name() -> None:
    assert file_word("open state") == "open-state"
    assert file_word("a/b: c") == "a-b-c"
    assert file_word("  ") == "selection"


def test_terms_differ_in_colour_and_in_dashes() -> None:
    styles = [theme.term_style(name, 0) for name in ("kl", "bonds", "elastic", "clash")]
    assert len({colour for colour, _ in styles}) == len({dashes for _, dashes in styles}) == 4


def test_displacement_colours_get_lighter_all_the_way() -> None:
    lightness = theme.displacement_colours()[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_the_colour_bar_draws_with_and_without_a_range(qtbot: Any) -> None:
    bar = ColourBar(theme.displacement_colours(), "displacement (Å)")
    qtbot.addWidget(bar)
    bar.grab()
    bar.set_maximum(12.4)
    bar.grab()


def test_the_form_shows_every_setting_and_tells_of_edits(qtbot: Any) -> None:
    fields = actions.form_fields(preset(DEFAULT_PRESET))
    form = OptionForm(headings=True)
    qtbot.addWidget(form)
    form.set_fields(fields)
    assert list(form.editors) == [field.path for field in fields]
    assert all(editor.toolTip() for editor in form.editors.values())
    edits: list[tuple[str, Any]] = []
    form.edited.connect(lambda path, value: edits.append((path, value)))
    epochs, rate = form.editors["optimiser.epochs"], form.editors["optimiser.learning_rate"]
    contrast, widths = form.editors["data.contrast"], form.editors["encoder.widths"]
    assert isinstance(epochs, QSpinBox)
    assert isinstance(rate, FloatBox)
    assert isinstance(contrast, QComboBox)
    assert isinstance(widths, QLineEdit)
    epochs.setValue(7)
    rate.setValue(5e-4)
    contrast.setCurrentText("dark")
    widths.setText("64, 32")
    widths.editingFinished.emit()
    assert edits == [
        ("optimiser.epochs", 7),
        ("optimiser.learning_rate", 5e-4),
        ("data.contrast", "dark"),
        ("encoder.widths", ["64", "32"]),
    ]
    assert rate.text() == "0.0005"


def test_showing_the_same_fields_again_is_no_edit(qtbot: Any) -> None:
    form = OptionForm()
    qtbot.addWidget(form)
    edits: list[Any] = []
    form.edited.connect(lambda *edit: edits.append(edit))
    form.set_fields(actions.form_fields(preset(DEFAULT_PRESET)))
    form.set_fields(actions.form_fields(preset(DEFAULT_PRESET)))
    assert edits == []


def test_group_names() -> None:
    assert group_name("encoder.widths") == "Encoder"
    assert group_name("loss.restraints.0.weight") == "Loss restraint 1"
    assert group_name("seed") == "Run"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(math.nan, ""), (12, "12 s left"), (600, "10 min left"), (9000, "2 h 30 min left")],
)
def test_time_left(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
