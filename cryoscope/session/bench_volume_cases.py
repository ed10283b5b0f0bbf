"""What ``cryoscope bench volume`` runs: Zhong's sets (thesis, chapters 3 and 4), cases and goals.

Every case runs once with our ``cryodrgn`` preset and once with cryoDRGN itself (``NAME/cryodrgn``),
where an interpreter that has it is given: same images, networks, batches, rate, epochs and threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from cryoscope.session.bench_goals import BenchCase, Goal, Options, cases_named
from cryoscope.simulation.composition import Composition

Measure = Literal["motion", "states", "speed"]
Program = Literal["cryoscope", "cryodrgn"]


@dataclass(frozen=True)
class Scale:
    """How large a bench is.

    ``width`` is that of all ``layers`` hidden layers after the first; ``sampled`` the number of
    particles whose map is decoded and compared, ``oracle_particles`` the number of those that the
    oracle looks at.
    """

    particles: int
    box_px: int
    pixel_size_A: float
    width: int
    layers: int
    epochs: int
    batch_size: int
    learning_rate: float
    sampled: int
    oracle_particles: int = 1_000


#: Small networks need larger steps than the published 1e-4 to get anywhere in so few of them.
SCALES = {
    "full": Scale(50_000, 64, 1.8, 256, 3, 20, 16, 3e-4, 100),
    "cpu": Scale(5_000, 48, 2.4, 128, 3, 12, 16, 1e-3, 50),
    "smoke": Scale(240, 24, 4.8, 32, 2, 2, 16, 1e-3, 6, 60),
}
#: The speed case has networks of a size that is used, and only as many images as it takes.
SPEED = {
    "full": Scale(4_000, 128, 0.9, 1024, 3, 2, 16, 1e-4, 0),
    "cpu": Scale(480, 64, 1.8, 256, 3, 3, 16, 1e-4, 0),
    "smoke": Scale(64, 24, 4.8, 32, 2, 2, 16, 1e-4, 0),
}
#: States are told apart image by image, which takes longer than to find the motion they lie on.
STATES_EPOCHS = {"cpu": 40}


@dataclass(frozen=True)
class VolumeSet:
    """One simulated set: settings of ``SimulationConfig`` on top of the scale's and of COMMON."""

    name: str
    settings: Options


#: Open adenylate kinase; the envelope of the images is the thesis' exp(-B k^2 / 4) of 100 A^2.
COMMON: dict[str, Any] = {"snr": 0.1, "b_factor_A2": 100.0, "shift_px": 1.0}
#: All but the first 29 residues swing by 25 A (RMS over all CA) and hit nothing: so much that one
#: map for all particles is blurred to 9 A.
_SWING = {"motion": "hinges", "hinges": ("A:29",), "angles_deg": (-90.0,), "frames": 50}
#: One half goes round the other; on the way round they pass through each other.
_ROUND = {"motion": "circle", "hinges": ("A:105",)}
_MIXTURE = (
    Composition("whole", 4.0),
    Composition("no lid", 3.0, ("A:122-159",)),
    Composition("no NMP domain", 2.0, ("A:30-59",)),
    Composition("core", 1.0, ("A:122-159", "A:30-59")),
)
DATA_SETS = {
    data.name: data
    for data in (
        VolumeSet("uniform", {**_SWING, "seed": 1}),
        VolumeSet("cooperative", {**_SWING, "distribution": "cooperative", "seed": 2}),
        VolumeSet("noncontiguous", {**_SWING, "distribution": "noncontiguous", "seed": 3}),
        VolumeSet(
            "plane",
            {
                "motion": "hinges", "hinges": ("A:29", "A:161"), "angles_deg": (-60.0, 60.0),
                "frames": 10, "seed": 4,
            },
        ),
        VolumeSet("circle", {**_ROUND, "frames": 50, "seed": 5}),
        VolumeSet(
            "ten-states",
            {**_ROUND, "frames": 10, "distribution": "discrete", "states": 10, "seed": 6},
        ),
        VolumeSet("mixture", {"compositions": _MIXTURE, "seed": 7}),
        VolumeSet("speed", {**_SWING, "seed": 8}),
    )
}  # fmt: skip


@dataclass(frozen=True)
class VolumeCase(BenchCase):
    """One training run.

    ``measure``: what is asked of the latents; ``zdim``: their dimension; ``program``: who trains.
    """

    measure: Measure = "motion"
    zdim: int = 1
    program: Program = "cryoscope"


def peer_of(case: VolumeCase) -> VolumeCase:
    """The same, trained by cryoDRGN: its figures are shown and must reach nothing."""
    goals = tuple(dict.fromkeys(Goal(goal.figure) for goal in case.goals))
    return VolumeCase(
        f"{case.name}/cryodrgn", case.group, case.data, "cryoDRGN", goals,
        measure=case.measure, zdim=case.zdim, program="cryodrgn",
    )  # fmt: skip


def _case(
    name: str, group: str, data: str, zdim: int, measure: Measure, *goals: Goal
) -> VolumeCase:
    """Ours; the weight of the KL divergence is cryoDRGN's, one over the dimension."""
    options = {"latent.dim": zdim, "loss.kl_weight": 1.0 / zdim}
    if measure != "speed":
        goals = (*goals, _AGREEMENT)
    return VolumeCase(name, group, data, "cryodrgn", goals, options, measure=measure, zdim=zdim)


def _not_worse(name: str) -> Goal:
    return Goal("resolution_A", "<=", case=f"{name}/cryodrgn")


def _longer(name: str, data: str, goal: Goal) -> VolumeCase:
    """To the end of a falling rate: places within a crowd of particles are learned late."""
    case = _case(name, "1d", data, 1, "motion", _SHOWN, goal)
    falling = {"optimiser.epochs": 30, "optimiser.final_learning_rate": 1e-5}
    return replace(case, options={**case.options, **falling})


_SHOWN = Goal("resolution_A")
_AGREEMENT = Goal("fsc_mean")
CASES: tuple[VolumeCase, ...] = (
    _case("uniform-1d", "1d", "uniform", 1, "motion",
          _not_worse("uniform-1d"), Goal("spearman", ">=", 0.98)),
    _case("cooperative-1d", "1d", "cooperative", 1, "motion",
          _not_worse("cooperative-1d"), Goal("spearman")),
    _longer("cooperative-1d-longer", "cooperative", Goal("spearman", ">=", 0.98)),
    _longer("noncontiguous-1d", "noncontiguous", Goal("spearman", ">=", 0.97)),
    _case("linear-2d", "2d", "plane", 2, "motion", _SHOWN, Goal("coordinate_r2")),
    _case("circle", "2d", "circle", 2, "motion", _SHOWN, Goal("coordinate_r2")),
    _case("discrete-10", "states", "ten-states", 8, "states", _SHOWN, Goal("ari", ">=", 0.95)),
    _case("compositional", "states", "mixture", 8, "states", _SHOWN, Goal("ari", ">=", 0.95)),
    _case("speed", "speed", "speed", 8, "speed",
          Goal("images_per_s", ">=", factor=2.0, case="speed/cryodrgn")),
)  # fmt: skip


def chosen_cases(names: str, scale: str, *, with_peer: bool) -> tuple[VolumeCase, ...]:
    """The cases named, each followed by cryoDRGN's.

    On the CPU, where it takes most of the time, cryoDRGN only trains where a goal is set by it.

    Raises
    ------
    InputError
        For a name that is neither a case nor a group.
    """
    chosen: list[VolumeCase] = []
    for own in cases_named(CASES, names):
        peer = peer_of(own)
        compared = any(goal.case == peer.name for goal in own.goals)
        chosen += [own, peer] if with_peer and (compared or scale == "full") else [own]
    return tuple(chosen)


def scale_of(case: VolumeCase, scale: str) -> Scale:
    """How large a case is."""
    if case.measure == "speed":
        return SPEED[scale]
    chosen = SCALES[scale]
    if case.measure == "states":
        return replace(chosen, epochs=STATES_EPOCHS.get(scale, chosen.epochs))
    return chosen
