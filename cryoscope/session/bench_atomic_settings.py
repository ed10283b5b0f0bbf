"""Presets changed by name, and every deviation from one, listed from the configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryoscope.data import InputError
from cryoscope.session.forms import with_option
from cryoscope.training.config import TrainConfig, config_to_json

#: Where the files lie and how many threads compute is no deviation.
_IN_NO_LIST = ("data.particles", "data.structure", "threads")


def with_options(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    """Settings changed by path; a restraint is named by its pairs, not by its place.

    Raises
    ------
    InputError
        There is no such setting or restraint, or the value is out of range.
    """
    kinds = [restraint.pairs for restraint in config.loss.restraints]
    for path, value in options.items():
        parts = path.split(".")
        if parts[:2] == ["loss", "restraints"]:
            if parts[2] not in kinds:
                raise InputError(
                    f"preset {config.preset} has no restraint {parts[2]!r}",
                    cure=f"It has {', '.join(kinds)}",
                )
            parts[2] = str(kinds.index(parts[2]))
        config = with_option(config, ".".join(parts), value)
    return config


def differences(base: TrainConfig, used: TrainConfig) -> list[str]:
    """Every setting in which ``used`` deviates from ``base``: ``"name: preset -> used"``."""
    ours, theirs = _flat(config_to_json(used)), _flat(config_to_json(base))
    return [
        f"{name}: {theirs.get(name, 'absent')} -> {ours.get(name, 'absent')}"
        for name in dict.fromkeys([*theirs, *ours])
        if name not in _IN_NO_LIST and ours.get(name) != theirs.get(name)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name; a restraint under its pairs."""
    if isinstance(value, dict):
        parts = dict(value)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        parts = {str(inner.get("pairs", place)): inner for place, inner in enumerate(value)}
    else:
        return {prefix.removesuffix("."): value}
    return {
        name: leaf
        for key, inner in parts.items()
        for name, leaf in _flat(inner, f"{prefix}{key}.").items()
    }
