"""Outputs are whole or absent, and every system error names file and cure."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io.atomic import (
    atomic_folder,
    atomic_path,
    explain_os_errors,
    require_free,
    require_writable,
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


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "states"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    empty = tmp_path / "empty"
    empty.mkdir()
    with atomic_folder(empty) as folder:
        (folder / "a").write_text("2")
    assert (empty / "a").read_text() == "2"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "other") as folder:
        _write_and_stop(folder / "a")
    with (
        pytest.raises(InputError, match=r"other/a: the disk is full"),
        atomic_folder(tmp_path / "other") as folder,
        explain_os_errors(folder / "a"),
    ):
        raise OSError(errno.ENOSPC, "no")
    assert sorted(tmp_path.rglob("*")) == before


def _write_and_stop(path: Path) -> None:
    path.write_text("3")
    raise KeyboardInterrupt


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target, words in ((tmp_path, "not empty"), (tmp_path / "file", "not a folder")):
        with pytest.raises(InputError, match=words), atomic_folder(target):
            raise AssertionError("never reached")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_space_and_permission_are_asked_for_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "a" / "b"
    require_writable(absent)
    require_free(absent, 1, "it")
    with pytest.raises(InputError, match=r"it needs 1,125,899,907 MB.*with --there, or wait"):
        require_free(absent, 1 << 50, "it", option="--there", cure=", or wait")

    def fail(**options: object) -> None:
        raise OSError(errno.EROFS, "no")

    monkeypatch.setattr("cryoscope.io.atomic.tempfile.TemporaryFile", fail)
    with pytest.raises(InputError, match="not writable"):
        require_writable(absent)
    assert list(tmp_path.iterdir()) == []
