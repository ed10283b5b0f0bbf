"""Latents that follow the viewing direction or the defocus are told from those that do not."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from cryoscope.analysis.association import angle_functions, associations, view_functions
from cryoscope.analysis.views import view_directions

COUNT = 2000
RNG = np.random.default_rng(0)
DIRECTION = view_directions(Rotation.random(COUNT, random_state=0).as_matrix())
DEFOCUS_A = RNG.uniform(5e3, 3e4, COUNT)
TURN = RNG.uniform(-np.pi, np.pi, COUNT)
COVARIATES = {
    "viewing direction": view_functions(DIRECTION),
    "angle": angle_functions(TURN),
    "defocus": DEFOCUS_A,
}


def test_what_follows_is_found_and_nothing_else() -> None:
    noise = RNG.normal(size=(3, COUNT))
    scores = {
        "PC1": DIRECTION[:, 0] ** 2 + 0.2 * noise[0],  # even: the opposite view is the same
        "PC2": np.log(DEFOCUS_A) + 0.3 * noise[1],
        "PC3": noise[2],
    }
    found = associations(scores, COVARIATES)
    assert len(found) == 9
    assert [one.strength for one in found] == sorted((a.strength for a in found), reverse=True)
    following = {(one.axis, one.covariate) for one in found if one.follows}
    assert following == {("PC1", "viewing direction"), ("PC2", "defocus")}


def test_an_angle_is_found_although_it_has_no_order() -> None:
    scores = {"PC1": np.cos(2 * TURN) + 0.3 * RNG.normal(size=COUNT)}
    (strongest, *_) = associations(scores, COVARIATES)
    assert strongest.covariate == "angle"
    assert strongest.follows


def test_chance_alone_is_no_warning() -> None:
    warned = 0
    for seed in range(20):
        scores = {"PC1": np.random.default_rng(100 + seed).normal(size=300)}
        few = {name: values[:300] for name, values in COVARIATES.items()}
        warned += any(one.follows for one in associations(scores, few, seed=seed))
    assert warned <= 2


def test_what_does_not_vary_or_is_unknown_is_left_out() -> None:
    scores = {"PC1": np.where(np.arange(COUNT) < 40, RNG.normal(size=COUNT), np.nan)}
    found = associations(scores, {**COVARIATES, "defocus": np.full(COUNT, 1e4)})
    assert {one.covariate for one in found} == {"viewing direction", "angle"}
    assert associations({"PC1": np.full(COUNT, np.nan)}, COVARIATES) == ()
    assert associations({}, COVARIATES) == ()
    still = np.tile([0.0, 0.0, 1.0], (COUNT, 1))
    assert associations({"PC1": TURN}, {"view": view_functions(still)}) == ()
