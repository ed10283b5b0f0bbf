"""Forms made from the configuration's own field descriptions."""

from __future__ import annotations

import typing
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Literal, cast

from pydantic.fields import FieldInfo

from cryoscope.data import InputError
from cryoscope.training.config import TrainConfig, config_from_json, config_to_json
from cryoscope.training.presets import preset

Kind = Literal["integer", "number", "text", "choice", "switch", "list"]

_EVERYDAY = (
    "optimiser.epochs",
    "optimiser.minutes",
    "latent.dim",
    "data.box_size_px",
    "data.low_pass_A",
    "optimiser.batch_size",
)
# Set by opening files and choosing a preset.
_NOT_IN_FORMS = ("preset", "model", "data.particles", "data.structure")
# Settings that a model does not look at.
_NOT_OF_MODEL = {
    "atomic": ("volume.", "data.latents_of", "latent.table_rate"),
    "volume": ("beads.", "deformer.", "pose.", "loss.restraints.", "phases.", "data.structure_"),
}
_UNITS = {
    "_A2": "Å²", "_A": "Å", "_px": "px", "_deg": "°", "_kv": "kV", "_mm": "mm", "_s": "s",
}  # fmt: skip
_WHOLE_NAME_UNITS = {"minutes": "min"}
_LABELS = {
    "data.box_size_px": "Training box",
    "data.low_pass_A": "Low-pass",
    "latent.dim": "Latent dimensions",
    "optimiser.batch_size": "Batch size",
    "checkpoint_s": "Checkpoint every",
    "live_s": "Refresh latents every",
}


_HELP = {
    "optimiser.minutes": "Stop after this much training, even if epochs remain; 0 = no limit",
}


@dataclass(frozen=True)
class FormField:
    """One setting, as a form shows it.

    Attributes
    ----------
    path
        Where it stands in the configuration, e.g. ``"optimiser.epochs"``.
    group
        What it belongs to, e.g. ``"Encoder"`` or ``"Bonds"``.
    label, unit, help
        What stands before, behind, and in the tooltip of the field.
    minimum, maximum
        Bounds, both allowed; None where there is none.
    above
        Whether ``minimum`` itself is refused.
    multiple_of
        The value is a multiple of this; None where any value will do.
    default
        What the preset has; None where it has no such setting.
    choices
        All allowed values of a choice.
    advanced
        Whether it is one for the second page.
    """

    path: str
    group: str
    label: str
    unit: str
    help: str
    kind: Kind
    value: Any
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    advanced: bool
    above: bool = False
    multiple_of: float | None = None
    default: Any = None


def form_fields(config: TrainConfig) -> list[FormField]:
    """Every setting of ``config`` that its model looks at, the everyday ones first."""
    base = preset_of(config)
    defaults = {} if base is None else {f.path: f.value for f in _fields_of(base, "", "Run")}
    fields = {
        field.path: replace(field, default=defaults.get(field.path))
        for field in _fields_of(config, "", "Run")
    }
    everyday = [fields.pop(path) for path in _EVERYDAY]
    hidden = _NOT_IN_FORMS + _NOT_OF_MODEL.get(config.model, ())
    return everyday + [field for path, field in fields.items() if not path.startswith(hidden)]


def with_option(config: TrainConfig, path: str, value: Any) -> TrainConfig:
    """``config`` with the setting at ``path`` (``"loss.restraints.0.weight"``) set to ``value``.

    Raises
    ------
    InputError
        If there is no such setting, or the value is out of range.
    """
    values = config_to_json(config)
    place: Any = values
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    try:
        for part in parents:
            place = place[part]
        place[last]  # a setting is changed, never added
        place[last] = value
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"there is no setting {path!r}", cure="`cryoscope train --help` lists the settings"
        ) from error
    return config_from_json(values)


def preset_of(config: TrainConfig) -> TrainConfig | None:
    """The preset that a configuration began as; None where none has that name (any more)."""
    try:
        return preset(config.preset)
    except InputError:
        return None


def _fields_of(record: Any, prefix: str, group: str) -> list[FormField]:
    described = cast("dict[str, FieldInfo]", type(record).__pydantic_fields__)
    hints = typing.get_type_hints(type(record))
    fields: list[FormField] = []
    for name, info in described.items():
        value, path = getattr(record, name), f"{prefix}{name}"
        if is_dataclass(value):
            fields += _fields_of(value, f"{path}.", name.capitalize())
        elif isinstance(value, tuple) and any(is_dataclass(part) for part in value):
            for number, part in enumerate(value):
                fields += _fields_of(part, f"{path}.{number}.", _part_name(part))
        elif value != () or "Config" not in str(hints[name]):
            fields.append(_field(path, group, info, hints[name], value))
    return fields


def _part_name(part: Any) -> str:
    """What one of several records of a setting is called: its pairs, or its kind."""
    return str(getattr(part, "pairs", None) or part.kind).capitalize()


def _field(path: str, group: str, info: FieldInfo, hint: Any, value: Any) -> FormField:
    bounds: dict[str, Any] = {}
    for constraint in info.metadata:
        for bound in ("ge", "gt", "le", "lt", "multiple_of"):
            if getattr(constraint, bound, None) is not None:
                bounds[bound] = getattr(constraint, bound)
    choices = tuple(map(str, typing.get_args(hint))) if _is_choice(hint) else ()
    stem, unit = _unit(path.rpartition(".")[2])
    return FormField(
        path=path,
        group=group,
        label=_LABELS.get(path, stem.replace("_", " ").capitalize()),
        unit=unit,
        help=_HELP.get(path, info.description or ""),
        kind=_kind(hint),
        value=value,
        minimum=bounds.get("ge", bounds.get("gt")),
        maximum=bounds.get("le", bounds.get("lt")),
        choices=choices,
        advanced=path not in _EVERYDAY,
        above="gt" in bounds,
        multiple_of=bounds.get("multiple_of"),
    )


def _unit(name: str) -> tuple[str, str]:
    """A field's name without its unit, and the unit."""
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), unit
    return name, _WHOLE_NAME_UNITS.get(name, "")


def _is_choice(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def _kind(hint: Any) -> Kind:
    if _is_choice(hint):
        return "choice"
    kinds: dict[Any, Kind] = {bool: "switch", int: "integer", float: "number", str: "text"}
    return kinds.get(hint, "list")
