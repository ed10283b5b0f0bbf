from __future__ import annotations

import json
from typing import Any

import pytest

from cryoscope.data import InputError
from cryoscope.training.config import config_from_json, config_to_json
from cryoscope.training.presets import preset, preset_names, preset_summary


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_json(name: str) -> None:
    config = preset(name)
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config
    assert config.preset == name
    assert preset_summary(name)


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no preset 'best'.*cryoscope-default"):
        preset("best")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latent": {"dim": 0}}, r"setting 'latent\.dim'"),
        ({"latent": {"dims": 4}}, r"setting 'latent\.dims'"),
        ({"data": {"box_size_px": 33}}, r"setting 'data\.box_size_px'"),
        ({"encoder": {"windows_A": [0.0]}}, r"setting 'encoder\.windows_A\.0'"),
        ({"encoder": {"windows_A": []}}, r"setting 'encoder\.windows_A'"),
        ({"deformer": {"widths": [0]}}, r"setting 'deformer\.widths\.0'"),
        (
            {"loss": {"restraints": [{"pairs": "clash"}]}},
            r"setting 'loss\.restraints\.0': clashes, and only clashes, are repulsive",
        ),
        (
            {"loss": {"restraints": [{"pairs": "bonds", "shape": "repulsive"}]}},
            r"setting 'loss\.restraints\.0': clashes",
        ),
        (
            {"loss": {"restraints": [{"pairs": "bonds"}, {"pairs": "bonds", "weight": 2}]}},
            r"setting 'loss': each kind of pairs can be restrained once",
        ),
        ([], "setting"),
    ],
)
def test_a_setting_out_of_range_is_named_in_one_line(values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        config_from_json(values, file="config.json")
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)
