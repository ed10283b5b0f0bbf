"""Input that is wrong in one way: what is done to a small simulated set, and what must be said."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cryoscope.io.stack import StackWriter

BOX_PX, PARTICLES = 32, 24
Damage = Callable[[Path], None]


def files(folder: Path) -> dict[str, int]:
    """Everything in a folder, with sizes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else -1
        for path in folder.rglob("*")
    }


def edit(file: str, old: str, new: str) -> Damage:
    """Replace text in a file, once."""

    def damage(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return damage


def edit_value(row: int, column: str, value: str) -> Damage:
    """Put a value into a 1-based row of the particle table."""

    def damage(folder: Path) -> None:
        star = folder / "particles.star"
        lines = star.read_text(encoding="utf-8").splitlines()
        head = [line for line in lines if line.startswith(f"_rln{column} #")][-1]
        first = next(i for i, line in enumerate(lines) if line.startswith("000001@"))
        values = lines[first + row - 1].split("\t")
        values[int(head.partition("#")[2]) - 1] = value
        lines[first + row - 1] = "\t".join(values)
        star.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return damage


def edit_atoms(change: Callable[[str], str]) -> Damage:
    """Change (or drop, with an empty text) the atoms of the structure."""

    def damage(folder: Path) -> None:
        pdb = folder / "reference.pdb"
        lines = pdb.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = (change(line) if line.startswith("ATOM") else line for line in lines)
        pdb.write_text("".join(kept), encoding="utf-8")

    return damage


def moved(by_A: float) -> Callable[[str], str]:
    return lambda line: f"{line[:30]}{float(line[30:38]) + by_A:8.3f}{line[38:]}"


def overwrite(file: str, offset: int, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        with (folder / file).open("r+b") as stream:
            stream.seek(offset)
            stream.write(content)

    return damage


def new_stack(name: str, box_px: int, count: int) -> Damage:
    def damage(folder: Path) -> None:
        images = np.random.default_rng(0).normal(size=(count, box_px, box_px))
        with StackWriter(folder / name, box_px, 3.2) as writer:
            writer.append(images)

    return damage


def both(*damages: Damage) -> Damage:
    def damage(folder: Path) -> None:
        for one in damages:
            one(folder)

    return damage


def truncate(folder: Path) -> None:
    with (folder / "particles.mrcs").open("r+b") as stream:
        stream.truncate(1024 + 5 * 4 * BOX_PX**2 + 100)


def no_rows(folder: Path) -> None:
    star = folder / "particles.star"
    text = star.read_text(encoding="utf-8")
    star.write_text(text[: text.index("000001@")], encoding="utf-8")


OTHER_GROUP = "opticsGroup2\t2\t{}\t{}\t300.0\t2.7\t0.1\t2\nopticsGroup1\t1\t"
NAN = struct.pack("<f", float("nan"))
SEVENTH_IMAGE = 1024 + 6 * 4 * BOX_PX**2
INPUT: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "missing stack": (
        lambda folder: (folder / "particles.mrcs").unlink(),
        ("particles.star, row 1", "missing: particles.mrcs", "links"),
    ),
    "truncated stack": (truncate, ("particles.mrcs", "24 images", "5 whole", "Copy")),
    "empty stack": (lambda f: (f / "particles.mrcs").write_bytes(b""), ("particles.mrcs", "Copy")),
    "row beyond the stack": (
        edit("particles.star", "000004@", "000400@"),
        ("particles.star, row 4", "image 400", "24 images", "remove"),
    ),
    "odd box": (
        both(
            new_stack("particles.mrcs", 33, PARTICLES), edit("particles.star", "\t32\t", "\t33\t")
        ),
        ("particles.star, row 1", "particles.mrcs", "odd box", "even"),
    ),
    "mixed box sizes": (
        both(new_stack("b.mrcs", 48, 3), edit("particles.star", "000003@particles", "000003@b")),
        ("particles.star, row 3", "32 px", "b.mrcs", "48 x 48", "rescale"),
    ),
    "mixed box sizes of optics groups": (
        both(
            edit("particles.star", "opticsGroup1\t1\t", OTHER_GROUP.format("3.2", "48")),
            edit_value(5, "OpticsGroup", "2"),
        ),
        ("particles.star, row 5", "32 and 48 px", "rescale"),
    ),
    "missing columns": (
        both(
            edit("particles.star", "_rlnDefocusU", "_rlnFoo"),
            edit("particles.star", "_rlnVoltage", "_rlnBar"),
        ),
        ("particles.star", "_rlnDefocusU, _rlnVoltage", "CTF estimation"),
    ),
    "no angles": (edit("particles.star", "_rlnAngleRot", "_rlnFoo"), ("rlnAngleRot", "Refine")),
    "NaN angle": (
        edit_value(7, "AngleTilt", "nan"),
        ("particles.star, row 7", "_rlnAngleTilt is nan", "remove"),
    ),
    "infinite defocus": (edit_value(2, "DefocusU", "inf"), ("row 2", "_rlnDefocusU", "remove")),
    "zero pixel size": (
        edit("particles.star", "3.200000\t32", "0.0\t32"),
        ("particles.star, row 1", "pixel size", "_rlnImagePixelSize"),
    ),
    "NaN in an image": (
        overwrite("particles.mrcs", SEVENTH_IMAGE, NAN),
        ("particles.star, row 7", "000007@particles.mrcs", "Remove"),
    ),
    "constant image": (
        overwrite("particles.mrcs", SEVENTH_IMAGE, bytes(4 * BOX_PX**2)),
        ("particles.star, row 7", "constant", "Remove"),
    ),
    "no particles": (no_rows, ("particles.star", "no particles", "another")),
    "structure with no CA": (
        edit_atoms(lambda line: "" if line[12:16] == " CA " else line),
        ("reference.pdb", "CA", "protein"),
    ),
    "structure far outside the box": (
        edit_atoms(moved(500.0)),
        ("reference.pdb", "outside the box", "102 A wide", "Fit the model"),
    ),
    "structure half outside the box": (
        edit_atoms(moved(45.0)),
        ("reference.pdb", "of 214 residues lie outside the box", "larger box"),
    ),
    "empty structure": (lambda f: (f / "reference.pdb").write_text(""), ("reference.pdb", "Give")),
}


def without_anchors(folder: Path) -> None:
    """Add seven residues without a CA beside the protein."""
    atoms = [("CB", "C", 0.0), ("C", "C", 1.5), ("N", "N", 2.5), ("O", "O", 3.5)]
    lines = [
        f"ATOM  {5000 + i:5d}  {name:<3s} ALA B{residue:4d}    {x:8.3f}{3.4 * residue - 12:8.3f}"
        f"{20.0:8.3f}  1.00  0.00           {element}\n"
        for residue in range(1, 8)
        for i, (name, element, x) in enumerate(atoms)
    ]
    pdb = folder / "reference.pdb"
    text = pdb.read_text(encoding="utf-8").replace("END", "")
    pdb.write_text(text + "".join(lines) + "END\n", encoding="utf-8")
