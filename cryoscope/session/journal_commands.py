"""The line for a terminal that does what a verb did, for the verbs that have one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.training.presets import preset, preset_names

if TYPE_CHECKING:
    from cryoscope.session.state import Session

_MODEL_FILES = {"data.structure": "--structure", "data.consensus_map": "--map"}


def command_line(verb: str, arguments: Mapping[str, Any]) -> str:
    """What to type in a terminal to do what a verb did just now; "" where there is no such command.

    Parameters
    ----------
    arguments
        All arguments of the verb by name, ``session`` among them.
    """
    make = _COMMANDS.get(verb)
    words = [] if make is None else make(**arguments)
    return "" if not words else shlex.join(["cryoscope", *words]).replace(" '&&' ", " && ")


def _whole(path: str | Path) -> str:
    return str(Path(path).expanduser().absolute())


def _open_files(session: Session, paths: Any) -> list[str]:
    return [_whole(path) for path in paths]


def _open_run(session: Session, folder: str | Path) -> list[str]:
    return [_whole(folder)]


def _open_project(session: Session, path: str | Path) -> list[str]:
    return [_whole(path)]


def _start_demo(session: Session, out: str | Path, **_more: Any) -> list[str]:
    return ["demo", "--out", _whole(out)]


def _start_training(session: Session, out: str | Path | None, **_more: Any) -> list[str]:
    run, particles, config = session.snapshot("run", "particles", "config")
    if particles is None or (run is None and out is None):
        return []
    from cryoscope.session.run_control import next_run_folder

    if out is not None:
        folder = Path(_whole(out))
    else:
        named = run.folder.name.startswith("run-")
        folder = run.folder if named else next_run_folder(run.folder)
    words = ["train", str(particles.file), "--out", str(folder)]
    return words + _settings(config)


def _settings(config: Any) -> list[str]:
    """Options for what differs from the preset."""
    from cryoscope.training.config import config_to_json

    known = config.preset in preset_names()
    usual = _flat(config_to_json(preset(config.preset if known else preset_names()[0])))
    words = ["--preset", config.preset] if known else []
    for name, value in _flat(config_to_json(config)).items():
        if value == usual.get(name) or name in ("preset", "data.particles"):
            continue
        if name in _MODEL_FILES:
            words += [_MODEL_FILES[name], str(value)]
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--set", f"{name}={text}"]
    return words


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names; lists of numbers stay whole."""
    found: dict[str, Any] = {}
    rows = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in rows:
        name = f"{prefix}{key}"
        nested = isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(one, dict) for one in value)
        )
        found |= _flat(value, f"{name}.") if nested else {name: value}
    return found


def _resume_training(session: Session) -> list[str]:
    run, particles = session.snapshot("run", "particles")
    if run is None or particles is None:
        return []
    return ["train", str(particles.file), "--out", str(run.folder), "--resume"]


def _export_selection(session: Session, name: str, path: str | Path, **_more: Any) -> list[str]:
    run = session.run
    if run is None:
        return []
    return ["export", str(run.folder), "--selection", name, "--out", _whole(path)]


def _export_trajectory(
    session: Session, path: str | Path, component: int, frames: int, **_more: Any
) -> list[str]:
    run = session.run
    if run is None:
        return []
    return _decoded(run.folder, Path(path).with_suffix(""), frames, ["--pc", str(component)])


def _export_path(session: Session, name: str, folder: str | Path, **_more: Any) -> list[str]:
    run = session.run
    path = next((one for one in session.trajectories if one.name == name), None)
    if run is None or path is None:
        return []
    if path.kind == "component" and "component" in path.made_by:
        states = ["--pc", str(path.made_by["component"])]
    elif path.kind == "graph":
        states = ["--graph", ",".join(str(int(row)) for row in path.way_rows)]
    else:
        return []
    return _decoded(run.folder, Path(folder), len(path), states, maps=True)


def _decoded(
    run: Path, out: Path, frames: int, states: list[str], *, maps: bool = False
) -> list[str]:
    words = ["decode", str(run), *states, "--frames", str(frames), "--out", _whole(out)]
    return words if maps else [*words, "--no-maps"]


def _reconstruct(
    session: Session, name: str, out: str | Path | None, box_size_px: int, control: bool,
    **_more: Any,
) -> list[str]:  # fmt: skip
    run, particles = session.snapshot("run", "particles")
    selection = name or session.active_selection
    if run is None or particles is None or not selection:
        return []
    folder = Path(_whole(out)) if out is not None else run.folder / "volumes" / "check"
    rows = folder.with_name(f"{folder.name}-rows.txt")
    words = ["export", str(run.folder), "--selection", selection, "--out", str(rows)]
    words += ["&&", "cryoscope", "reconstruct", str(particles.file), "--selection", str(rows)]
    words += ["--out", str(folder)]
    words += ["--box-px", str(box_size_px)] if box_size_px else []
    return words if control else [*words, "--no-control"]


def _make_landscape(
    session: Session, sketch: int, states: int, mask: str | Path, box_size_px: int,
    samples: int | None, linkage: str,
) -> list[str]:  # fmt: skip
    from cryoscope.session.landscape_making import suggested_sketch

    run, count = session.run, sketch or suggested_sketch(session)
    if run is None:
        return []
    words = ["landscape", str(run.folder), "--sketch", str(count)]
    words += ["--states", str(min(states, count)), "--box-px", str(box_size_px)]
    words += ["--samples", str(count if samples is None else samples), "--linkage", linkage]
    return [*words, "--mask", str(mask)] if mask else words


_COMMANDS: dict[str, Callable[..., list[str]]] = {
    "open_files": _open_files,
    "open_run": _open_run,
    "open_project": _open_project,
    "start_demo": _start_demo,
    "start_training": _start_training,
    "resume_training": _resume_training,
    "export_selection": _export_selection,
    "export_trajectory": _export_trajectory,
    "export_path": _export_path,
    "reconstruct_selection": _reconstruct,
    "make_landscape": _make_landscape,
}
