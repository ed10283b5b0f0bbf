"""Latents on disk: all comes back, and arrays that do not belong together are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscope.data import InputError, Latents
from cryoscope.io.latents_file import read_latents, write_latents

Arrays = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    z = np.arange(6, dtype=np.float32).reshape(3, 2)
    uid = np.array(["000001@a.mrcs", "ä", "z"])
    write_latents(tmp_path / "z.npz", Latents(z, z - 1, uid, "run", 7, z + 2))
    return tmp_path / "z.npz"


def test_everything_comes_back(file: Path) -> None:
    found = read_latents(file)
    z = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(found.z, z)
    np.testing.assert_array_equal(found.log_var, z - 1)
    np.testing.assert_array_equal(found.shift_A, z + 2)
    assert found.uid.tolist() == ["000001@a.mrcs", "ä", "z"]
    assert (found.run_id, found.epoch) == ("run", 7)


CHANGES: dict[str, tuple[Callable[[Arrays], Any], str]] = {
    "no z": (lambda a: a.pop("z"), "z missing"),
    "no name and no epoch": (lambda a: (a.pop("uid"), a.pop("epoch")), "uid, epoch missing"),
    "names of others": (lambda a: a.update(uid=a["uid"][:2]), "z and uid"),
    "names that are numbers": (lambda a: a.update(uid=np.arange(3)), "z and uid"),
    "double precision": (lambda a: a.update(z=a["z"].astype(float)), "z and uid"),
    "one row": (lambda a: a.update(z=a["z"][0]), "z and uid"),
    "variances of others": (lambda a: a.update(log_var=a["log_var"][:2]), "z and log_var"),
    "shifts in space": (
        lambda a: a.update(shift_A=np.zeros((3, 3), np.float32)),
        "z and shift_A",
    ),
    "many epochs": (lambda a: a.update(epoch=np.arange(2)), "single values"),
    "many runs": (lambda a: a.update(run_id=np.array(["a", "b"])), "single values"),
    "an epoch in words": (lambda a: a.update(epoch=np.array("first")), "uid or epoch is damaged"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_arrays_that_do_not_belong_together_are_refused(case: str, file: Path) -> None:
    change, problem = CHANGES[case]
    with np.load(file, allow_pickle=False) as kept:
        arrays = dict(kept)
    change(arrays)
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=problem) as caught:
        read_latents(file)
    assert caught.value.file == str(file)
