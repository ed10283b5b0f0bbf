"""``cryoscope latents``, ``export`` and ``import-selection``: what a run knows of its particles."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoscope.data import InputError, Latents, Particles, Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoscope.io.run_folder import RunFolder
    from cryoscope.session.particle_columns import Known

_INDEX_FILE_LIMIT_BYTES = 1 << 30


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("latents")(latents)
    app.command("export")(export)
    app.command("import-selection")(import_selection)


def latents(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Table to write: .npz, .csv or .parquet")
    ],
    epoch: Annotated[
        int | None, typer.Option(help="Latents of this epoch \\[default: the newest]")
    ] = None,
    covariates: Annotated[
        bool,
        typer.Option(
            "--covariates",
            help="Add what the particle file says (defocus, view, half-set), and a column of 0 and"
            " 1 per selection",
        ),
    ] = False,
) -> None:
    """Write the latent coordinates of all particles.

    One row per particle in the order of the input file: its name, its latent coordinates z1, z2...
    (no unit), and its first two principal components.
    """
    from cryoscope.io.run_folder import RunFolder

    folder = RunFolder.open(run)
    found = folder.load_latents(epoch)
    if covariates:
        from cryoscope.session.exporting import write_table
        from cryoscope.session.particle_columns import Known

        known = Known(found, None, tuple(folder.load_selections()))
        write_table(run_particles(folder), known, out)
    else:
        write_latents_as(found, out)
    print(f"latents of {len(found):,} particles, epoch {found.epoch}: {out}")


def write_latents_as(found: Latents, out: Path) -> None:
    """Write latents in the form that the suffix of ``out`` names.

    Raises
    ------
    InputError
        If the suffix is not .npz, .csv or .parquet, or the file cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix == ".npz":
        from cryoscope.io.latents_file import write_latents

        write_latents(out, found)
    elif suffix in (".csv", ".parquet"):
        from cryoscope.io.particle_tables import NAME_COLUMN, write_particle_table
        from cryoscope.session.particle_columns import Known, table_columns

        columns = table_columns(Known(found), found.uid, None, with_selections=False)
        write_particle_table(out, {NAME_COLUMN: found.uid, **columns})
    else:
        raise InputError(
            f"latents cannot be written as {suffix or 'a file without suffix'}",
            file=out,
            cure="Name it .npz, .csv or .parquet",
        )


_NUMBERS = (".txt", ".pkl")
_ALL = "all"


def export(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    selection: Annotated[
        str,
        typer.Option(
            help="Name of a selection made in the window; all; or a file of 0-based particle"
            " numbers (.txt one per line, .npy numbers or mask, .pkl of cryoDRGN)"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help=".star or .cs (rows of your file); .txt or .pkl (particle numbers, for cryoDRGN);"
            " .csv or .parquet (table); .json (the selection)",
        ),
    ],
    particles: Annotated[
        Path | None,
        typer.Option(help="Particle file, if it has moved since the run was started"),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help=".star: add columns behind yours, any of z,cluster,selection (cluster: k-means"
            " into 6, as in the window)"
        ),
    ] = "",
) -> None:
    """Carry a selection of particles back to RELION, cryoSPARC or cryoDRGN.

    A .star or .cs file holds the rows of your own particle file, unchanged, so that every column
    is kept; .pkl is what cryoDRGN takes with --ind. Every export but .json has a record beside it:
    of which file, how many rows, in which order, with hashes. `cryoscope import-selection` reads
    any of them back.
    """
    from cryoscope.io.particle_export import EXPORTED_SUFFIXES
    from cryoscope.io.run_folder import RunFolder

    folder, kind = RunFolder.open(run), out.suffix.lower()
    chosen = find_selection(folder, selection)
    if len(chosen) == 0:
        raise InputError("the selection is empty", file=run, cure="Choose another selection")
    if kind not in EXPORTED_SUFFIXES:
        raise InputError(
            "particles are not exported as that kind of file",
            file=out,
            cure=f"Choose one of {', '.join(EXPORTED_SUFFIXES)}",
        )
    if kind in _NUMBERS:
        _export_numbers(folder, chosen, out)
        print(f"{len(chosen):,} of {len(chosen.mask):,} particles: {out}")
        return
    from cryoscope.session.exporting import write_selection

    wanted = [word.strip() for word in columns.split(",") if word.strip()]
    known = _known(folder, with_clusters="cluster" in wanted)
    source = run_particles(folder, particles)
    print(write_selection(source, chosen, known, out, wanted).words())


def _export_numbers(folder: RunFolder, chosen: Selection, out: Path) -> None:
    """Numbers alone: the particle file need not be there."""
    from cryoscope.io.export_record import write_record
    from cryoscope.io.particle_export import write_row_numbers

    row, uid = chosen.mask.nonzero()[0], folder.load_latents().uid
    write_row_numbers(out, row)
    named = Path(str(folder.info().get("particles", "")))
    write_record(out, named, uid, row, row, list_names=True)


def _known(folder: RunFolder, *, with_clusters: bool) -> Known:
    from cryoscope.session.particle_columns import Known

    latents, clusters = folder.load_latents(), None
    if with_clusters:
        from cryoscope.analysis.cluster import cluster_latents
        from cryoscope.session.covariates import DEFAULT_CLUSTERS

        clusters = cluster_latents(latents.z, "kmeans", DEFAULT_CLUSTERS).labels
    return Known(latents, clusters, tuple(folder.load_selections()))


def import_selection(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Any export, of Cryoscope or another program: .star, .cs, .pkl, .txt, .npy, .json,"
            " .csv, .parquet",
            metavar="FILE",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Which selection of a file of several \\[default: all]")
    ] = None,
    called: Annotated[
        str, typer.Option("--as", help="Name of the selection in the run \\[default: its own]")
    ] = "",
    particles: Annotated[
        Path | None,
        typer.Option(help="Particle file, if it has moved since the run was started"),
    ] = None,
) -> None:
    """Bring a selection back into a run from a file: exactly the particles that were meant.

    They are found by the names of particles and images, never by order alone. A file that means
    particles of another set is refused with its first row that differs.
    """
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.session.importing import read_imported, with_imported

    folder = RunFolder.open(run)
    found = read_imported(run_particles(folder, particles), folder.load_latents(), file, name)
    old = folder.load_selections()
    new = with_imported(old, found, called)
    folder.save_selections(new)
    for one in new[len(old) :]:
        print(f"{one.name}: {len(one):,} of {len(one.mask):,} particles")


def run_particles(folder: RunFolder, file: Path | None = None) -> Particles:
    """The particles that a run was trained on, from ``file`` where they have moved."""
    from cryoscope.training.config import config_from_json
    from cryoscope.training.given_particles import read_given_particles

    named = file or Path(str(folder.info().get("particles", "")))
    if not named.is_file():
        raise InputError(
            "the run's particle file is not there any more",
            file=named,
            cure="Say where it is now with --particles",
        )
    config = config_from_json(folder.config(), file=str(folder.path / "config.json"))
    return read_given_particles(config.data, named)


def find_selection(folder: RunFolder, name: str) -> Selection:
    """A selection by its name in the run, or from a file of particle numbers.

    Raises
    ------
    InputError
        If there is neither, or the file does not hold numbers of this run's particles.
    """
    saved = folder.load_selections()
    for selection in saved:
        if selection.name == name:
            return selection
    if name == _ALL:
        import numpy as np

        return Selection(_ALL, np.ones(int(folder.info().get("particle_count", 0)), dtype=bool))
    if not Path(name).is_file():
        names = ", ".join(repr(selection.name) for selection in saved) or "none"
        raise InputError(
            f"the run has no selection {name!r}, and there is no such file",
            file=folder.path,
            cure=f"Selections of the run: {names}",
        )
    return _selection_of_file(folder, Path(name))


def _selection_of_file(folder: RunFolder, file: Path) -> Selection:
    """By the names of the particles; by their numbers only where nothing else is known of them."""
    import numpy as np

    if file.suffix.lower() not in (*_NUMBERS, ".npy"):
        from cryoscope.session.importing import read_imported

        found = read_imported(run_particles(folder), folder.load_latents(), file, None)
        if len(found) > 1:
            names = ", ".join(repr(one.name) for one in found[:8])
            problem = f"the file holds {len(found)} selections: {names}"
            raise InputError(problem, file=file, cure="Bring them in with import-selection first")
        return found[0]
    from cryoscope.io.export_record import read_record

    count = int(folder.info().get("particle_count", 0))
    number, record = particle_numbers(file, count), read_record(file)
    if record is not None and record.uid is not None:
        from cryoscope.session.particle_columns import places_among

        number = places_among(folder.load_latents().uid, record.uid)
        if (number < 0).any():
            row = int(np.flatnonzero(number < 0)[0])
            raise InputError(
                f"{record.uid[row]} is not among the particles of the run",
                file=file,
                row=row + 1,
                cure="Give the run that was trained on these particles",
            )
    mask = np.zeros(count, dtype=bool)
    mask[number] = True
    return Selection(file.stem, mask)


def particle_numbers(file: Path, count: int) -> NDArray[np.int64]:
    """0-based particle numbers in the order of a file (.txt, .npy, .pkl); a mask gives its rows.

    Raises
    ------
    InputError
        If the file does not hold numbers of ``count`` particles.
    """
    import numpy as np

    from cryoscope.io.atomic import explain_os_errors
    from cryoscope.io.cryosparc_table import HEADER_ERRORS

    if file.suffix.lower() == ".pkl":
        from cryoscope.io.cryodrgn_files import read_indices

        return read_indices(file, count)
    cure = f"Give whole numbers from 0 to {count - 1}, one per line"
    with explain_os_errors(file, action="read"):
        if file.stat().st_size > _INDEX_FILE_LIMIT_BYTES:
            raise InputError("the file is too large for particle numbers", file=file, cure=cure)
        try:
            if file.suffix.lower() == ".npy":
                # Mapped: a header that promises more than the file holds is refused.
                values = np.array(np.lib.format.open_memmap(file, mode="r"))
            else:
                with warnings.catch_warnings(action="ignore"):  # numpy's, about an empty file
                    values = np.loadtxt(file, dtype=np.float64, ndmin=1)
        except HEADER_ERRORS as error:
            raise InputError("the file does not hold numbers", file=file, cure=cure) from error
    if values.dtype == bool and values.shape == (count,):
        return np.flatnonzero(values).astype(np.int64)
    whole = values.ndim == 1 and values.dtype.kind in "iuf" and (values == np.floor(values)).all()
    if not whole:
        raise InputError("these are not particle numbers", file=file, cure=cure)
    outside = np.flatnonzero((values < 0) | (values >= count))
    if len(outside):
        row = int(outside[0])
        problem = f"there is no particle {values[row]:.0f} in a run of {count:,}"
        raise InputError(problem, file=file, row=row + 1, cure=cure)
    return np.asarray(values.astype(np.int64))
