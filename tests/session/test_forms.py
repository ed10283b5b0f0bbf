from __future__ import annotations

import pytest

from cryoscope.data import InputError
from cryoscope.session import Session, actions
from cryoscope.session.forms import form_fields, with_option
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import DEFAULT_PRESET, preset
from tests.session.conftest import fake_thread


def test_everyday_settings_come_first_with_units_and_help() -> None:
    fields = form_fields(preset(DEFAULT_PRESET))
    everyday = [field for field in fields if not field.advanced]
    assert fields[: len(everyday)] == everyday
    assert [field.path for field in everyday] == [
        "optimiser.epochs",
        "optimiser.minutes",
        "latent.dim",
        "data.box_size_px",
        "data.low_pass_A",
        "optimiser.batch_size",
    ]
    by_path = {field.path: field for field in fields}
    box = by_path["data.box_size_px"]
    assert (box.label, box.unit, box.kind) == ("Training box", "px", "integer")
    assert (box.minimum, box.maximum, box.multiple_of, box.value) == (0, 1024, 2, 0)
    assert by_path["optimiser.minutes"].unit == "min"
    assert by_path["data.low_pass_A"].unit == "Å"
    assert by_path["data.contrast"].choices == ("auto", "bright", "dark")
    assert by_path["loss.whiten"].kind == "switch"
    assert by_path["loss.restraints.0.weight"].group == "Bonds"
    assert by_path["optimiser.learning_rate"].above
    assert all(field.help and field.label for field in fields)


def test_every_field_can_be_set_to_what_it_is() -> None:
    config = preset(DEFAULT_PRESET)
    for field in form_fields(config):
        assert with_option(config, field.path, field.value) == config


def test_a_config_without_restraints_has_a_form() -> None:
    assert not [f for f in form_fields(TrainConfig()) if f.path.startswith("loss.restraints")]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("optimiser.epochs", 0, "optimiser.epochs"),
        ("optimiser.epoch", 3, "no setting 'optimiser.epoch'"),
        ("loss.restraints.9.weight", 3, "no setting"),
        ("seed.x", 3, "no setting"),
        ("data.contrast", "grey", "data.contrast"),
    ],
)
def test_bad_settings_are_refused(path: str, value: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_option(TrainConfig(), path, value)


def test_verbs_set_options_and_presets() -> None:
    session = Session(make_runner=fake_thread)
    actions.set_option(session, "data.particles", "a.star")
    actions.set_option(session, "optimiser.epochs", "7")
    assert session.config.optimiser.epochs == 7
    actions.set_option(session, "optimiser.epochs", -1)
    assert session.config.optimiser.epochs == 7
    assert session.notice is not None
    assert session.notice.level == "error"
    actions.choose_preset(session, DEFAULT_PRESET)
    assert session.config.optimiser.epochs == preset(DEFAULT_PRESET).optimiser.epochs
    assert session.config.data.particles == "a.star"
    actions.choose_preset(session, "magic")
    assert "magic" in session.notice.text
