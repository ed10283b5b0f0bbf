"""Stacks: every kind of sample, bounds before allocation, images in the order asked for."""

from __future__ import annotations

import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscope.data import ImageSource, InputError
from cryoscope.io import stack as stack_module
from cryoscope.io.mrc_header import read_header
from cryoscope.io.stack import MrcStack, StackImages, StackWriter

BOX = 6


def stack_file(path: Path, count: int, box: tuple[int, int] = (BOX, BOX), first: int = 0) -> Path:
    """A stack whose image i is filled with first + i."""
    values = np.arange(first, first + count, dtype=np.float32)[:, None, None]
    with mrcfile.new(path, np.broadcast_to(values, (count, *box)).copy(), overwrite=True) as file:
        file.set_image_stack()
    return path


@pytest.fixture
def two_stacks(tmp_path: Path) -> list[Path]:
    return [stack_file(tmp_path / "a.mrcs", 5), stack_file(tmp_path / "b.mrcs", 7, first=100)]


def open_two(files: list[Path], file_index: list[int], frame: list[int]) -> StackImages:
    return StackImages.open(files, np.array(file_index), np.array(frame), table="p.star")


@pytest.mark.parametrize("kind", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extended", [0, 13])
@pytest.mark.parametrize("stamped", [True, False])
def test_kinds_byte_orders_offsets(
    tmp_path: Path, kind: str, order: str, extended: int, stamped: bool
) -> None:
    mode = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}[kind]
    values = np.arange(3 * BOX * BOX).reshape(3, BOX, BOX).astype(order + kind)
    header = bytearray(1024)
    struct.pack_into(f"{order}4i", header, 0, BOX, BOX, 3, mode)
    struct.pack_into(f"{order}i", header, 92, extended)
    if stamped:
        header[208:214] = b"MAP " + (b"\x44\x44" if order == "<" else b"\x11\x11")
    path = tmp_path / "a.mrcs"
    path.write_bytes(bytes(header) + bytes(extended) + values.tobytes())
    stack = MrcStack(path)
    assert len(stack) == 3
    np.testing.assert_array_equal(stack.read(np.array([2, 0])), values[[2, 0]].astype(np.float32))


def test_unsigned_bytes_of_imod(tmp_path: Path) -> None:
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, 2, 2, 1, 0)
    path = tmp_path / "a.mrcs"
    path.write_bytes(bytes(header) + b"\xff" * 4)
    assert MrcStack(path).read(np.array([0])).max() == -1
    struct.pack_into("<2i", header, 152, 1146047817, 0)
    path.write_bytes(bytes(header) + b"\xff" * 4)
    assert MrcStack(path).read(np.array([0])).max() == 255


def test_offsets_beyond_four_gigabytes(tmp_path: Path) -> None:
    box, count = 1024, 1100
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, box, box, count, 2)
    path = tmp_path / "sparse.mrcs"
    with path.open("wb") as file:
        file.write(header)
        file.seek(1024 + 1080 * box * box * 4)
        file.write(np.full(box * box, 7, "<f4").tobytes())
        file.truncate(1024 + count * box * box * 4)
    if path.stat().st_blocks * 512 > 1 << 26:
        pytest.skip("this file system has no sparse files")
    images = open_two([path], [0, 0], [1080, 1079]).read(np.array([1, 0]))
    assert images[:, 0, 0].tolist() == [0.0, 7.0]


Damage = Callable[[bytearray], object]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda raw: raw.__delitem__(slice(-1, None)), "truncated: 5 images.*4 whole images"),
        (lambda raw: raw.__delitem__(slice(1500, None)), "truncated.*3 whole images"),
        (lambda raw: raw.__delitem__(slice(100, None)), "less than its header"),
        (lambda raw: struct.pack_into("<i", raw, 8, 1 << 23), "truncated.*5 whole images"),
        (lambda raw: struct.pack_into("<3i", raw, 0, *[1 << 23] * 3), "truncated.*0 whole"),
        (lambda raw: struct.pack_into("<i", raw, 0, -6), "not an MRC file"),
        (lambda raw: struct.pack_into("<i", raw, 0, 0), "not an MRC file"),
        (lambda raw: struct.pack_into("<i", raw, 12, 4), "mode 4"),
        (lambda raw: struct.pack_into("<i", raw, 92, -5), "extended header"),
        (lambda raw: struct.pack_into("<i", raw, 92, 1 << 30), "extended header"),
        (lambda raw: raw.__setitem__(slice(0, 2), b"\x1f\x8b"), "compressed"),
    ],
)
def test_damaged_headers(tmp_path: Path, damage: Damage, problem: str) -> None:
    path = stack_file(tmp_path / "a.mrcs", 5)
    raw = bytearray(path.read_bytes())
    damage(raw)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=problem) as caught:
        open_two([path], [0], [0])
    assert caught.value.file == str(path)
    assert caught.value.cure


@given(st.binary(min_size=0, max_size=1100))
def test_any_header_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.mrcs"
    path.write_bytes(raw)
    try:
        header = read_header(path)
    except InputError:
        return
    assert header.memmap().nbytes <= len(raw)


def test_images_come_in_the_order_asked_for(
    two_stacks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    images: ImageSource = open_two(two_stacks, [1, 0, 1, 0, 1], [6, 0, 0, 4, 3])
    truth = np.array([106, 0, 100, 4, 103])
    assert (len(images), images.box_size_px) == (5, BOX)
    for at_once in (1, 256):
        monkeypatch.setattr(stack_module, "_IMAGES_AT_ONCE", at_once)
        for index in ([0, 1, 2, 3, 4], [4, 4, 1], [3], [], [-1]):
            found = images.read(np.array(index, dtype=int))
            assert found.shape == (len(index), BOX, BOX)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found[:, 2, 3], truth[index])
    some = images.take(np.array([3, 0])).take(np.array([1]))
    assert some.read(np.array([0]))[0, 0, 0] == 106
    with pytest.raises(IndexError):
        images.read(np.array([5]))
    assert images.take(np.zeros(0, dtype=int)).read(np.zeros(0, dtype=int)).shape[0] == 0


def test_a_stack_that_is_cut_off_meanwhile(two_stacks: list[Path]) -> None:
    images = open_two(two_stacks, [0, 0], [0, 4])
    os.truncate(two_stacks[0], two_stacks[0].stat().st_size - 1)
    assert images.read(np.array([0]))[0, 0, 0] == 0
    with pytest.raises(InputError, match="shorter than it was"):
        images.read(np.array([0, 1]))
    two_stacks[0].unlink()
    with pytest.raises(InputError, match="no such file"):
        images.read(np.array([0]))


def test_travels_to_other_processes(two_stacks: list[Path]) -> None:
    images = open_two(two_stacks, [1, 0], [6, 0])
    images.read(np.array([0]))
    content = pickle.dumps(images)
    assert len(content) < 10_000
    copy = pickle.loads(content)  # noqa: TID251 (our own bytes, made above)
    assert copy.read(np.array([0]))[0, 0, 0] == 106


def test_image_beyond_the_end(two_stacks: list[Path]) -> None:
    with pytest.raises(InputError, match=r"p\.star, row 2: image 8 of .*b\.mrcs.*7 images"):
        open_two(two_stacks, [0, 1], [0, 7])
    with pytest.raises(InputError, match=r"p\.star, row 9"):
        StackImages.open(
            two_stacks, np.array([0, 0]), np.array([0, 5]), table="p.star", row=np.array([3, 8])
        )


@pytest.mark.parametrize(
    ("box", "problem"),
    [((6, 8), "not square"), ((5, 5), "odd box"), ((8, 8), "mixed box sizes: 6 px")],
)
def test_boxes_that_cannot_be_used(
    tmp_path: Path, two_stacks: list[Path], box: tuple[int, int], problem: str
) -> None:
    odd = stack_file(tmp_path / "odd.mrcs", 3, box)
    with pytest.raises(InputError, match=rf"p\.star, row 3: .*{problem}"):
        open_two([*two_stacks, odd], [0, 1, 2], [0, 0, 0])


def test_written_stacks_are_valid(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(3, 2, (5, 8, 8)).astype(np.float32)
    path = tmp_path / "new.mrcs"
    with StackWriter(path, 8, 1.6, count=5) as writer:
        writer.append(images[:3])
        writer.append(images[3])
        writer.append(images[:0])
        writer.append(images[4:].astype(np.float64))
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["new.mrcs"]
    assert mrcfile.validate(path)
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, images)
        assert file.is_image_stack()
        assert file.voxel_size.x == pytest.approx(1.6)
        assert file.voxel_size.z == pytest.approx(1.6)
        assert file.header.dmin == images.min()
        assert file.header.dmax == images.max()
        assert file.header.dmean == pytest.approx(images.mean(), rel=1e-5)
        assert file.header.rms == pytest.approx(images.std(), rel=1e-5)
    np.testing.assert_array_equal(MrcStack(path).read(np.arange(5)), images)


def test_half_written_stacks_vanish(tmp_path: Path) -> None:
    path = tmp_path / "new.mrcs"

    def interrupt() -> None:
        with StackWriter(path, 8, 1.6) as writer:
            writer.append(np.zeros((8, 8)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with pytest.raises(InputError, match="disk is full"), StackWriter(path, 8, 1.6):
        raise OSError(28, "No space left on device")
    with pytest.raises(InputError, match="no images"), StackWriter(path, 8, 1.6):
        pass
    with pytest.raises(ValueError, match="shape"), StackWriter(path, 8, 1.6) as writer:
        writer.append(np.zeros((2, 8, 7)))
    with pytest.raises(InputError, match="no folder"), StackWriter(tmp_path / "x" / "y", 8, 1):
        pass
    assert not list(tmp_path.iterdir())


def test_real_stacks(fixtures_dir: Path) -> None:
    for name, shape in (
        ("particles/relion31_5/relion31.mrcs", (5, 256, 256)),
        ("particles/aspire_17/sample.mrcs", (17, 200, 200)),
        ("particles/empiar10076_7/empiar_10076_7.mrc", (7, 320, 320)),
        ("oracles/cryodrgn_toy/toy_projections.mrcs", (1000, 30, 30)),
    ):
        stack = MrcStack(fixtures_dir / name)
        assert stack.header.shape == shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # missing stamps
            with mrcfile.mmap(fixtures_dir / name, permissive=True) as file:
                np.testing.assert_array_equal(stack.read(np.array([4])), file.data[4:5])
