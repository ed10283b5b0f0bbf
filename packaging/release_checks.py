"""What must agree before a release: ``python packaging/release_checks.py VERSION [--root FOLDER]``.

The version is written once, in ``cryoscope/__init__.py``, so that a checkout without tags or
without git knows it too; the tag follows it. Prints the section of the changelog, which becomes the
message of the tag, or what does not agree (exit code 1).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

# Where the version stands, and how.
PLACES = {
    "cryoscope/__init__.py": r'^__version__ = "([^"]+)"$',
    "packaging/conda/recipe.yaml": r'^  version: "([^"]+)"$',
    "plugins/napari-cryoscope/pyproject.toml": r'^version = "([^"]+)"$',
}
SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?$", re.MULTILINE)


def problems(root: Path, version: str) -> list[str]:
    """One line for everything that speaks against releasing this version."""
    found = []
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        found.append(f"{version} is no version: use 1.2.3, or 1.2.3rc1 before it")
    for name, pattern in PLACES.items():
        match = re.search(pattern, (root / name).read_text("utf-8"), re.MULTILINE)
        says = match.group(1) if match else "nothing"
        if says != version:
            found.append(f"{name} says {says}, not {version}")
    parts = sections(root)
    if version not in parts:
        found.append(f"CHANGELOG.md has no section [{version}]: name it and date it")
    else:
        date, text = parts[version]
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
            found.append(
                f"CHANGELOG.md: section [{version}] has no date (## [{version}] - YYYY-MM-DD)"
            )
        if not text:
            found.append(f"CHANGELOG.md: section [{version}] is empty")
    if parts.get("Unreleased", ("", ""))[1]:
        found.append(
            "CHANGELOG.md: [Unreleased] is not empty: move it to the section of the release"
        )
    return found


def sections(root: Path) -> dict[str, tuple[str, str]]:
    """(date, text) of every section of the changelog, newest first."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    heads = list(SECTION.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head["version"]: (head["date"] or "", text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    }


def main() -> int:
    """0 and the changelog's section, or 1 and what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args()
    wrong = problems(options.root, options.version)
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"Cryoscope {options.version}\n\n{sections(options.root)[options.version][1]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
