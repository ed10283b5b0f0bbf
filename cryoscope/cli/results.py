"""``cryoscope latents`` and ``cryoscope export``: what a run knows about the particles."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryoscope.data import InputError, Latents, Particles, Selection

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cryoscope.io.run_folder import RunFolder

_INDEX_FILE_LIMIT_BYTES = 1 << 30


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("latents")(latents)
    app.command("export")(export)


def latents(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Table to write: .npz, .csv or .parquet")
    ],
    epoch: Annotated[
        int | None, typer.Option(help="Latents of this epoch \\[default: the newest]")
    ] = None,
) -> None:
    """Write the latent coordinates of all particles.

    One row per particle in the order of the input file: its name, its latent coordinates z1, z2...
    (no unit), and its first two principal components.
    """
    from cryoscope.io.run_folder import RunFolder

    folder = RunFolder.open(run)
    found = folder.load_latents(epoch)
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
        _write_table(latent_table(found), out)
    else:
        raise InputError(
            f"latents cannot be written as {suffix or 'a file without suffix'}",
            file=out,
            cure="Name it .npz, .csv or .parquet",
        )


def latent_table(found: Latents) -> pd.DataFrame:
    """Latents as a table with columns particle, z1..zd, PC1, PC2."""
    import pandas as pd

    from cryoscope.analysis.reduce import pca_embedding

    columns: dict[str, NDArray[Any]] = {"particle": found.uid}
    columns |= {f"z{i + 1}": found.z[:, i] for i in range(found.z.shape[1])}
    xy = pca_embedding(found.z).xy
    return pd.DataFrame({**columns, "PC1": xy[:, 0], "PC2": xy[:, 1]})


def _write_table(table: pd.DataFrame, out: Path) -> None:
    from cryoscope.io.atomic import atomic_path

    with atomic_path(out) as temporary:
        if out.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False, float_format="%.7g")
            return
        try:
            table.to_parquet(temporary, index=False)
        except ImportError as error:
            raise InputError(
                "writing .parquet needs the package pyarrow",
                file=out,
                cure="Install it with: pip install pyarrow; or write .csv",
            ) from error


_EXPORTS = (".star", ".cs", ".txt", ".pkl")


def export(
    run: Annotated[Path, typer.Argument(help="Run folder", metavar="RUN")],
    selection: Annotated[
        str,
        typer.Option(
            help="Name of a selection made in the window, or a file of 0-based particle numbers"
            " (.txt one per line, .npy numbers or mask, .pkl of cryoDRGN)"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help=".star or .cs (rows of your file), or particle numbers as .txt or .pkl (cryoDRGN)",
        ),
    ],
    particles: Annotated[
        Path | None,
        typer.Option(help="Particle file, if it has moved since the run was started"),
    ] = None,
) -> None:
    """Carry a selection of particles back to RELION, cryoSPARC or cryoDRGN.

    A .star or .cs file holds the rows of your own particle file, unchanged, so that every column
    is kept; .pkl is what cryoDRGN takes with --ind.
    """
    from cryoscope.io.run_folder import RunFolder

    folder = RunFolder.open(run)
    chosen = find_selection(folder, selection)
    if len(chosen) == 0:
        raise InputError("the selection is empty", file=run, cure="Choose another selection")
    if out.suffix.lower() not in _EXPORTS:
        raise InputError(
            "particles are not exported as that kind of file",
            file=out,
            cure=f"Choose one of {', '.join(_EXPORTS)}",
        )
    if out.suffix.lower() in (".txt", ".pkl"):
        from cryoscope.io.export_record import write_record
        from cryoscope.io.particles_file import write_row_numbers

        row, uid = chosen.mask.nonzero()[0], folder.load_latents().uid
        write_row_numbers(out, row)
        named = Path(str(folder.info().get("particles", "")))
        write_record(out, named, uid, row, row, list_names=True)
    else:
        from cryoscope.session.exporting import write_selection

        source = run_particles(folder, particles)
        write_selection(source, chosen, folder.load_latents(), out)
    print(f"{len(chosen):,} of {len(chosen.mask):,} particles: {out}")


def run_particles(folder: RunFolder, file: Path | None = None) -> Particles:
    """The particles that a run was trained on, from ``file`` where they have moved."""
    from cryoscope.io.particles_file import read_any

    named = file or Path(str(folder.info().get("particles", "")))
    if not named.is_file():
        raise InputError(
            "the run's particle file is not there any more",
            file=named,
            cure="Say where it is now with --particles",
        )
    return read_any(named)


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
    if not Path(name).is_file():
        names = ", ".join(repr(selection.name) for selection in saved) or "none"
        raise InputError(
            f"the run has no selection {name!r}, and there is no such file",
            file=folder.path,
            cure=f"Selections of the run: {names}",
        )
    count = int(folder.info().get("particle_count", 0))
    return Selection(Path(name).stem, _mask_from_file(Path(name), count))


def _mask_from_file(file: Path, count: int) -> NDArray[np.bool_]:
    """(count,) mask from a file of 0-based particle numbers, or a mask saved as .npy."""
    import numpy as np

    mask = np.zeros(count, dtype=bool)
    mask[particle_numbers(file, count)] = True
    return mask


def particle_numbers(file: Path, count: int) -> NDArray[np.int64]:
    """0-based particle numbers in the order of a file (.txt, .npy, .pkl); a mask gives its rows.

    Raises
    ------
    InputError
        If the file does not hold numbers of ``count`` particles.
    """
    import numpy as np

    from cryoscope.io.atomic import explain_os_errors

    if file.suffix.lower() == ".pkl":
        from cryoscope.io.cryodrgn_files import read_indices

        return read_indices(file, count)
    cure = f"Give whole numbers from 0 to {count - 1}, one per line"
    with explain_os_errors(file, action="read"):
        if file.stat().st_size > _INDEX_FILE_LIMIT_BYTES:
            raise InputError("the file is too large for particle numbers", file=file, cure=cure)
        try:
            if file.suffix.lower() == ".npy":
                values = np.load(file, allow_pickle=False)
            else:
                with warnings.catch_warnings(action="ignore"):  # numpy's, about an empty file
                    values = np.loadtxt(file, dtype=np.float64, ndmin=1)
        except ValueError as error:
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
