"""Outputs that are either whole or absent, and operating-system errors a user can act on."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cryoscope.data import InputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_STEM_LENGTH = 100


def _full_disk(path: Path, needed_bytes: int | None) -> InputError:
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
        cure=f"Remove files to {amount}, or write to another disk with --out",
    )


def _write_error(error: OSError, path: Path, needed_bytes: int | None) -> InputError:
    code = error.errno
    if code in _FULL:
        return _full_disk(path, needed_bytes)
    if code in _FORBIDDEN:
        return InputError(
            f"the folder {path.parent} is not writable",
            file=path,
            cure="Choose another folder with --out, or change its permissions",
        )
    if code in (errno.ENOENT, errno.ENOTDIR):
        return InputError(
            f"there is no folder {path.parent}",
            file=path,
            cure="Create it first, or choose another with --out",
        )
    if code == errno.EISDIR:
        return InputError(
            "this is a folder, not a file", file=path, cure="Choose another file name with --out"
        )
    return InputError(
        f"cannot be written ({error.strerror or error})",
        file=path,
        cure="Choose another place with --out",
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
        raise _write_error(error, where, needed_bytes) from error


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
            _sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        if os.name == "posix":
            _sync(target.parent)


def write_bytes_atomic(target: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `target`, whole or not at all (errors as `atomic_path`)."""
    with atomic_path(target, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_text_atomic(target: str | os.PathLike[str], content: str) -> None:
    """Write `content` as UTF-8 with its line ends unchanged (errors as `atomic_path`)."""
    write_bytes_atomic(target, content.encode("utf-8"))
