"""Small valid files of every format, and ways to spoil them; the same seed, the same file."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cryoscope.data import InputError, Latents, Selection
from cryoscope.io.cryodrgn_files import read_ctf, read_indices, read_poses
from cryoscope.io.cryosparc_group import read_group
from cryoscope.io.cryosparc_table import read_cs_table
from cryoscope.io.latents_file import read_latents, write_latents
from cryoscope.io.mrc import read_volume
from cryoscope.io.named_selections import read_named_selections
from cryoscope.io.particle_tables import read_table_particles
from cryoscope.io.relion_table import read_particle_table
from cryoscope.io.safe_pickle import read_pickles
from cryoscope.io.selections_file import read_selections, write_selections
from cryoscope.io.stack import MrcStack, StackWriter
from cryoscope.io.star import read_star
from cryoscope.io.structures import read_models, read_structure

FORMATS = ("star", "cs", "mrc", "pkl", "pdb", "cif")
OTHER_FORMATS = ("csg", "csv", "npz", "json")
_NUMBERS = (0, 1, -1, 127, 255, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**62)
_WORDS = (
    *(b"nan", b"-inf", b"1e999", b"0x10", b"", b" ", b"\n", b"\r", b"\0", b"#", b"'", b'"', b";"),
    *(b"data_", b"loop_", b"_x", b"@", b"../../etc/passwd", b"9" * 30, b"\xff\xfe", b"\t", b"?"),
)


def example(kind: str, folder: Path) -> bytes:
    """A small valid file."""
    path = folder / f"valid.{kind}"
    if kind == "star":
        return _star()
    if kind == "cs":
        with path.open("wb") as stream:
            np.save(stream, _cs_records())
    elif kind == "mrc":
        with StackWriter(path, 4, 1.5) as writer:
            writer.append(np.arange(64.0).reshape(4, 4, 4))
    elif kind == "pkl":
        rotation = np.tile(np.eye(3), (5, 1, 1))
        return pickle.dumps((rotation, np.zeros((5, 2))), protocol=4)
    elif kind == "pdb":
        return _pdb()
    elif kind == "csg":
        (folder / "a.cs").touch()
        slots = "".join(f"  {s}: {{metafile: '>a.cs', num_items: 5}}\n" for s in ("blob", "ctf"))
        return f"group: {{name: particles, type: particle}}\nresults:\n{slots}".encode()
    elif kind == "csv":
        return b"particle,z1,selection: a\n" + b"".join(b"%d@a.mrcs,0.5,1\n" % i for i in range(5))
    elif kind == "npz":
        z, uid = np.ones((3, 2), np.float32), np.array(["1@a", "2@a", "3@a"])
        write_latents(path, Latents(z, z, uid, "run", 1))
    elif kind == "json":
        mask = np.array([True, False, True])
        uid = np.array(["1@a", "2@a", "3@a"])
        write_selections(path, [Selection("a", mask, note="b")], uid=uid)
    else:
        return _cif()
    return path.read_bytes()


def _star() -> bytes:
    optics = ("OpticsGroup", "ImagePixelSize", "ImageSize", "Voltage", "SphericalAberration")
    names = ("ImageName", "DefocusU", "DefocusV", "DefocusAngle", "AngleRot", "AngleTilt")
    tables = (
        ("optics", (*optics, "AmplitudeContrast"), ["1 1.5 4 300 2.7 0.1"]),
        (
            "particles",
            (*names, "AnglePsi", "OriginXAngst", "OriginYAngst", "OpticsGroup", "RandomSubset"),
            [f"{i:06d}@a.mrcs 15000.5 14000 30 {i} 20 -30 1.5 -3 1 {i % 2 + 1}" for i in (1, 2, 3)],
        ),
    )
    text = "# version 30001\n\ndata_general\n\n_rlnName 'a b'\n\n"
    for name, columns, rows in tables:
        head = "".join(f"_rln{column} #{i}\n" for i, column in enumerate(columns, 1))
        text += f"data_{name}\n\nloop_\n{head}" + "\n".join(rows) + "\n\n"
    return text.encode()


def _cs_records() -> np.ndarray:
    fields = [("uid", "u8"), ("blob/path", "S8"), ("blob/idx", "u4"), ("blob/shape", "u4", 2)]
    fields += [("blob/psize_A", "f4"), ("alignments3D/pose", "f4", 3)]
    fields += [("alignments3D/shift", "f4", 2), ("alignments3D/split", "u4")]
    numbers = ("df1_A", "df2_A", "df_angle_rad", "accel_kv", "cs_mm", "amp_contrast")
    fields += [(f"ctf/{name}", "f4") for name in numbers]
    records = np.zeros(5, dtype=fields)
    records["uid"], records["blob/path"] = np.arange(5), b">a.mrcs"
    records["blob/idx"], records["blob/shape"], records["blob/psize_A"] = np.arange(5), 4, 1.5
    records["ctf/accel_kv"], records["ctf/amp_contrast"] = 300, 0.1
    return records


_ATOMS = [(i, name, i // 4 + 1) for i, name in enumerate(("N", "CA", "C", "O") * 3)]


def _pdb() -> bytes:
    lines = [
        f"ATOM  {i + 1:5d}  {name:<3s} ALA A{residue:4d}    "
        f"{i * 1.1:8.3f}{i * 0.7:8.3f}{i % 3:8.3f}  1.00 20.00          {name[0]:>2s}  \n"
        for i, name, residue in _ATOMS
    ]
    models = "".join(f"MODEL     {model:4d}\n{''.join(lines)}ENDMDL\n" for model in (1, 2))
    return f"CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1\n{models}END\n".encode()


def _cif() -> bytes:
    columns = (
        *("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id"),
        *("label_asym_id", "label_entity_id", "label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z"),
        *("occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num"),
    )
    rows = [
        f"ATOM {i + 1} {name[0]} {name} . ALA A 1 {residue} {i * 1.1:.3f} {i * 0.7:.3f} {i % 3} "
        f"1.0 20.0 {residue} A 1\n"
        for i, name, residue in _ATOMS
    ]
    head = "".join(f"_atom_site.{column}\n" for column in columns)
    return f"data_x\n#\nloop_\n{head}{''.join(rows)}#\n".encode()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The file spoilt in one to three ways."""
    for _ in range(int(rng.integers(1, 4))):
        content = _CHANGES[int(rng.integers(len(_CHANGES)))](content, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    # headers are short and matter most
    end = len(content) if rng.random() < 0.5 else min(len(content), 256)
    return int(rng.integers(end + 1))


def _bits(content: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        if spoilt:
            spoilt[_place(content, rng) % len(spoilt)] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _remove(content: bytes, rng: np.random.Generator) -> bytes:
    begin = _place(content, rng)
    return content[:begin] + content[begin + int(rng.integers(1, 64)) :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    begin = _place(content, rng)
    part = content[begin : begin + int(rng.integers(1, 128))]
    return content[:begin] + part * int(rng.integers(2, 50)) + content[begin:]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    begin = _place(content, rng)
    return content[:begin] + _WORDS[int(rng.integers(len(_WORDS)))] + content[begin:]


def _number(content: bytes, rng: np.random.Generator) -> bytes:
    begin, value = _place(content, rng) // 4 * 4, _NUMBERS[int(rng.integers(len(_NUMBERS)))]
    size = 8 if value >= 2**32 else 4
    return (
        content[:begin] + value.to_bytes(8, "little", signed=True)[:size] + content[begin + size :]
    )


def _word(content: bytes, rng: np.random.Generator) -> bytes:
    words = content.split(b" ")
    words[int(rng.integers(len(words)))] = _WORDS[int(rng.integers(len(_WORDS)))]
    return b" ".join(words)


def _nothing(content: bytes, rng: np.random.Generator) -> bytes:
    return content if rng.random() < 0.5 else bytes(len(content))


_CHANGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    *(_bits, _bits, _cut, _remove, _repeat, _insert, _insert, _number, _number, _word, _word),
    _nothing,
)


def read_all(kind: str, path: Path) -> tuple[int, int]:
    """Read a file in every way there is; how often it was read, and how often refused."""
    refused = 0
    readers = _READERS[kind]
    for reader in readers:
        try:
            reader(path)
        except InputError as error:
            refused += 1
            if "\n" in str(error) or not error.file:
                raise AssertionError(f"not one line about a file: {error}") from error
    return len(readers) - refused, refused


def _whole_star(path: Path) -> None:
    for block in read_star(path).blocks.values():
        for column in block.columns:
            if len(block.text(column)) != block.rows:
                raise AssertionError(f"{column} is not as long as its table")


def _whole_stack(path: Path) -> None:
    stack = MrcStack(path)
    stack.read(np.arange(min(len(stack), 4)))


_READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "star": (_whole_star, read_particle_table),
    "cs": (read_cs_table,),
    "mrc": (_whole_stack, read_volume),
    "pkl": (read_pickles, read_indices, read_ctf, lambda path: read_poses(path, 1.0)),
    "pdb": (read_structure, read_models),
    "cif": (read_structure, read_models),
    "csg": (read_group,),
    "csv": (lambda path: read_table_particles(path, 100),),
    "npz": (read_latents,),
    "json": (read_selections, read_named_selections),
}


def fuzz(
    folder: Path, cases: int, seed: int, kinds: tuple[str, ...] = FORMATS
) -> dict[str, tuple[int, int, float]]:
    """Per format: reads, refusals and the slowest case in s; any other error ends it."""
    figures: dict[str, tuple[int, int, float]] = {}
    for number, kind in enumerate(kinds):
        valid = example(kind, folder)
        read = refused = 0
        slowest_s = 0.0
        (folder / f"first.{kind}").write_bytes(valid)
        read_all(kind, folder / f"first.{kind}")  # loads, and perhaps compiles, what reads it
        for case in range(cases // len(kinds)):
            path = folder / f"case.{kind}"
            path.write_bytes(mutated(valid, np.random.default_rng((seed, number, case))))
            begin = time.perf_counter()
            try:
                ok, no = read_all(kind, path)
            except Exception as error:
                raise AssertionError(f".{kind}, seed {(seed, number, case)}") from error
            slowest_s = max(slowest_s, time.perf_counter() - begin)
            read, refused = read + ok, refused + no
        figures[kind] = (read, refused, slowest_s)
    return figures
