"""Collects the licences of what Cryoscope is shipped with: ``licences.py NAME... --out FILE``.

Follows the requirements of the named distributions through what is installed, and writes their
names, versions, licences and the texts that they carry into one file. Fails when a licence cannot
be told, or is one that a BSD program may not be bundled with.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: What is bundled of them beyond the plain requirements.
EXTRAS = {"cryoscope": ("app", "umap")}
TEXTS = re.compile(r"(^|[/\\])(licen[cs]e|copying|notice|authors|eula)[^/\\]*$", re.IGNORECASE)
#: May not be shipped with a BSD program: strong copyleft without an exception. The LGPL of Qt for
#: Python may, as shared libraries that the user can replace: a folder, not one file.
FORBIDDEN = re.compile(
    r"(?<!L)(?<!Lesser )\bA?GPL|Affero|(?<!Lesser )General Public", re.IGNORECASE
)
ALTERNATIVE = re.compile(r"LGPL|Lesser|\bOR\b|exception", re.IGNORECASE)
LONGEST = 60_000


def main() -> int:
    """Write the file; 1 if something must not be shipped or cannot be told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--headless", action="store_true", help="without the window's packages")
    options = parser.parse_args()
    found = closure(options.names, {} if options.headless else EXTRAS)
    parts, problems = [], []
    for dist in found:
        licence = licence_of(dist)
        texts = texts_of(dist)
        name = f"{dist.name} {dist.version}"
        if not licence and not texts and holds_files(dist):
            problems.append(f"{name}: its licence cannot be told")
        if FORBIDDEN.search(licence) and not ALTERNATIVE.search(licence):
            problems.append(f"{name}: {licence}")
        parts.append("\n".join([f"{'=' * 78}\n{name}\nLicence: {licence or 'see below'}", *texts]))
    listed = "\n".join(f"  {d.name} {d.version}: {licence_of(d) or 'see below'}" for d in found)
    head = f"Cryoscope is shipped with {len(found)} packages of others.\n\n{listed}\n\n"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_name(f".{options.out.name}.part")
    part.write_text(head + "\n\n".join(parts) + "\n", encoding="utf-8")
    part.replace(options.out)
    print(f"{options.out}: {len(found)} packages")
    for problem in problems:
        print(f"not to be shipped as it is: {problem}", file=sys.stderr)
    return 1 if problems else 0


def closure(names: list[str], chosen: dict[str, tuple[str, ...]]) -> list[Distribution]:
    """The named distributions, with chosen extras, and all they need here; ours left out."""
    waiting = [(name, chosen.get(name, ())) for name in names]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, extras = waiting.pop()
        key = (canonicalize_name(name), tuple(sorted(extras)))
        if key in seen:
            continue
        seen.add(key)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            if name not in names:
                continue  # for another system, or left out on purpose
            lines = own_requirements(name, extras)
        else:
            found[canonicalize_name(dist.name)] = dist
            lines = list(dist.requires or ())
        for line in lines:
            requirement = Requirement(line)
            if wanted(requirement, extras):
                waiting.append((requirement.name, tuple(requirement.extras)))
    found.pop("cryoscope", None)
    return [found[name] for name in sorted(found)]


def own_requirements(name: str, chosen: tuple[str, ...]) -> list[str]:
    """Those of this checkout, where Cryoscope is used without being installed."""
    import tomllib

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    if name != project["name"]:
        raise SystemExit(f"{name} is not installed")
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(one for e in chosen for one in extras[e])]


def wanted(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    """Whether a requirement applies here, with these extras."""
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def holds_files(dist: Distribution) -> bool:
    """Whether more than its metadata is installed; some only name others (cuda-toolkit)."""
    return any(not file.parts[0].endswith(".dist-info") for file in dist.files or ())


def licence_of(dist: Distribution) -> str:
    """What the metadata say, in one line: an SPDX expression, or classifiers, or their words."""
    meta = dist.metadata
    if expression := meta.get("License-Expression"):
        return str(expression)
    classified = [
        line.rpartition(" :: ")[2]
        for line in meta.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    words = str(meta.get("License") or "").strip().splitlines()
    return "; ".join(dict.fromkeys(classified)) or (words[0][:100] if words else "")


def texts_of(dist: Distribution) -> list[str]:
    """The texts of licences and notices that the distribution carries."""
    texts = []
    for file in dist.files or ():
        if TEXTS.search(str(file)) and not str(file).endswith((".py", ".pyc")):
            path = Path(str(dist.locate_file(file)))
            if path.is_file():
                texts.append(f"--- {file}\n{path.read_text('utf-8', errors='replace')[:LONGEST]}")
    return texts


if __name__ == "__main__":
    raise SystemExit(main())
