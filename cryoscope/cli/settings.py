"""Settings on the command line: ``--set NAME=VALUE``, and the list of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryoscope.data import InputError
from cryoscope.training.config import TrainConfig
from cryoscope.training.presets import DEFAULT_PRESET, preset


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """The settings of ``--set``, by name.

    Values are read as JSON (``30``, ``0.5``, ``true``, ``[512,256]``), else as text.

    Raises
    ------
    InputError
        For a text that is not NAME=VALUE.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InputError(
                f"--set {text!r} is not NAME=VALUE", cure="Write e.g. --set optimiser.epochs=30"
            )
        try:
            settings[name.strip()] = json.loads(value)
        except ValueError:
            settings[name.strip()] = value.strip()
    return settings


def with_settings(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The configuration with settings changed by name (errors as ``with_option``)."""
    from cryoscope.session.forms import with_option

    for name, value in settings.items():
        config = with_option(config, name, value)
    return config


def print_settings() -> None:
    """Print a table of every setting: name, default with unit, what it does."""
    from rich.console import Console
    from rich.table import Table

    from cryoscope.session.forms import form_fields

    table = Table(
        title=f"Settings for --set NAME=VALUE (defaults of {DEFAULT_PRESET}; everyday ones first)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("name", no_wrap=True)
    table.add_column("default")
    table.add_column("what it does")
    for field in form_fields(preset(DEFAULT_PRESET)):
        default = json.dumps(field.value) if not isinstance(field.value, str) else field.value
        default = f"{default or 'empty'} {field.unit}".strip()
        choices = f" ({', '.join(field.choices)})" if len(field.choices) > 1 else ""
        table.add_row(field.path, default, field.help + choices)
    Console().print(table)
