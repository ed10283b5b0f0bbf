"""DCD files of other programs are read, damaged ones refused."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscope.data import InputError
from cryoscope.io.dcd import dcd_shape, read_dcd, write_dcd


class TestDcd:
    coords_A = np.random.default_rng(0).normal(scale=50, size=(4, 7, 3)).astype(np.float32)

    def write_foreign(self, path: Path, order: str, *, cell: bool, fourth: bool) -> None:
        """A DCD file as other programs write it, one record after the other."""

        def record(content: bytes) -> bytes:
            marker = struct.pack(f"{order}i", len(content))
            return marker + content + marker

        control = [len(self.coords_A), 0, 1, 4, 0, 0, 0, 0, 0, 0, int(cell), int(fourth)]
        content = record(b"CORD" + struct.pack(f"{order}20i", *control, *[0] * 7, 24))
        content += record(struct.pack(f"{order}i", 2) + b"x" * 160)
        content += record(struct.pack(f"{order}i", self.coords_A.shape[1]))
        for frame in self.coords_A:
            content += record(struct.pack(f"{order}6d", *range(6))) if cell else b""
            for axis in frame.T:
                content += record(axis.astype(f"{order}f4").tobytes())
            content += record(bytes(4 * len(frame))) if fourth else b""
        path.write_bytes(content)

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("cell", [False, True])
    @pytest.mark.parametrize("fourth", [False, True])
    def test_other_programs_files(
        self, tmp_path: Path, order: str, cell: bool, fourth: bool
    ) -> None:
        path = tmp_path / "a.dcd"
        self.write_foreign(path, order, cell=cell, fourth=fourth)
        np.testing.assert_array_equal(read_dcd(path), self.coords_A)
        assert dcd_shape(path) == (4, 7)

    def test_round_trip(self, tmp_path: Path) -> None:
        write_dcd(tmp_path / "a.dcd", self.coords_A)
        np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd"), self.coords_A)
        some = read_dcd(tmp_path / "a.dcd", atoms=np.array([5, 1]))
        np.testing.assert_array_equal(some, self.coords_A[:, [5, 1]])

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(where=st.integers(0, 275), byte=st.integers(1, 255))
    def test_damaged_header_is_refused_or_harmless(
        self, tmp_path: Path, where: int, byte: int
    ) -> None:
        path = tmp_path / "a.dcd"
        self.write_foreign(path, "<", cell=True, fourth=False)
        data = bytearray(path.read_bytes())
        data[where] ^= byte
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            assert read_dcd(path).shape == (4, 7, 3)

    @pytest.mark.parametrize("end", [0, 3, 50, 91, 100, 270, -1, -100])
    def test_cut_off(self, tmp_path: Path, end: int) -> None:
        path = tmp_path / "a.dcd"
        write_dcd(path, self.coords_A)
        path.write_bytes(path.read_bytes()[:end])
        with pytest.raises(InputError, match=r"a\.dcd"):
            read_dcd(path)

    def test_whole_frames_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "a.dcd"
        write_dcd(path, self.coords_A)
        path.write_bytes(path.read_bytes()[: -3 * (7 * 4 + 8)])
        with pytest.raises(InputError, match=r"announces 4 frames of 7 atoms.*holds 3"):
            read_dcd(path)

    def test_nothing_to_write(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="at least one frame"):
            write_dcd(tmp_path / "a.dcd", np.zeros((0, 5, 3)))

    def test_not_finite(self, tmp_path: Path) -> None:
        coords_A = self.coords_A.copy()
        coords_A[2, 3, 1] = np.nan
        write_dcd(tmp_path / "a.dcd", coords_A)
        with pytest.raises(InputError, match="frame 3"):
            read_dcd(tmp_path / "a.dcd")
