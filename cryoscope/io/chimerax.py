"""ChimeraX command scripts (.cxc) for series of maps and models.

The commands are those of ChimeraX' user guide (open, volume, vseries, coordset, movie). Names in a
script are relative to its own folder, where ChimeraX runs it: the folder can be moved as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryoscope.data import InputError
from cryoscope.io.atomic import write_text_atomic

_PAUSE_FRAMES, _FRAMES_PER_S = 5, 25
_SCENE = ("set bgColor white", "graphics silhouettes true", "lighting soft")


def write_series_script(
    path: Path,
    maps: Sequence[str],
    *,
    level: float,
    colour: str = "#569cd6",
    structures: str = "",
    frames: int = 0,
    movie: str = "",
) -> None:
    """Write a script that plays maps of one box as a series, with models beside them.

    Parameters
    ----------
    maps
        File names in the order of the series, beside the script.
    level
        Contour level of all maps.
    colour
        Of the surface, ``#rrggbb``.
    structures
        File of as many models as maps (multi-model .pdb or .cif), shown inside; empty for none.
    frames
        Number of the models, where there are no maps.
    movie
        Name of the ``.mp4`` that ChimeraX makes of it, there and back; empty for none.

    Raises
    ------
    InputError
        If a name cannot stand in a script, or there are no maps and no structures.
    """
    if not maps and not structures:
        raise InputError("there is nothing to open in ChimeraX", file=path)
    lines = [*_head(path)]
    last = len(maps) or frames
    forth, back = [], []
    if maps:
        lines.append(f"open {' '.join(_name(one, path) for one in maps)} vseries true")
        shade = f"{colour}80" if structures else colour
        lines.append(f"volume #1 style surface step 1 level {level:.6g} color {shade}")
        forth.append(f"vseries play #1 direction forward pauseFrames {_PAUSE_FRAMES}")
        back.append(f"vseries play #1 direction backward pauseFrames {_PAUSE_FRAMES}")
    if structures:
        model = 2 if maps else 1
        lines += [
            f"open {_name(structures, path)} coordset true",
            f"hide #{model} atoms",
            f"cartoon #{model}",
            f"color bfactor #{model} palette blue:white:red",
        ]
        forth.append(f"coordset #{model} 1,{last} pauseFrames {_PAUSE_FRAMES}")
        back.append(f"coordset #{model} {last},1 pauseFrames {_PAUSE_FRAMES}")
    lines.append("view")
    wait = f"wait {last * _PAUSE_FRAMES}"
    if movie:
        lines.append("movie record size 1200,900 supersample 3")
    lines += [*forth, wait, *back, wait]
    if movie:
        encode = f"movie encode {_name(movie, path)} framerate {_FRAMES_PER_S} quality high"
        lines.append(encode)
    write_text_atomic(path, "\n".join(lines) + "\n")


def write_states_script(
    path: Path,
    maps: Sequence[str],
    colours: Sequence[str],
    *,
    level: float,
    structures: str = "",
) -> None:
    """Write a script that opens maps beside each other, each in its colour.

    Arguments and errors as of :func:`write_series_script`; ``colours`` has one ``#rrggbb`` for
    every map. The maps are laid out side by side.
    """
    if not maps:
        raise InputError("there is nothing to open in ChimeraX", file=path)
    lines = [*_head(path)]
    for number, (name, colour) in enumerate(zip(maps, colours, strict=True), start=1):
        lines.append(f"open {_name(name, path)} id {number}")
        lines.append(f"volume #{number} style surface step 1 level {level:.6g} color {colour}")
    if structures:
        model = len(maps) + 1
        lines += [f"open {_name(structures, path)} id {model}", f"hide #{model} models"]
    if len(maps) > 1:
        lines.append(f"tile #1-{len(maps)}")
    lines.append("view")
    write_text_atomic(path, "\n".join(lines) + "\n")


def _head(path: Path) -> tuple[str, ...]:
    return (f"# Open this file in ChimeraX: open {path.name}", "close session", *_SCENE)


def _name(name: str, script: Path) -> str:
    """A file name as one word of a command."""
    if not name or any(character in name for character in "\"'\\;\n\r*?[]") or name[0] in "#~/":
        raise InputError(
            f"the name {name!r} cannot stand in a ChimeraX script",
            file=script,
            cure="Use letters, digits, - and _",
        )
    return f'"{name}"' if " " in name else name
