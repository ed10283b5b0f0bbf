"""What the particles can be coloured by and selected by: names, units, values, legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents, Particles, Poses
from cryoscope.session.latent_records import Covariate, CovariateChoice, CovariateKind

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

DENSITY = "density"
BINS, MOST_CATEGORIES, DEFAULT_CLUSTERS = 60, 12, 6
COLOUR_JOB, CLUSTER_JOB = "Colours", "Clusters"
#: Of the landscape: its states, and its components followed by their number.
STATE_COVARIATE, VOLUME_COVARIATE = "landscape_state", "volume_pc"
# Okabe and Ito's, and more that differ in lightness; all stay apart on a dark ground.
CATEGORY_COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7",
    "#0072b2", "#ffffff", "#9a9a9a", "#a65628", "#b3e2cd", "#8f6bd1",
)  # fmt: skip
_IN_NONE, _IN_SEVERAL = "#696e76", "#ffffff"
_NEEDS_LATENTS = "there are no latents yet"
_NEEDS_PARTICLES = "the particle file is not open"
_NEEDS_POSES = "the particles have no poses"
# Values of these change with every epoch.
_OF_THE_LATENTS = ("z", "norm", "uncertainty", "drift", "cluster", "selection")


@dataclass(frozen=True)
class Values:
    """What a maker of a covariate found, in the order of the latents; see :class:`Covariate`."""

    label: str
    unit: str
    values: NDArray[Any]
    kind: CovariateKind = "continuous"
    categories: tuple[str, ...] = ()
    ends: tuple[float, float] | None = None
    colours: tuple[str, ...] = CATEGORY_COLOURS


def covariate_choices(session: Session) -> tuple[CovariateChoice, ...]:
    """What particles can be coloured by, with the reason where that is not possible now."""
    from cryoscope.session.landscape_covariates import landscape_choices

    latents, particles, run = session.snapshot("latents", "particles", "run")
    latent_why = "" if latents is not None else _NEEDS_LATENTS
    file_why = latent_why or ("" if particles is not None else _NEEDS_PARTICLES)
    poses_why = file_why or ("" if particles.has_poses else _NEEDS_POSES)
    drift_why = latent_why or ("" if run is not None else "no run is open")
    spread_why = latent_why or ("" if latents.log_var is not None else "the model gives none")
    named_why = latent_why or ("" if session.selections else "there are no selections yet")
    dims = 0 if latents is None else int(latents.z.shape[1])
    rows = [(DENSITY, "Density", "")]
    rows += [(f"z{i + 1}", f"Latent dimension {i + 1}", "") for i in range(dims)]
    rows += [
        ("norm", "Length of the latent |z|", latent_why),
        ("uncertainty", "Uncertainty of the latent", spread_why),
        ("drift", "Drift between the last two epochs", drift_why),
        ("cluster", "k-means cluster", latent_why),
        ("selection", "Selection", named_why),
        ("defocus", "Defocus", file_why),
        ("tilt", "View: tilt", poses_why),
        ("azimuth", "View: azimuth (rot)", poses_why),
        ("in_plane", "View: in-plane rotation (psi)", poses_why),
        ("half_set", "Half-set", file_why),
        ("optics_group", "Optics group", file_why),
        ("micrograph", "Micrograph", file_why),
        *landscape_choices(session, latent_why),
    ]
    return tuple(CovariateChoice(*row) for row in rows)


def colour_by(session: Session, name: str) -> None:
    """Colour the particles by a covariate of :func:`covariate_choices`; in the background.

    ``"density"`` goes back to the density of particles. The newest choice wins.
    """
    if name == DENSITY:
        session.pool.cancel(COLOUR_JOB)
        session.colouring = None
        return

    def work(job: Job) -> None:
        found = covariate(session, name, job)
        job.check()
        session.colouring = found

    session.pool.submit(COLOUR_JOB, work, key="colour", text=f"Colouring by {name}")


def recolour(session: Session, changed: Literal["latents", "selections"] = "latents") -> None:
    """Bring the colours up to date after new latents or selections, if they depend on them."""
    shown, latents = session.snapshot("colouring", "latents")
    if shown is None or latents is None:
        return
    if changed == "selections" and shown.name != "selection":
        return
    fresh = len(shown.values) == len(latents)
    if fresh and shown.name.rstrip("0123456789") not in _OF_THE_LATENTS:
        return

    def work(job: Job) -> None:
        latest = session.colouring
        if latest is not None:
            found = covariate(session, latest.name, job)
            session.revise(lambda: {"colouring": found} if session.colouring is latest else {})

    session.pool.submit("Colours again", work, key="recolour", quiet=True, cancel_running=False)


def cluster_particles(session: Session, clusters: int = DEFAULT_CLUSTERS) -> None:
    """Group the particles by k-means of their latents, and colour them by group; a job."""

    def work(job: Job) -> None:
        latents = _latents(session)
        labels = _kmeans(latents, clusters, job)
        session.clusters = labels
        session.colouring = covariate(session, "cluster", job)

    session.pool.submit(
        CLUSTER_JOB, work, key="colour", text=f"k-means of the latents into {clusters} clusters"
    )


def covariate(session: Session, name: str, job: Job | None = None) -> Covariate:
    """A covariate with its colours and histogram; may read files, so for jobs.

    Raises
    ------
    InputError
        If there is no such covariate, or what it needs is not there.
    """
    from cryoscope.session.landscape_covariates import landscape_values

    choices = {choice.name: choice for choice in covariate_choices(session)}
    if name not in choices or name == DENSITY:
        raise InputError(
            f"there is no covariate {name!r}", cure=f"Choose one of {', '.join(choices)}."
        )
    if choices[name].why_not:
        raise InputError(
            f"no values of {choices[name].label!r}: {choices[name].why_not}",
            cure="Open what is missing first.",
        )
    latents = _latents(session)
    if name.startswith("z") and name[1:].isdigit():
        column = latents.z[:, int(name[1:]) - 1]
        return _dressed(name, Values(choices[name].label, "", column))
    if name.startswith((STATE_COVARIATE, VOLUME_COVARIATE)):
        return _dressed(name, landscape_values(session, latents, name))
    return _dressed(name, _MAKERS[name](session, latents, job))


def covariate_mask(found: Covariate, low: float | None, high: float | None) -> NDArray[np.bool_]:
    """(N,) True where the value lies in ``low..high``, ends included; None is no end."""
    values = found.values
    mask = np.isfinite(values)
    # numpy would round a Python number to the precision of the values.
    if low is not None:
        mask &= values >= np.float64(low)
    if high is not None:
        mask &= values <= np.float64(high)
    return mask


# One maker per covariate


def _norm(session: Session, latents: Latents, job: Job | None) -> Values:
    return Values("Length of the latent |z|", "", np.linalg.norm(latents.z, axis=1))


def _uncertainty(session: Session, latents: Latents, job: Job | None) -> Values:
    assert latents.log_var is not None
    spread = np.exp(0.5 * latents.log_var).mean(axis=1)
    return Values("Uncertainty: mean standard deviation of z", "", spread)


def _drift(session: Session, latents: Latents, job: Job | None) -> Values:
    from cryoscope.io.run_folder import RunFolder

    run = session.run
    assert run is not None
    folder = RunFolder(run.folder)
    epochs = folder.latent_epochs()[-2:]
    if len(epochs) < 2:
        raise InputError(
            "the run has latents of fewer than two epochs", cure="Train for another epoch."
        )
    before, after = (folder.load_latents(epoch) for epoch in epochs)
    if before.z.shape != after.z.shape or len(after) != len(latents):
        raise InputError("the last two epochs are not of the same particles")
    moved = np.linalg.norm(after.z - before.z, axis=1)
    return Values(f"Drift of z from epoch {epochs[0]} to {epochs[1]}", "", moved)


def _cluster(session: Session, latents: Latents, job: Job | None) -> Values:
    labels = session.clusters
    if labels is None or len(labels) != len(latents):
        labels = _kmeans(latents, DEFAULT_CLUSTERS, job)
        session.clusters = labels
    names = tuple(f"cluster {i + 1}" for i in range(int(labels.max(initial=-1)) + 1))
    values = np.where(labels >= 0, labels, np.nan)
    if len(names) > MOST_CATEGORIES:
        return Values("Cluster", "number", values + 1)
    return Values("Cluster", "", values, "discrete", names)


def _kmeans(latents: Latents, clusters: int, job: Job | None) -> NDArray[np.int64]:
    from cryoscope.analysis.cluster import cluster_latents

    def stop() -> bool:
        return job is not None and job.cancelled

    found = cluster_latents(latents.z, "kmeans", clusters, should_stop=stop)
    return found.labels


def _selection(session: Session, latents: Latents, job: Job | None) -> Values:
    chosen = [one for one in session.selections if len(one.mask) == len(latents)]
    chosen = chosen[: MOST_CATEGORIES - 2]
    held = np.zeros(len(latents), dtype=np.int64)
    values = np.zeros(len(latents))
    for number, one in enumerate(chosen, start=1):
        held += one.mask
        values[one.mask] = number
    values[held > 1] = len(chosen) + 1
    names = ("in none", *(one.name for one in chosen), "in several")
    colours = (_IN_NONE, *(one.colour for one in chosen), _IN_SEVERAL)
    return Values("Selection", "", values, "discrete", names, colours=colours)


def _defocus(session: Session, latents: Latents, job: Job | None) -> Values:
    particles, row = _particles(session, latents)
    mean_A = (particles.ctf.defocus_u_A + particles.ctf.defocus_v_A) / 2
    return Values("Defocus", "µm", _gathered(mean_A / 1e4, row))


def view_angles_deg(poses: Poses) -> tuple[NDArray[np.float64], ...]:
    """Azimuth (rot), tilt and in-plane angle (psi) of N views, by convention 4, in degrees.

    Where the tilt is 0 or 180 only one of the other two is defined: the azimuth is then 0.
    """
    r = np.asarray(poses.rotation, dtype=np.float64)
    sine = np.hypot(r[:, 2, 0], r[:, 2, 1])
    tilt = np.arctan2(sine, r[:, 2, 2])
    upright = sine < 1e-7
    azimuth = np.where(upright, 0.0, np.arctan2(r[:, 2, 1], r[:, 2, 0]))
    alone = np.arctan2(r[:, 0, 1], r[:, 1, 1])
    psi = np.where(upright, alone, np.arctan2(r[:, 1, 2], -r[:, 0, 2]))
    return np.rad2deg(azimuth), np.rad2deg(tilt), np.rad2deg(psi)


def _view(which: int, label: str) -> Callable[[Session, Latents, Job | None], Values]:
    def make(session: Session, latents: Latents, job: Job | None) -> Values:
        particles, row = _particles(session, latents)
        assert particles.poses is not None
        angles = _gathered(view_angles_deg(particles.poses)[which], row)
        if which == 1:
            return Values(label, "°", angles, "continuous", ends=(0.0, 180.0))
        return Values(label, "°", angles, "cyclic", ends=(-180.0, 180.0))

    return make


def _half_set(session: Session, latents: Latents, job: Job | None) -> Values:
    particles, row = _particles(session, latents)
    values = _gathered(particles.half_set.astype(np.float64) - 1, row)
    return Values("Half-set", "", values, "discrete", ("half 1", "half 2"))


def _optics_group(session: Session, latents: Latents, job: Job | None) -> Values:
    particles, row = _particles(session, latents)
    names = [optics.name for optics in particles.optics]
    return _categories("Optics group", names, _gathered(particles.ctf.optics_group, row))


def _micrograph(session: Session, latents: Latents, job: Job | None) -> Values:
    from cryoscope.io.micrographs import micrograph_names

    particles, row = _particles(session, latents)
    names, number = np.unique(micrograph_names(particles.source), return_inverse=True)
    return _categories("Micrograph", names.tolist(), _gathered(number.reshape(-1), row))


_MAKERS: dict[str, Callable[[Any, Latents, Any], Values]] = {
    "norm": _norm,
    "uncertainty": _uncertainty,
    "drift": _drift,
    "cluster": _cluster,
    "selection": _selection,
    "defocus": _defocus,
    "azimuth": _view(0, "View: azimuth (rot)"),
    "tilt": _view(1, "View: tilt"),
    "in_plane": _view(2, "View: in-plane rotation (psi)"),
    "half_set": _half_set,
    "optics_group": _optics_group,
    "micrograph": _micrograph,
}


def _categories(label: str, names: Sequence[str], values: NDArray[np.float64]) -> Values:
    """A discrete covariate, or the running number where there are too many names for colours."""
    if len(names) <= MOST_CATEGORIES:
        return Values(label, "", values, "discrete", tuple(names))
    return Values(f"{label}, in order of name", f"number of {len(names):,}", values + 1)


def _latents(session: Session) -> Latents:
    if session.latents is None:
        raise InputError(_NEEDS_LATENTS, cure="Train, or open a run folder, first.")
    return session.latents


def _particles(session: Session, latents: Latents) -> tuple[Particles, NDArray[np.int64] | None]:
    """The particles, and the row among them of each latent (-1 none); None if the same order."""
    if session.particles is None:
        raise InputError(_NEEDS_PARTICLES, cure="Open the run's .star or .cs file.")
    record: Particles = session.particles.record
    if np.array_equal(record.uid, latents.uid):
        return record, None
    order = np.argsort(record.uid)
    place = np.searchsorted(record.uid[order], latents.uid).clip(0, max(len(order) - 1, 0))
    row = order[place]
    known = record.uid[row] == latents.uid
    if not known.any():
        raise InputError("the open particles are not those of the run", cure="Open the run's.")
    return record, np.where(known, row, -1)


def _gathered(values: NDArray[Any], row: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Values of the particles in the order of the latents; NaN for those not found."""
    values = np.asarray(values, dtype=np.float64)
    return values if row is None else np.where(row >= 0, values[row], np.nan)


def _dressed(name: str, found: Values) -> Covariate:
    """With colours and histogram."""
    from cryoscope.analysis.raster import lookup_table

    values = np.asarray(found.values, dtype=np.float32)
    known = values[np.isfinite(values)]
    if found.kind == "discrete":
        count = len(found.categories)
        table = np.array([_rgb(colour) for colour in found.colours[:count]], dtype=np.uint8)
        counts = np.bincount(known.astype(np.int64), minlength=count)
        edges = np.arange(count + 1) - 0.5
        ends = (0.0, float(max(count - 1, 1)))
    else:
        table = lookup_table("turn" if found.kind == "cyclic" else "sea")
        ends = _ends(known) if found.ends is None else found.ends
        edges = np.linspace(*ends, BINS + 1)
        # What lies beyond the ends is counted in the outer bins, as its colour is theirs.
        counts = np.histogram(np.clip(known.astype(np.float64), *ends), edges)[0]
    return Covariate(
        name, found.label, found.unit, values, found.kind, found.categories, table, ends,
        edges.astype(np.float64), counts.astype(np.int64),
    )  # fmt: skip


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    """Ends of the colours: all values, unless few of them lie far out."""
    if len(values) == 0:
        return 0.0, 1.0
    step = max(1, len(values) // 200_000)
    low, high = (float(one) for one in np.percentile(values[::step], (0.5, 99.5)))
    least, most = float(values.min()), float(values.max())
    room = 0.25 * (high - low)
    low, high = max(least, low - room), min(most, high + room)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
