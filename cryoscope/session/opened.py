"""What a file is before it is opened, and what has been opened afterwards: in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryoscope.data import InputError

if TYPE_CHECKING:
    from cryoscope.session.state import Session

_KINDS = {
    "particles": "the particles to train on",
    "structure": "the reference structure",
    "map": "a map to look at, or the consensus map",
}
UNKNOWN = "cannot be opened"


def what_it_is(path: str | Path) -> str:
    """What a file would be opened as, judged by its name.

    Examples
    --------
    >>> what_it_is("J42_particles.cs"), what_it_is("notes.txt")
    ('the particles to train on', 'cannot be opened')
    """
    from cryoscope.session.opening import kind_of

    place = Path(path)
    if place.is_dir():
        return "a run or project folder"
    kind = kind_of(Path(place.name.lower().removesuffix(".gz")).suffix)
    return _KINDS.get(kind, UNKNOWN)


def opening_said(
    session: Session, paths: Sequence[Path], load: Callable[[int, Path], None]
) -> None:
    """Load each path, then tell in one notice what each has become; for jobs.

    What ``load`` tells itself is told again, after what the file has become. The errors that it
    raises come last, so that they stay to be read.
    """
    said, errors, cautious = [], [], False
    for number, path in enumerate(paths):
        before = session.notice
        try:
            load(number, path)
        except InputError as error:
            errors.append(error)
            continue
        told = session.notice
        text = _what_it_became(session, path)
        if told is not None and told is not before:
            cautious = cautious or told.level == "warning"
            text = f"{text} – {told.text}" if path.name not in told.text else told.text
        said.append(text)
    if said:
        session.notify("warning" if cautious else "info", "Opened: " + "; ".join(said))
    for problem in errors:
        session.report(problem)


def _what_it_became(session: Session, path: Path) -> str:
    from cryoscope.session.opening import kind_of

    particles, structure, shown = session.particles, session.structure, session.shown
    kind = kind_of(Path(path.name.lower().removesuffix(".gz")).suffix)
    if path.is_dir():
        return f"{path.name}: {_folder_words(session)}"
    if kind == "particles" and particles is not None:
        return (
            f"{path.name}: {particles.count:,} particles, {particles.box_size_px} px, "
            f"{particles.pixel_size_A:.3g} Å/px"
        )
    if kind == "structure" and structure is not None:
        return f"{path.name}: structure of {structure.residues:,} residues"
    if kind == "map" and shown is not None and shown.density is not None:
        return f"{path.name}: map, {shown.density.voxel_size_A:.3g} Å/voxel"
    return path.name


def _folder_words(session: Session) -> str:
    run, latents = session.run, session.latents
    if run is None:
        return "opened"
    of = "no latents yet" if latents is None else f"{len(latents):,} particles with latents"
    return f"run, {of}"
