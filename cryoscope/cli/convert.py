"""``cryoscope convert``: between the files of RELION, cryoSPARC, cryoDRGN and Cryoscope."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoscope.data import InputError, Latents

if TYPE_CHECKING:
    from cryoscope.io.particles_file import ParticleMetadata

_TABLES = (".npz", ".csv", ".parquet")
_NUMBERS_AT_MOST = 1 << 62


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("convert")(convert)


@dataclass(frozen=True)
class _Asked:
    """The options."""

    box_px: int
    passthrough: Path | None
    class_number: int | None
    epoch: int | None


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Particles (.star, .cs), latents or indices (.pkl), or a run folder"
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="File or folder to write; see the list above")
    ],
    box_px: Annotated[
        int, typer.Option("--box-px", min=0, help="Box of the images, where IN does not say it")
    ] = 0,
    passthrough: Annotated[
        Path | None,
        typer.Option(help=".cs: the job's passthrough_particles.cs \\[default: found beside it]"),
    ] = None,
    class_number: Annotated[
        int | None,
        typer.Option("--class", help=".cs with several classes: take the poses of this one"),
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="Run: \\[default: the newest]")] = None,
) -> None:
    """Turn a file into that of another program.

    - particles.star or .cs to a folder: pose.pkl and ctf.pkl of cryoDRGN

    - particles.star or .cs to NAME.pkl: poses or CTF alone, if NAME has "pose" or "ctf" in it

    - particles.cs to .star

    - z.N.pkl, or a run of cryoDRGN, to .npz, .csv or .parquet; .npz to .pkl

    - ind.pkl to .txt, and back

    - a run of Cryoscope (volume model) to a folder: a run that cryodrgn eval_vol and analyze read
    """
    asked = _Asked(box_px, passthrough, class_number, epoch)
    kind = "folder" if source.is_dir() else source.suffix.lower()
    action = _ACTIONS.get(kind)
    if action is None:
        raise InputError(
            "this kind of file cannot be converted",
            file=source,
            cure="Give .star, .cs, .pkl, .npz or .txt, or a run folder",
        )
    if out.exists() and source.exists() and source.samefile(out):
        raise InputError("input and output are the same file", file=out, cure="Name another")
    print(action(source, out, asked))


def _particles(source: Path, out: Path, asked: _Asked) -> str:
    """A particle table to poses, CTF or another table."""
    from cryoscope.io.cryodrgn_files import box_lengths_A, write_ctf, write_poses

    wanted = out.suffix.lower()
    metadata = _metadata(source, asked, needs_box=wanted != ".star")
    count = f"{len(metadata.uid):,} particles"
    if wanted == ".star" and source.suffix.lower() in (".cs", ".csg"):
        _write_star(out, metadata)
        return f"{count}: {out}"
    poses, files = metadata.poses, []
    names = ["pose.pkl", "ctf.pkl"] if wanted == "" else [out.name]
    if wanted not in ("", ".pkl") or not all(
        "pose" in n or "ctf" in n for n in map(str.lower, names)
    ):
        raise InputError(
            "it is not clear what to write",
            file=out,
            cure="Name a folder (for both), or a .pkl file with pose or ctf in its name",
        )
    if poses is None and "pose.pkl" in names and len(names) == 2:
        names = ["ctf.pkl"]
    folder = _folder(out) if wanted == "" else nullcontext(out.parent)
    with folder as place:
        for name in names:
            if "ctf" in name.lower():
                write_ctf(place / name, metadata.ctf, metadata.optics)
            elif poses is None:
                raise InputError("the particles have no poses", file=source, cure="Refine them")
            else:
                write_poses(place / name, poses, box_lengths_A(metadata.ctf, metadata.optics))
            files.append(name)
    note = "" if poses is not None else " (no poses in the file)"
    return f"{count}: {', '.join(files)} in {out if wanted == '' else out.parent}{note}"


def _pickle(source: Path, out: Path, asked: _Asked) -> str:
    """Latents or indices of cryoDRGN."""
    from cryoscope.io.cryodrgn_files import read_indices, read_z
    from cryoscope.io.particle_export import write_row_numbers

    if out.suffix.lower() == ".txt":
        index = read_indices(source)
        write_row_numbers(out, index)
        return f"{len(index):,} particle numbers: {out}"
    if out.suffix.lower() not in _TABLES:
        raise InputError(
            "a .pkl file is converted to .txt (indices) or .npz, .csv, .parquet (latents)",
            file=out,
            cure="Name the output so",
        )
    import re

    import numpy as np

    numbered = re.search(r"\.(\d{1,9})\.pkl$", source.name)
    epoch = asked.epoch or int(numbered[1] if numbered else 0)
    z, log_var = read_z(source)
    uid = np.arange(len(z)).astype(np.str_)
    return _write_latents(Latents(z, log_var, uid, source.absolute().parent.name, epoch), out)


def _latents(source: Path, out: Path, asked: _Asked) -> str:
    """Latents of Cryoscope."""
    from cryoscope.io.latents_file import read_latents

    return _write_latents(read_latents(source), out)


def _numbers(source: Path, out: Path, asked: _Asked) -> str:
    """Particle numbers as text."""
    from cryoscope.cli.results import particle_numbers
    from cryoscope.io.particle_export import write_row_numbers

    if out.suffix.lower() != ".pkl":
        raise InputError("numbers are converted to .pkl", file=out, cure="Name the output so")
    index = particle_numbers(source, _NUMBERS_AT_MOST)
    if len(index) == 0:
        raise InputError("the file has no numbers", file=source, cure="Give one per line")
    write_row_numbers(out, index)
    return f"{len(index):,} particle numbers: {out}"


def _run(source: Path, out: Path, asked: _Asked) -> str:
    """A run of cryoDRGN to a table of latents; one of ours to a table or to a run of cryoDRGN."""
    from cryoscope.io.cryodrgn_run import CryodrgnRun
    from cryoscope.io.run_folder import RunFolder

    if CryodrgnRun.is_one(source):
        return _write_latents(CryodrgnRun.open(source).latents(asked.epoch), out)
    found = RunFolder.open(source).load_latents(asked.epoch)
    if out.suffix:
        return _write_latents(found, out)
    from cryoscope.training.config import config_from_json
    from cryoscope.training.cryodrgn_export import write_cryodrgn_run
    from cryoscope.training.decoding import load_decoder

    folder = RunFolder.open(source)
    decoder = load_decoder(source)
    field = getattr(decoder.model, "field", None)
    if field is None:
        raise InputError(
            "only runs of the volume model can be written for cryoDRGN",
            file=source,
            cure="Write its latents: name the output z.csv or z.pkl",
        )
    settings = config_from_json(folder.config(), file=str(folder.path / "config.json")).volume
    particles = Path(str(folder.info().get("particles", "")))
    metadata = _metadata(particles, asked, needs_box=True)
    write_cryodrgn_run(
        out, field, settings, found, decoder.optics, particles=particles, metadata=metadata
    )
    return f"run of {len(found):,} particles, epoch {found.epoch}: {out}"


def _write_latents(found: Latents, out: Path) -> str:
    from cryoscope.cli.results import write_latents_as
    from cryoscope.io.cryodrgn_files import write_z

    if out.suffix.lower() == ".pkl":
        write_z(out, found.z, found.log_var)
    else:
        write_latents_as(found, out)
    return f"latents of {len(found):,} particles, epoch {found.epoch}: {out}"


def _metadata(source: Path, asked: _Asked, *, needs_box: bool) -> ParticleMetadata:
    """What the particle file says; the box from the option or a stack where it does not say it."""
    from cryoscope.io.particles_file import known_box, read_metadata

    metadata = read_metadata(source, passthrough=asked.passthrough, class_number=asked.class_number)
    if not needs_box or all(group.box_size_px for group in metadata.optics):
        return metadata
    box = asked.box_px or known_box(metadata, source)
    if not box:
        raise InputError(
            "the file does not say the box size of its images, and they are not there",
            file=source,
            cure="Say it, in pixels, with --box-px",
        )
    groups = [o if o.box_size_px else replace(o, box_size_px=box) for o in metadata.optics]
    return replace(metadata, optics=tuple(groups))


def _write_star(out: Path, metadata: ParticleMetadata) -> None:
    from cryoscope.io.relion import write_metadata_star

    write_metadata_star(out, metadata.optics, metadata.ctf, metadata.poses, metadata.image_names)


def _folder(out: Path) -> AbstractContextManager[Path]:
    """A folder that exists, or one that appears when all is written."""
    from cryoscope.io.atomic import atomic_folder

    return nullcontext(out) if out.is_dir() else atomic_folder(out)


_ACTIONS: dict[str, Callable[[Path, Path, _Asked], str]] = {
    ".star": _particles,
    ".cs": _particles,
    ".csg": _particles,
    ".pkl": _pickle,
    ".npz": _latents,
    ".txt": _numbers,
    "folder": _run,
}
