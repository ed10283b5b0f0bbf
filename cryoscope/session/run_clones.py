"""A new run like an earlier one, but for some settings; and which they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.data import InputError
from cryoscope.session.forms import FormField, form_fields, preset_of
from cryoscope.training.config import TrainConfig, config_from_json

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session


@dataclass(frozen=True)
class ConfigBase:
    """What the settings of the next run began as: those of the run called ``name``."""

    name: str
    config: TrainConfig


@dataclass(frozen=True)
class SettingChange:
    """A setting that is not as it was: ``before`` in the run or preset, ``now`` in the form."""

    path: str
    label: str
    unit: str
    before: Any
    now: Any


def clone_run(session: Session, folder: str | Path | None = None) -> None:
    """Take the settings of a run, by default of the one that is shown, for the next run.

    Particles and structure that are open stay; else those of the run are opened. Change what you
    like, then start training: it goes into a new folder. :func:`setting_changes` lists what
    differs.
    """
    run = session.run
    if folder is None and run is None:
        session.report(InputError("no run is open", cure="Open a run folder first."))
        return
    path = run.folder if folder is None and run is not None else Path(str(folder))
    path = path.expanduser().absolute()

    def load(job: Job) -> None:
        from cryoscope.io.run_folder import RunFolder
        from cryoscope.session.opening import load_inputs

        opened = RunFolder.open(path)
        config = config_from_json(opened.config(), file=str(path / "config.json"))
        if session.particles is None:
            load_inputs(session, opened.info(), config)
        job.check()
        session.revise(lambda: _cloned(session, path.name, config))
        session.notify("info", f"Settings of {path.name}: change them, then start a new run")

    session.pool.submit("Reading settings", load, key="clone", text=f"Settings of {path.name}")


def setting_changes(session: Session) -> tuple[SettingChange, ...]:
    """What of the next run differs from the run that it was cloned from, or from its preset."""
    base, config = session.config_base, session.config
    return differing(preset_of(config) if base is None else base.config, config)


def differing(before: TrainConfig | None, now: TrainConfig) -> tuple[SettingChange, ...]:
    """The settings, as in a form, that differ between two configurations."""
    if before is None:
        return ()
    old = {field.path: field for field in _all_fields(before)}
    fresh = {field.path: field for field in _all_fields(now)}
    changes = []
    for path in dict.fromkeys([*fresh, *old]):
        field = fresh.get(path) or old[path]
        pair = tuple(side[path].value if path in side else None for side in (old, fresh))
        if pair[0] != pair[1]:
            changes.append(SettingChange(path, full_label(field), field.unit, *pair))
    return tuple(changes)


def full_label(field: FormField) -> str:
    """A label that says enough without the heading of its group."""
    return f"{field.group}: {field.label.lower()}" if field.advanced else field.label


def _all_fields(config: TrainConfig) -> list[FormField]:
    """Every setting in the form of a configuration, and which preset and model it is."""
    return [*identity_fields(config), *form_fields(config)]


def identity_fields(config: TrainConfig) -> list[FormField]:
    """Preset and model as fields, which no form shows: they are chosen elsewhere."""
    rows = (("preset", "Method", config.preset), ("model", "Model", config.model))
    return [
        FormField(path, "Run", label, "", "", "text", value, None, None, (), False)
        for path, label, value in rows
    ]


def _cloned(session: Session, name: str, config: TrainConfig) -> dict[str, Any]:
    """The settings of a run, with the files that are open now."""
    open_now = session.config.data
    values = {
        file: getattr(open_now, file)
        for file in ("particles", "structure", "consensus_map")
        if getattr(open_now, file)
    }
    whole = replace(config, data=replace(config.data, **values))
    return {"config": whole, "config_base": ConfigBase(name, whole)}
