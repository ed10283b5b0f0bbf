"""Spoilt files are read or refused in one line about the file, and nothing else ever happens.

``tests/benchmarks/bench_io.py --fuzz 20000`` does the same many times over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Latents
from cryoscope.io.export_record import read_record, write_record
from cryoscope.io.latents_file import read_latents, write_latents
from tests.mutations import FORMATS, OTHER_FORMATS, example, fuzz, mutated, read_all


@pytest.mark.parametrize("kind", [*FORMATS, *OTHER_FORMATS])
def test_the_examples_are_valid(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(example(kind, tmp_path))
    read, _ = read_all(kind, path)
    assert read > 0


@pytest.mark.parametrize("kinds", [FORMATS, OTHER_FORMATS])
def test_spoilt_files_are_read_or_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    figures = fuzz(tmp_path, cases=100 * len(kinds), seed=1, kinds=kinds)
    assert set(figures) == set(kinds)
    for read, refused, _ in figures.values():
        assert read > 0
        assert refused > 0


def test_the_same_seed_spoils_alike(tmp_path: Path) -> None:
    valid = example("star", tmp_path)
    once, twice = (mutated(valid, np.random.default_rng(5)) for _ in range(2))
    assert once == twice


@pytest.mark.parametrize("kind", [*FORMATS, *OTHER_FORMATS])
@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 5000, b"\xff" * 5000])
def test_empty_files_and_files_of_one_byte_are_refused(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    read, refused = read_all(kind, path)
    assert read == 0
    assert refused > 0


def test_names_that_are_not_utf8_travel(tmp_path: Path) -> None:
    name = b"1@caf\xe9.mrcs".decode("utf-8", "surrogateescape")
    uid = np.array([name, "2@b.mrcs"])
    write_latents(tmp_path / "z.npz", Latents(np.zeros((2, 1), np.float32), None, uid, "run", 1))
    assert read_latents(tmp_path / "z.npz").uid.tolist() == uid.tolist()
    (tmp_path / "a.pkl").write_bytes(b"x")
    row = np.array([0])
    write_record(tmp_path / "a.pkl", tmp_path / "a.star", uid, row, row, list_names=True)
    record = read_record(tmp_path / "a.pkl")
    assert record is not None
    assert record.uid is not None
    assert record.uid.tolist() == [name]
