"""Outputs that are either whole or absent, and operating-system errors a user can act on."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from cryoscope.data import InputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_STEM_LENGTH = 100


def _yes() -> None:
    """Nobody minds."""


_may_replace: ContextVar[Callable[[], None]] = ContextVar("may_replace", default=_yes)


@contextmanager
def asking_before_outputs(check: Callable[[], None]) -> Iterator[None]:
    """Call ``check`` before each output of the body takes its place, in this thread.

    What it raises, as of somebody who has changed their mind, leaves the target as it was.
    """
    token = _may_replace.set(check)
    try:
        yield
    finally:
        _may_replace.reset(token)


def _full_disk(path: Path, needed_bytes: int | None, option: str) -> InputError:
    if needed_bytes is None:
        amount = "free some space"
    else:
        try:
            free = shutil.disk_usage(path.parent).free
        except OSError:
            free = 0
        amount = f"free {max(needed_bytes - free, 1 << 20) / 1e6:,.0f} MB"
    return InputError(
        "the disk is full",
        file=path,
        cure=f"Remove files to {amount}, or write to another disk with {option}",
    )


def _write_error(error: OSError, path: Path, needed_bytes: int | None, option: str) -> InputError:
    code = error.errno
    if code in _FULL:
        return _full_disk(path, needed_bytes, option)
    if code in _FORBIDDEN:
        return InputError(
            f"the folder {path.parent} is not writable",
            file=path,
            cure=f"Choose another folder with {option}, or change its permissions",
        )
    if code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return InputError(
            f"there is no folder {path.parent}",
            file=path,
            cure=f"Create it first, or choose another with {option}",
        )
    if code == errno.EISDIR:
        return InputError(
            "this is a folder, not a file", file=path, cure=f"Choose another name with {option}"
        )
    return InputError(
        f"cannot be written ({error.strerror or error})",
        file=path,
        cure=f"Choose another place with {option}",
    )


def _read_error(error: OSError, path: Path) -> InputError:
    code = error.errno
    if code in (errno.ENOENT, errno.ENOTDIR):
        return InputError("there is no such file", file=path, cure="Check the path")
    if code in _FORBIDDEN:
        return InputError("the file may not be read", file=path, cure="Change its permissions")
    if code == errno.EISDIR:
        return InputError("this is a folder, not a file", file=path, cure="Name a file inside it")
    return InputError(
        f"cannot be read ({error.strerror or error})",
        file=path,
        cure="Check the disk or copy the file again",
    )


@contextmanager
def explain_os_errors(
    path: str | os.PathLike[str],
    *,
    action: Literal["read", "write"] = "write",
    needed_bytes: int | None = None,
    option: str = "--out",
) -> Iterator[None]:
    """Turn an `OSError` raised inside into an `InputError` that names the file and the cure.

    Parameters
    ----------
    path
        The file being read or written, named in the message.
    action
        What is being done with it; the cure depends on it.
    needed_bytes
        How large the output will be, when known: a full disk then says how much to free.
    option
        What chooses another place, for the cure.

    Raises
    ------
    InputError
        In place of any `OSError` (full disk, unwritable or missing folder, missing file, ...).
    """
    try:
        yield
    except OSError as error:
        where = Path(path)
        if action == "read":
            raise _read_error(error, where) from error
        raise _write_error(error, where, needed_bytes, option) from error


def require_free(
    folder: Path, needed_bytes: int, what: str, *, option: str = "--out", cure: str = ""
) -> None:
    """Refuse to start what will not fit on the disk.

    Parameters
    ----------
    folder
        Where it will be, made already or not.
    what
        What needs the space, for the message: ``"the particle cache"``.
    option
        What chooses another place; ``cure`` names further ways out.

    Raises
    ------
    InputError
        Less than ``needed_bytes`` are free.
    """
    with explain_os_errors(folder, option=option):
        free = free_bytes(folder)
    if free < needed_bytes:
        raise InputError(
            f"the disk is too full: {what} needs {needed_bytes / 1e6:,.0f} MB, "
            f"{free / 1e6:,.0f} MB are free",
            file=folder,
            cure=f"Free some space, or write to another disk with {option}{cure}",
        )


def free_bytes(folder: Path) -> int:
    """Free room where a folder is or will be (OSError where that cannot be told)."""
    return shutil.disk_usage(_nearest(folder)).free


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    places = (folder, *folder.absolute().parents)
    return next((place for place in places if place.exists()), folder)


def require_writable(folder: Path) -> None:
    """Refuse a folder, made already or not, in which nothing can be written.

    Raises
    ------
    InputError
        It, or the nearest folder above it that exists, is not writable or has no space.
    """
    there = _nearest(folder)
    with explain_os_errors(there / folder.name), tempfile.TemporaryFile(dir=there):
        pass


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_path(
    target: str | os.PathLike[str], *, needed_bytes: int | None = None
) -> Iterator[Path]:
    """A temporary path beside `target` that becomes `target` only if the body succeeds.

    The temporary file has the suffix of `target` (some libraries choose a format by it), is
    flushed to the disk, and then renamed over `target`. After any failure, an interrupt included,
    it is removed and `target` is as it was.

    Parameters
    ----------
    target
        The file to write.
    needed_bytes
        Its size when known, for the message of a full disk.

    Raises
    ------
    InputError
        The disk is full, or the folder is missing or not writable.
    """
    target = Path(target)
    name = f".{target.stem[:_STEM_LENGTH]}.{secrets.token_hex(4)}.tmp{target.suffix}"
    temporary = target.with_name(name)
    with explain_os_errors(target, needed_bytes=needed_bytes):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            _may_replace.get()()
            _sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        if os.name == "posix":
            _sync(target.parent)


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes `target` only if the body succeeds.

    After any failure, an interrupt included, it is removed with all that is in it. Folders above
    `target` are made where absent.

    Raises
    ------
    InputError
        `target` is a file or holds something, the disk is full, or the folder is not writable.
    """
    target = Path(target)
    with explain_os_errors(target):
        if target.exists() and not target.is_dir():
            raise InputError(
                "this is a file, not a folder", file=target, cure="Choose another --out"
            )
        if target.is_dir() and any(target.iterdir()):
            raise InputError("the folder is not empty", file=target, cure="Choose another --out")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name[:_STEM_LENGTH]}.{secrets.token_hex(4)}.tmp")
        temporary.mkdir()
        try:
            yield temporary
            _may_replace.get()()
            if target.is_dir():
                target.rmdir()
            temporary.rename(target)
        except InputError as error:
            raise _at(error, temporary, target) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _at(error: InputError, temporary: Path, target: Path) -> InputError:
    """The error with the name that a file of the temporary folder would have had."""
    if error.file is None or not Path(error.file).is_relative_to(temporary):
        return error
    file = target / Path(error.file).relative_to(temporary)
    return InputError(error.problem, file=file, row=error.row, cure=error.cure)


def write_bytes_atomic(target: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `target`, whole or not at all (errors as `atomic_path`)."""
    with atomic_path(target, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_text_atomic(target: str | os.PathLike[str], content: str) -> None:
    """Write `content` as UTF-8 with its line ends unchanged (errors as `atomic_path`)."""
    write_bytes_atomic(target, content.encode("utf-8"))
