"""What ``cryoscope decode`` reads and writes, without a trained network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryoscope.cli.decode import _anchors
from cryoscope.cli.decode_states import (
    MapLook,
    StructureFormat,
    coords_or_nan_A,
    write_models,
    write_states,
)
from cryoscope.cli.entry import run
from cryoscope.cli.latent_file import read_curve
from cryoscope.data import InputError, Latents, Optics, Provenance, Structure, Volume
from cryoscope.io.dcd import read_dcd
from cryoscope.io.mrc import read_volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_models, read_structure
from tests.analysis.structures import trace


def all_atoms() -> Structure:
    """N and CA of every residue of the trace."""
    both = trace().take(np.repeat(np.arange(4), 2))
    names = np.array(["N", "CA"] * 4)
    elements = np.array(["N", "C"] * 4)
    values = {**vars(both), "atom_name": names, "element": elements}
    values["coords_A"] = both.coords_A + np.tile([[-1.4, 0, 0], [0, 0, 0]], (4, 1))
    return Structure(**values)


class FakeDecoder:
    """Moves residue 1 along x by the first latent."""

    trace_structure, atom_structure = trace(), all_atoms()
    bead_count = 4
    optics = Optics(2.0, 16)
    has_atoms = True

    def require_atoms(self) -> None:
        pass

    def coords_A(self, z: np.ndarray) -> np.ndarray:
        coords_A = np.tile(trace().coords_A, (len(z), 1, 1))
        coords_A[:, 0, 0] += z[:, 0]
        return coords_A.astype(np.float32)

    def atoms_A(self, z: np.ndarray) -> np.ndarray:
        coords_A = np.tile(all_atoms().coords_A, (len(z), 1, 1))
        coords_A[:, :2, 0] += z[:, :1]
        return coords_A.astype(np.float32)

    def volumes(self, z: np.ndarray, box_size_px: int = 0) -> Iterator[Volume]:
        for _ in z:
            yield Volume(np.zeros((4, 4, 4), np.float32), 2.0, (0.0, 0.0, 0.0))


Z = np.array([[-1.0, 0.0], [1.0, 0.0]])


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> FakeDecoder:
    fake = FakeDecoder()
    monkeypatch.setattr("cryoscope.training.decoding.load_decoder", lambda path: fake)
    return fake


@pytest.mark.parametrize("kind", ["pdb", "cif", "dcd"])
@pytest.mark.parametrize("atoms", [False, True])
def test_structures_keep_the_references_numbering(
    kind: str, atoms: bool, decoder: FakeDecoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "states"
    write_states(tmp_path, Z, out, structures=StructureFormat(kind), maps=False, atoms=atoms)
    names = {path.name for path in out.iterdir()}
    assert names == {"states.csv", "motion.csv", f"states.{kind}", *(["states.pdb"] if
                     kind == "dcd" else [])}  # fmt: skip
    reference = all_atoms() if atoms else trace()
    expected_A = decoder.atoms_A(Z) if atoms else decoder.coords_A(Z)
    if kind == "dcd":
        model = read_structure(out / "states.pdb")
        coords_A = read_dcd(out / "states.dcd")
    else:
        models = read_models(out / f"states.{kind}")
        model, coords_A = models.structure, models.coords_A
    np.testing.assert_allclose(coords_A, expected_A, atol=2e-3)
    for field in ("chain_id", "residue_id", "insertion_code", "atom_name", "residue_name"):
        np.testing.assert_array_equal(getattr(model, field), getattr(reference, field))
    moving = np.arange(len(model)) < (2 if atoms else 1)
    np.testing.assert_allclose(model.b_factor_A2, moving * 1.0, atol=0.006)
    lines = (out / "motion.csv").read_text().splitlines()
    assert lines[1] == "A,10,a,ALA,1.0000,1.0000,1.0000"
    assert len(lines) == 5
    assert ("heavy atoms" if atoms else "CA or P") in capsys.readouterr().out


def test_maps_without_structures(decoder: FakeDecoder, tmp_path: Path) -> None:
    write_states(tmp_path, Z, tmp_path / "d", structures=StructureFormat.NONE, maps=True)
    names = {path.name for path in (tmp_path / "d").iterdir()}
    assert names == {"states.csv", "motion.csv", "state-001.mrc", "state-002.mrc"}


def test_one_model_alone(tmp_path: Path) -> None:
    write_models(trace(), trace().coords_A[None], tmp_path / "one.pdb")
    np.testing.assert_allclose(read_structure(tmp_path / "one.pdb").b_factor_A2, 0)


def test_particles_without_latents_have_no_coordinates(decoder: FakeDecoder) -> None:
    z = np.array([[1.0, 0.0], [np.nan, 0.0]])
    coords_A = coords_or_nan_A(decoder, z)  # type: ignore[arg-type]
    assert np.isfinite(coords_A[0]).all()
    assert np.isnan(coords_A[1]).all()


def test_particles_to_pass_by_number_or_file(tmp_path: Path) -> None:
    assert _anchors("3, 17,200", 300).tolist() == [3, 17, 200]
    (tmp_path / "picked.txt").write_text("5\n2\n9\n", encoding="utf-8")
    assert _anchors(str(tmp_path / "picked.txt"), 10).tolist() == [5, 2, 9]
    with pytest.raises(InputError, match="from 0 to 8"):
        _anchors(str(tmp_path / "picked.txt"), 9)
    with pytest.raises(InputError, match="--graph 3,17,200"):
        _anchors("a,b", 9)


def test_drawn_curves(tmp_path: Path) -> None:
    curve = tmp_path / "curve.csv"
    curve.write_text("n,y,x\n1,2,3\n2,4,5\n", encoding="utf-8")
    assert read_curve(curve).tolist() == [[3, 2], [5, 4]]
    curve.write_text("PC1,PC2\n1,2\n3,4\n", encoding="utf-8")
    assert read_curve(curve).tolist() == [[1, 2], [3, 4]]
    for text in ("x,y\n1,2\n", "x\n1\n2\n", "x,y\n1,nan\n2,3\n", "x,y\na,b\nc,d\n", ""):
        curve.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"curve\.csv"):
            read_curve(curve)


@pytest.mark.parametrize("option", ["graph", "drawn"])
def test_paths_of_the_command_line(
    option: str, decoder: FakeDecoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(tmp_path / "run", {}, {"particle_count": 50})
    z = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    uid = np.array([f"{i:06d}@a" for i in range(50)])
    folder.save_latents(Latents(z, None, uid, folder.run_id, 1), live=False)
    (tmp_path / "curve.txt").write_text("-1 0\n1 0\n", encoding="utf-8")
    value = "3,17" if option == "graph" else str(tmp_path / "curve.txt")
    words = ["decode", str(folder.path), "-o", str(tmp_path / "d"), f"--{option}", value]
    assert run([*words, "--frames", "4", "--no-maps"]) == 0, capsys.readouterr().err
    rows = (tmp_path / "d" / "states.csv").read_text().splitlines()
    assert len(rows) == 5
    if option == "graph":
        np.testing.assert_allclose([float(v) for v in rows[1].split(",")[1:]], z[3], rtol=1e-5)
    assert run([*words, "--pc", "1"]) == 2


def test_how_maps_are_written(
    decoder: FakeDecoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    plain = Volume.centred(values, 2.0, Provenance("file"))
    monkeypatch.setattr(FakeDecoder, "volumes", lambda self, z, box_px=0: iter([plain] * len(z)))
    monkeypatch.setattr(FakeDecoder, "has_atoms", False)

    def written(name: str, look: MapLook) -> np.ndarray:
        out = tmp_path / name
        write_states(tmp_path, Z, out, structures=StructureFormat.NONE, maps=True, look=look)
        return read_volume(out / "state-001.mrc").values

    assert np.array_equal(written("plain", MapLook()), values)
    mirrored = written("mirrored", MapLook(flip_hand=True))
    assert np.allclose(mirrored[1:], values[:0:-1], atol=1e-5)
    blurred, sharp = (written(f"b{b:.0f}", MapLook(b_factor_A2=b)) for b in (50.0, -50.0))
    assert blurred.std() < values.std() < sharp.std()
    assert written("low", MapLook(low_pass_A=8.0)).std() < 0.6 * values.std()
    with pytest.raises(InputError, match="even --box-px"):
        written("odd", MapLook(box_size_px=9))
    monkeypatch.setattr(FakeDecoder, "has_atoms", True)
    with pytest.raises(InputError, match="hand"):
        written("atoms", MapLook(flip_hand=True))
