"""Which .cs files belong together: result groups (.csg), and the passthrough file of a job."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors

_LARGEST_GROUP_BYTES = 1 << 20
_DEEPEST = 16
_CURE = "Export the result group again, or give its .cs file"
_IMAGES = "blob"


def read_group(path: str | Path) -> tuple[Path, tuple[Path, ...]]:
    """The file with the images of a result group (.csg), and the others of its files.

    A group is YAML: ``results`` names for every slot (``blob``, ``ctf``, ``alignments3D``) the
    file that holds it, ``'>J13_particles.cs'``, in the folder of the group.

    Raises
    ------
    InputError
        It is no such file, repeats itself by aliases, or names files of other folders.
    """
    path = Path(path)
    with explain_os_errors(path, action="read"):
        if path.stat().st_size > _LARGEST_GROUP_BYTES:
            raise InputError("this is too large for a result group", file=path, cure=_CURE)
        text = path.read_text(encoding="utf-8", errors="replace")
    content = _plain_yaml(text, path)
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict) or not results:
        raise InputError("this is no result group of cryoSPARC", file=path, cure=_CURE)
    named = {str(slot): _file(result, path) for slot, result in results.items()}
    first = named.get(_IMAGES, next(iter(named.values())))
    files = [path.with_name(name) for name in dict.fromkeys([first, *named.values()])]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of its {len(files)} files are missing: {', '.join(missing[:3])}",
            file=path,
            cure="Put them beside it",
        )
    return files[0], tuple(files[1:])


def _plain_yaml(text: str, path: Path) -> Any:
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for gigabytes
                raise InputError("it repeats itself by aliases", file=path, cure=_CURE)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise InputError("it is nested too deeply", file=path, cure=_CURE)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("this is no result group of cryoSPARC", file=path, cure=_CURE) from error


def _file(result: Any, path: Path) -> str:
    name = result.get("metafile") if isinstance(result, dict) else None
    if not isinstance(name, str):
        raise InputError("a result names no file", file=path, cure=_CURE)
    name = name.removeprefix(">")
    plain = PurePosixPath(name).name
    if plain != name or "\\" in name or "\0" in name or not name.endswith(".cs"):
        raise InputError(f"it names {name[:80]!r}, no file beside it", file=path, cure=_CURE)
    return name


def passthrough_beside(path: Path) -> Path | None:
    """cryoSPARC's J12_passthrough_particles.cs beside its J12_..._particles.cs.

    Where the job has one for every class, that of the class in the name of `path`; None where it
    is not clear which.
    """
    job = path.name.partition("_")[0]
    found = sorted(path.parent.glob(f"{job}_passthrough_particles*.cs"))
    if path in found:
        return None
    if len(found) > 1:
        wanted = _class_of(path)
        found = [one for one in found if _class_of(one) == wanted]
    return found[0] if len(found) == 1 else None


def _class_of(path: Path) -> int | None:
    number = re.search(r"_class_(\d{1,6})", path.name)
    return int(number[1]) if number else None


def rows_of(
    records: NDArray[Any], second: NDArray[Any], path: Path, other: Path
) -> NDArray[np.int64]:
    """Rows of the second file in the order of the first, by uid.

    Raises
    ------
    InputError
        A file has no uid, or a particle is not in the second; names the first.
    """
    for file, found in ((path, records), (other, second)):
        if "uid" not in (found.dtype.names or ()):
            raise InputError(
                "the records have no uid: they cannot be joined", file=file, cure="Export it again"
            )
    known, wanted = np.asarray(second["uid"]), np.asarray(records["uid"])
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], wanted).clip(0, max(len(known) - 1, 0))
    if len(known) == 0 or (lost := np.flatnonzero(known[order][place] != wanted)).size:
        row = 1 if len(known) == 0 else int(lost[0]) + 1
        raise InputError(
            f"its particle (uid {wanted[row - 1]}) is not in {other.name}",
            file=path,
            row=row,
            cure="Give the two files of one job",
        )
    return order[place]
