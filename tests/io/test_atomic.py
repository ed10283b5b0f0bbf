"""Outputs are whole or absent, and every system error names file and cure."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io.atomic import (
    atomic_path,
    explain_os_errors,
    write_bytes_atomic,
    write_text_atomic,
)


def test_success_replaces_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "run.json"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_text_keeps_line_ends_and_long_names_fit(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".txt")
    write_text_atomic(target, "a\r\nb\né")
    assert target.read_bytes() == "a\r\nb\né".encode()
    write_bytes_atomic(target, b"\x00\x01")
    assert target.read_bytes() == b"\x00\x01"


def test_missing_folder_names_file_and_cure(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "out.star"
    with pytest.raises(InputError, match=r"no folder .*--out") as caught:
        write_text_atomic(target, "x")
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder, not a file"):
        write_text_atomic(tmp_path, "x")


@pytest.mark.skipif(
    os.name != "posix" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="root may write anywhere; permissions differ off POSIX",
)
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="not writable"):
            write_text_atomic(tmp_path / "a", "x")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full.*free .* MB"),
        (errno.EACCES, "not writable.*--out"),
        (errno.EROFS, "not writable.*--out"),
        (errno.ENOENT, "no folder"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_write_errors_in_words(tmp_path: Path, code: int, words: str) -> None:
    target = tmp_path / "x.mrc"
    with (
        pytest.raises(InputError, match=words) as caught,
        atomic_path(target, needed_bytes=1 << 50),
    ):
        raise OSError(code, os.strerror(code))
    assert isinstance(caught.value.__cause__, OSError)
    assert not list(tmp_path.iterdir())


def test_a_really_full_disk() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with (
        pytest.raises(InputError, match="disk is full"),
        explain_os_errors(full),
        full.open("wb", buffering=0) as stream,
    ):
        stream.write(b"x")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOENT, "no such file"),
        (errno.EACCES, "may not be read"),
        (errno.EISDIR, "a folder"),
        (errno.EIO, "cannot be read"),
    ],
)
def test_read_errors_in_words(code: int, words: str) -> None:
    with pytest.raises(InputError, match=words), explain_os_errors("a.star", action="read"):
        raise OSError(code, os.strerror(code))
